"""Addresses of this machine, and word of their changes from netlink (rtnetlink(7))."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from rovy.address.multiaddr import is_overlay
from rovy.io.base import LocalAddress

if TYPE_CHECKING:
    from ifaddr import Adapter

_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # links, IPv4 and IPv6 addresses and routes
NFTABLES = 12, 0x40
"""Changes of nftables: NETLINK_NETFILTER, NFNLGRP_NFTABLES."""
_ROUTE = 0
_SETTLE = 0.05
"""Seconds for a burst of messages to end."""


def local_addresses() -> list[LocalAddress]:
    """Addresses of all interfaces, those in fc00::/8 left out."""
    import ifaddr

    return [
        LocalAddress(host, adapter.name, adapter.index or 0)
        for adapter in ifaddr.get_adapters()
        for host, _ in hosts_of(adapter)
    ]


def hosts_of(adapter: "Adapter") -> Iterator[tuple[str, int]]:
    """Addresses of one interface and the bits of their prefixes, those in fc00::/8 left out."""
    for ip in adapter.ips:
        host = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
        if not is_overlay(host):
            yield host, ip.network_prefix


class Watcher:
    """Calls back when links, addresses or routes change; does nothing where netlink is missing.

    `concerns` says of the messages of one read whether they are worth a call; `settle` is how long
    to wait for more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        changed: Callable[[], None],
        *,
        concerns: Callable[[bytes], bool] = lambda data: True,
        settle: float = _SETTLE,
        source: tuple[int, int] = (_ROUTE, _GROUPS),
    ) -> None:
        self._loop, self._changed, self._concerns, self._settle = loop, changed, concerns, settle
        self._timer: asyncio.TimerHandle | None = None
        self._sock: socket.socket | None = None
        with suppress(OSError, AttributeError):
            protocol, groups = source
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
            try:
                sock.setblocking(False)
                sock.bind((0, groups))
            except OSError:
                sock.close()
                raise
            self._sock = sock
            loop.add_reader(sock.fileno(), self._readable)

    @property
    def hears(self) -> bool:
        """Whether changes are told at all."""
        return self._sock is not None

    def close(self) -> None:
        """Stop watching."""
        if self._timer:
            self._timer.cancel()
        if self._sock:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _readable(self) -> None:
        assert self._sock is not None
        news = False
        try:
            while data := self._sock.recv(65536):
                news = news or self._concerns(data)
        except BlockingIOError:
            pass
        except OSError:
            news = True  # too many at once: some were lost
        if news and self._timer is None:
            self._timer = self._loop.call_later(self._settle, self._settled)

    def _settled(self) -> None:
        self._timer = None
        self._changed()
