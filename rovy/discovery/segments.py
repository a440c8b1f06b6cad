"""The interfaces in use: opened when they come, opened anew when their addresses change."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rovy.address.multiaddr import Endpoint
from rovy.discovery.const import ECHO, MAX_INTERFACES, REARM, RETRY_INTERFACE
from rovy.discovery.interface import Interface, objection
from rovy.discovery.medium import Announcement, Medium, Opener, Unusable
from rovy.discovery.report import InterfaceReport

NO_ADDRESS = "the node receives on no address of it"
NO_ECHO = "own announcement not heard back on {}"
log = logging.getLogger(__name__)


class Ears(Protocol):
    """Who is told what is heard, and where."""

    def wants(self, name: str) -> bool:
        """See `Listener`."""

    def heard(self, interface: Interface, announcement: Announcement) -> None:
        """See `Listener`."""

    def gone(self, interface: Interface, name: str) -> None:
        """See `Listener`."""

    def left(self, interface: Interface) -> None:
        """The interface is used no longer: what was heard there is not known any more."""


@dataclass(slots=True, eq=False)
class Segment:
    """One interface in use. Implements `Listener`."""

    interface: Interface
    own: str
    """Name of our own instance."""
    ears: Ears
    opened: float
    announcing: bool
    """Whether this node is to be announced there."""
    medium: Medium | None = None
    announced: float | None = None
    """When."""
    heard_back: bool = False
    heard_at: float | None = None
    problem: str = ""
    remedy: str = ""
    closed: bool = False

    def wants(self, name: str) -> bool:
        """See `Listener`."""
        return name == self.own or self.ears.wants(name)

    def heard(self, announcement: Announcement) -> None:
        """See `Listener`. Our own counts where it names an address of this very interface."""
        if self.closed:
            return
        if announcement.name != self.own:
            self.heard_at = asyncio.get_running_loop().time()
            self.ears.heard(self.interface, announcement)
        elif set(announcement.hosts) & set(self.interface.hosts):
            self.heard_back = True

    def gone(self, name: str) -> None:
        """See `Listener`."""
        if name != self.own and not self.closed:
            self.ears.gone(self.interface, name)

    def judge(self, now: float) -> None:
        """Say what is wrong, if anything."""
        if self.medium is None or self.announced is None:
            return
        silent = not self.heard_back and now - self.announced >= ECHO
        self.problem = NO_ECHO.format(self.interface.name) if silent else ""
        self.remedy = (
            "let UDP port 5353 in, and multicast to 224.0.0.251 and ff02::fb, in the firewall"
            " of this machine"
        )

    def report(self, others: int, now: float) -> InterfaceReport:
        """What can be told of it, and the nodes announced there."""
        known = self.announced is not None and (self.heard_back or bool(self.problem))
        return InterfaceReport(
            self.interface.name,
            self.interface.index,
            self.interface.hosts,
            "on" if self.medium else "failed" if self.problem else "starting",
            self.announced is not None,
            self.heard_back if known else None,
            others,
            None if self.heard_at is None else now - self.heard_at,
            self.problem,
            self.remedy if self.problem else "",
        )

    def stale(self, now: float) -> bool:
        """Whether something is wrong that may be mended by now."""
        return bool(self.problem) and now - self.opened >= RETRY_INTERFACE

    def outdated(self, announce: bool, now: float) -> bool:
        """Whether it has to be opened anew though the interface is what it was."""
        return self.medium is None or self.announcing != announce or self.stale(now)


class Segments:
    """Opens and closes; one change at a time."""

    def __init__(
        self,
        own: str,
        opener: Opener,
        interfaces: Callable[[], list[Interface]],
        bound: Callable[[], Collection[Endpoint]],
        ears: Ears,
    ) -> None:
        self._own, self._opener, self._interfaces = own, opener, interfaces
        self._bound, self._ears = bound, ears
        self.in_use: dict[str, Segment] = {}
        self.left_out: list[tuple[Interface, str]] = []
        self._lock = asyncio.Lock()

    async def arm(self, announce: bool, patterns: Sequence[str], tun: str) -> None:
        """Use exactly the interfaces there are now; those that did not change stay as they are."""
        async with self._lock:
            await asyncio.sleep(REARM)
            wanted = self._wanted(patterns, tun)
            now = asyncio.get_running_loop().time()
            for name, segment in list(self.in_use.items()):
                if wanted.get(name) != segment.interface or segment.outdated(announce, now):
                    del self.in_use[name]
                    await self._close(segment, goodbye=name not in wanted or not announce)
            await asyncio.gather(
                *(
                    self._open(interface, announce)
                    for name, interface in wanted.items()
                    if name not in self.in_use
                )
            )

    async def close(self) -> None:
        """Say goodbye everywhere."""
        async with self._lock:
            segments = list(self.in_use.values())
            self.in_use.clear()
            self.left_out.clear()
            await asyncio.gather(*(self._close(each, goodbye=True) for each in segments))

    def judge(self) -> bool:
        """See what is wrong, tell the log once, and say whether something should be tried anew."""
        now = asyncio.get_running_loop().time()
        for segment in self.in_use.values():
            before = segment.problem
            segment.judge(now)
            if segment.problem and not before:
                log.warning("%s; %s", segment.problem, segment.remedy)
        return any(segment.stale(now) for segment in self.in_use.values())

    def report(self, others: Mapping[str, int], now: float) -> tuple[InterfaceReport, ...]:
        """All interfaces, in the machine's order. `others`: nodes announced, by interface."""
        found = [each.report(others.get(name, 0), now) for name, each in self.in_use.items()]
        found += [
            InterfaceReport(
                each.name, each.index, each.hosts, "left out", False, None, 0, None, reason, ""
            )
            for each, reason in self.left_out
        ]
        return tuple(sorted(found, key=lambda each: each.index))

    def _wanted(self, patterns: Sequence[str], tun: str) -> dict[str, Interface]:
        self.left_out.clear()
        wanted: dict[str, Interface] = {}
        for interface in sorted(self._interfaces(), key=lambda each: each.index):
            reason = objection(interface, patterns, tun)
            if len(wanted) >= MAX_INTERFACES:
                reason = reason or f"more than {MAX_INTERFACES} interfaces"
            if reason:
                self.left_out.append((interface, reason))
            else:
                wanted[interface.name] = interface
        return wanted

    async def _open(self, interface: Interface, announce: bool) -> None:
        loop = asyncio.get_running_loop()
        segment = Segment(interface, self._own, self._ears, loop.time(), announce)
        self.in_use[interface.name] = segment
        try:
            segment.medium = await self._opener(interface, segment)
        except Unusable as error:
            segment.problem, segment.remedy = str(error), error.remedy
            log.warning("discovery on %s: %s; %s", interface.name, error, error.remedy)
            return
        log.debug("looking for neighbours on %s", interface.name)
        port, hosts = interface.announced(self._bound())
        if announce and hosts:
            segment.announced = loop.time()
            await segment.medium.announce(self._own, port, hosts)
        elif announce:
            segment.problem, segment.remedy = NO_ADDRESS, "add one to listen, or leave that out"

    async def _close(self, segment: Segment, *, goodbye: bool) -> None:
        segment.closed = True
        self._ears.left(segment.interface)
        if segment.medium:
            await segment.medium.close(goodbye=goodbye)
