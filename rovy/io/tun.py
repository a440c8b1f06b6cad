"""A TUN interface on Linux, and the care for it: whatever happens to it is mended or explained."""

import asyncio
import errno
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from rovy.address.keys import address_text
from rovy.errors import UsageError
from rovy.io.base import PacketSink
from rovy.io.interfaces import Watcher
from rovy.io.rtmessages import Link
from rovy.io.rtnetlink import Netlink
from rovy.io.segments import VNET, parts, runs
from rovy.io.tundevice import TunDevice
from rovy.io.tunsetup import (
    LEAST_MTU,
    Survey,
    concerns,
    hindrance,
    lacking,
    prepared,
    survey,
    take,
    tune,
)

log = logging.getLogger(__name__)
NAME = "rovy0"
MTU = 8955
MOST_MTU = 65535
PACKET = MOST_MTU + VNET.size
"""The longest packet and its header."""
READS = 64
"""Packets per readiness, before others get their turn."""
RETRY = 10.0
"""Seconds until what failed is tried again, unless the kernel tells of a change before."""
PAUSE = 1.0
"""Seconds that an interface set down or deleted is left alone."""
INSIST = 10.0
"""Set down again within so many seconds, it is left alone for good: somebody means it."""
RESTORE = 5.0
"""Seconds between two restorations of its address or route."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,15}")


@dataclass(slots=True)
class _Care:
    """What was done to a device."""

    guarded: str = ""
    """The name `before_up` was called with."""
    settled: bool = False
    """It was up with all it needs."""
    down_at: float | None = None
    raised_at: float = -INSIST
    left: bool = False
    """Somebody wants it down."""
    restored_at: float = -RESTORE


class TunInterface:
    """Implements `Interface`.

    `before_up` is called with the interface's name before it is set up and after it was renamed;
    if it raises `UsageError` the interface stays down. Meant for the firewall.
    """

    def __init__(
        self, name: str = NAME, mtu: int = MTU, before_up: Callable[[str], None] = lambda name: None
    ) -> None:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} names no interface: up to 15 letters, digits, - and _")
        if not LEAST_MTU <= mtu <= MOST_MTU:
            raise UsageError(f"an MTU of {mtu}: choose {LEAST_MTU} to {MOST_MTU}")
        self.name, self.mtu, self.problem = name, mtu, ""
        self._wanted_name, self._wanted_mtu, self._before_up = name, mtu, before_up
        self._counts: Counter[str] = Counter()
        self._device: TunDevice | None = None
        self._care = _Care()
        self._reading = False
        self._open_at = 0.0
        self._again = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: Watcher | None = None
        self._told: tuple[str, str] | None = None

    def open(self, address: bytes, sink: PacketSink) -> None:
        """See `Interface`."""
        self._address, self._sink = address, sink
        self._loop = asyncio.get_running_loop()
        self._watcher = Watcher(self._loop, self._check, concerns=concerns, settle=0.0)
        self._check()

    def counters(self) -> dict[str, int]:
        """See `Interface`."""
        return dict(self._counts)

    def close(self) -> None:
        """See `Interface`. A device that root prepared stays as it is."""
        if self._watcher:
            self._watcher.close()
        if self._timer:
            self._timer.cancel()
        self._release()

    # Packets

    def write(self, packets: Sequence[bytes | memoryview]) -> None:
        """See `Interface`."""
        if not self._reading or self._device is None:
            self._counts["interface not open"] += len(packets)
            return
        descriptor, octets, failed = self._device.fd, 0, 0
        for run in runs(packets):
            try:
                os.writev(descriptor, parts(run))
                octets += sum(map(len, run))
            except OSError as error:
                self._counts[f"write error: {_name(error)}"] += len(run)
                failed += len(run)
        self._counts["packets_written"] += len(packets) - failed
        self._counts["bytes_written"] += octets

    def _readable(self) -> None:
        assert self._device is not None
        descriptor, packets = self._device.fd, []
        try:
            for _ in range(READS):
                packets.append(os.read(descriptor, PACKET)[VNET.size :])
        except BlockingIOError:
            pass
        except OSError as error:
            self._counts[f"read error: {_name(error)}"] += 1
            gone = error.errno == errno.EBADFD
            self._conclude(self._lose("was deleted" if gone else f"broke: {error.strerror}"))
        if packets:
            self._counts["packets_read"] += len(packets)
            self._counts["bytes_read"] += sum(map(len, packets))
            self._sink.transmit(packets)

    # Care

    def _check(self) -> None:
        """Look at the interface, mend what is wrong, and say what still is."""
        self._again = RETRY
        try:
            problem = self._look()
        except UsageError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{self.name}: {error.strerror}"
        self._conclude(problem)

    def _conclude(self, problem: str) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._again, self._check) if problem else None
        self.problem = problem
        if (self.name, problem) == self._told:
            return
        self._told = self.name, problem
        if problem:
            log.warning("%s", problem)
        else:
            log.info("%s is up: %s, MTU %d", self.name, address_text(self._address), self.mtu)
        self._sink.interface_changed(problem)

    def _look(self) -> str:
        """Mend what is wrong; what still is, empty for nothing."""
        if self._device is None and (wait := self._open_at - self._loop.time()) > 0:
            return self._later(wait, self.problem)
        with Netlink() as netlink:
            device = self._device or self._open_device(netlink)
            found = survey(netlink, device.index, self._address)
            if found is None:
                return self._lose("was deleted")
            self.name, self.mtu = found.link.name, found.link.mtu
            return self._mend(netlink, found)

    def _mend(self, netlink: Netlink, found: Survey) -> str:
        care, link = self._care, found.link
        if care.guarded not in ("", link.name):
            self._guard(netlink, link)
        if found.rival and not (care.settled and found.whole):
            return (
                f"{found.rival}; until then this node forwards for others, but IPv6 programs here"
                " cannot use it"
            )
        if problem := hindrance(link) or self._pause(found):
            return problem
        if not care.guarded or not link.up:
            self._guard(netlink, link)
        refused = take(lacking(netlink, found, self._address))
        care.settled = not refused
        self._listen()
        if refused:
            commands = " && ".join(refused)
            return f"{link.name} lacks what this user may not change; as root: `{commands}`"
        return f"{found.rival}; until then packets may go there" if found.rival else ""

    def _pause(self, found: Survey) -> str:
        """Why not to change an interface that worked before just now, if so."""
        care, link, now = self._care, found.link, self._loop.time()
        if link.up:
            care.down_at, care.left = None, False
        if not care.settled or found.whole:
            return ""
        if link.up:
            if (wait := care.restored_at + RESTORE - now) > 0:
                lost = "route" if found.has_address else "address"
                return self._later(wait, f"{link.name} lost its {lost}: it will be restored")
            care.restored_at = now
            log.warning("%s lost its address or route: restored", link.name)
            return ""
        if care.left or now < care.raised_at + INSIST:
            care.left = True
            return f"{link.name} was set down by somebody: `ip link set {link.name} up`"
        care.down_at = now if care.down_at is None else care.down_at
        if (wait := care.down_at + PAUSE - now) > 0:
            return self._later(wait, f"{link.name} was set down: it will be set up again")
        care.raised_at = now
        return ""

    def _guard(self, netlink: Netlink, link: Link) -> None:
        """Call the hook for an interface's present name. Raises `UsageError` where that fails."""
        care = self._care
        try:
            self._before_up(link.name)
        except UsageError as error:
            care.guarded, care.settled = "", False
            self._stop_reading()
            if link.up:
                with suppress(OSError):
                    netlink.set_up(link.index, False)
            raise UsageError(f"{link.name} stays unused: {error}") from error
        care.guarded = link.name

    def _later(self, wait: float, problem: str) -> str:
        """Look again after so many seconds."""
        self._again = wait
        return problem

    # The device

    def _open_device(self, netlink: Netlink) -> TunDevice:
        name, mtu = self._wanted_name, self._wanted_mtu
        self.name = name
        device = TunDevice(name, prepared(name, mtu, self._address))
        tune(netlink, device.index, mtu)
        self._device, self._care = device, _Care()
        return device

    def _listen(self) -> None:
        if not self._reading and self._device:
            self._reading = True
            self._loop.add_reader(self._device.fd, self._readable)

    def _stop_reading(self) -> None:
        if self._reading and self._device:
            self._reading = False
            self._loop.remove_reader(self._device.fd)

    def _lose(self, why: str) -> str:
        """Let go of a device that is no more; another is made after a second."""
        self._release()
        self._open_at = self._loop.time() + PAUSE
        return self._later(PAUSE, f"{self.name} {why}: it will be made again")

    def _release(self) -> None:
        self._stop_reading()
        if self._device:
            self._device.close()
            self._device = None


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "unknown")
