"""Multicast DNS by `zeroconf`, one instance an interface. The library loads when it is first used.

An instance has sockets of its own on port 5353, so that several daemons of one machine, and other
programs, can share it. That is why answers are asked for by multicast: what is sent to that port of
one machine alone reaches one of them, seldom the one that asked. Names are not probed for: a PeerID
is nobody else's, and whoever claims it on the LAN all the same must not silence its owner.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rovy.discovery.const import VERSION
from rovy.discovery.interface import Interface
from rovy.discovery.medium import Announcement, Listener, Unusable

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

TYPE = "_rovy._udp.local."
ASKING = 32
"""Instances asked for their addresses at a time; others wait until they are announced anew."""
PORT_TAKEN = (
    "if another program holds that port, make it share it (avahi: disallow-other-stacks=no)"
)
PATIENCE = 3000
"""Milliseconds for the answer."""
_ALL_GROUPS = (socket.IPPROTO_IP, 49), (socket.IPPROTO_IPV6, 29)
"""IP_MULTICAST_ALL, IPV6_MULTICAST_ALL."""


async def open_mdns(interface: Interface, listener: Listener) -> "Mdns":
    """Listen on an interface: an `Opener`."""
    zeroconf = await _started(interface)
    _only_here(zeroconf, interface)
    return Mdns(zeroconf, listener)


class Mdns:
    """Implements `Medium`."""

    def __init__(self, zeroconf: "AsyncZeroconf", listener: Listener) -> None:
        from zeroconf import DNSQuestionType
        from zeroconf.asyncio import AsyncServiceBrowser

        self._zeroconf, self._listener = zeroconf, listener
        self._info: AsyncServiceInfo | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        self._browser = AsyncServiceBrowser(
            zeroconf.zeroconf, TYPE, handlers=[self._changed], question_type=DNSQuestionType.QM
        )

    async def announce(self, name: str, port: int, hosts: Sequence[str]) -> None:
        """See `Medium`."""
        from zeroconf.asyncio import AsyncServiceInfo

        self._info = AsyncServiceInfo(
            TYPE,
            f"{name}.{TYPE}",
            port,
            properties={"v": VERSION},
            server=f"{name}.local.",
            parsed_addresses=list(hosts),
        )
        repeated = await self._zeroconf.async_register_service(
            self._info, cooperating_responders=True
        )
        self._keep(asyncio.ensure_future(repeated))

    async def close(self, *, goodbye: bool) -> None:
        """See `Medium`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._browser.async_cancel()
        inner = self._zeroconf.zeroconf
        # Taken out of the registry by the call, or by us: the library itself says it three times.
        farewell = inner.generate_unregister_all_services()
        if farewell and goodbye:
            inner.async_send(farewell)
        await self._zeroconf.async_close()

    def _changed(
        self,
        zeroconf: object,
        service_type: str,
        name: str,
        state_change: "ServiceStateChange",
    ) -> None:
        """The library tells of an instance."""
        if not self._listener.wants(_instance(name)):
            return
        if state_change.name == "Removed":
            self._listener.gone(_instance(name))
        else:
            self._look(name)

    def _look(self, name: str) -> None:
        """Tell what is known of an instance, or ask first."""
        from zeroconf.asyncio import AsyncServiceInfo

        info = AsyncServiceInfo(TYPE, name)
        if info.load_from_cache(self._zeroconf.zeroconf):
            self._tell(info)
        elif len(self._tasks) < ASKING:
            self._keep(asyncio.ensure_future(self._ask(info)))

    async def _ask(self, info: "AsyncServiceInfo") -> None:
        from zeroconf import DNSQuestionType

        if await info.async_request(self._zeroconf.zeroconf, PATIENCE, DNSQuestionType.QM):
            self._tell(info)

    def _tell(self, info: "AsyncServiceInfo") -> None:
        version = (info.properties.get(b"v") or b"").decode("ascii", "replace")
        hosts = tuple(text.partition("%")[0] for text in info.parsed_addresses())
        self._listener.heard(Announcement(_instance(info.name), info.port or 0, hosts, version))

    def _keep(self, task: asyncio.Future[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logging.getLogger(__name__).debug("multicast DNS: %s", error)


async def _started(interface: Interface) -> "AsyncZeroconf":
    """An instance whose sockets are open. Importing the library takes long enough for a thread."""
    await asyncio.to_thread(_load)
    from zeroconf import NotRunningException
    from zeroconf.asyncio import AsyncZeroconf

    try:
        zeroconf = AsyncZeroconf(interfaces=_sockets(interface))
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unusable(f"cannot use UDP port 5353: {reason}", PORT_TAKEN) from None
    try:
        await zeroconf.zeroconf.async_wait_for_start()
        if not zeroconf.zeroconf.engine.senders:
            raise Unusable("no address of it can be used yet", "it is tried again")
    except BaseException as error:
        await zeroconf.async_close()
        if isinstance(error, NotRunningException):
            raise Unusable("its sockets do not open", "it is tried again") from None
        raise
    return zeroconf


def _load() -> None:
    import zeroconf.asyncio  # noqa: F401

    # It logs what strangers send, and what `Unusable` tells.
    logging.getLogger("zeroconf").setLevel(logging.CRITICAL)


def _sockets(interface: Interface) -> list[str | int | tuple[tuple[str, int, int], int]]:
    """One IPv4 address, as each would send all that is sent; for IPv6 the interface as a whole."""
    v4 = [each.host for each in interface.addresses if not each.is_v6][:1]
    v6 = [interface.index] if any(each.is_v6 for each in interface.addresses) else []
    return [*v4, *v6]


def _only_here(zeroconf: "AsyncZeroconf", interface: Interface) -> None:
    """Hear this interface alone: Linux gives sockets what any other one has joined, too."""
    for reader in zeroconf.zeroconf.engine.readers:
        sock = reader.transport.get_extra_info("socket")
        for level, option in _ALL_GROUPS:
            with suppress(OSError):
                sock.setsockopt(level, option, 0)
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode())


def _instance(name: str) -> str:
    return name.removesuffix(f".{TYPE}")
