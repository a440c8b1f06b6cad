"""Between the interface and the sessions: packets parked while a route is found, ICMPv6 at home.

docs/protocol/ip6.md
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from rovy.address.keys import PeerID
from rovy.address.path import Routed
from rovy.buckets import TokenBucket
from rovy.dataplane.types import Held, PacketHeld
from rovy.errors import RovyError, Unreachable
from rovy.fcnet import icmp6
from rovy.fcnet.icmp6 import Code
from rovy.io.base import Interface
from rovy.node.engine import Engine
from rovy.node.notices import Notices
from rovy.node.waiters import Waiters
from rovy.session.session import Session
from rovy.wire.ip6 import DESTINATION, HEADER, HOP_LIMIT, squeeze

PARKED = 16
"""Packets parked for one destination; the oldest gives way."""
DESTINATIONS = 256
"""Destinations that packets are parked for."""
PATIENCE = 5.0
"""Seconds for a session to open."""
FAILED = 1.0
"""Seconds after a failure during which packets to the same destination fail at once."""
REMEMBERED = 1024
"""Failures remembered; the oldest gives way."""
SETTLING = 0.02
"""Seconds until a packet is tried again that may be too long only for what is known so far."""
UNKNOWN = ("no route", "busy")
"""Reasons for which there is no route, rather than no answer along one."""
TRACES = 64
"""Hops asked for their names at a time."""
TRACE_PATIENCE = 1.0
ERRORS = (1000.0, 2000.0)
"""ICMPv6 errors made: a second, and at once."""


@dataclass(slots=True, eq=False)
class Parked:
    """Packets that wait for a session."""

    packets: deque[bytes] = field(default_factory=lambda: deque(maxlen=PARKED))


class Edge:
    """Implements `rovy.io.base.PacketSink`. One instance for a node with an interface."""

    def __init__(
        self,
        own: PeerID,
        engine: Engine,
        interface: Interface,
        waiters: Waiters,
        notices: Notices,
        find: Callable[[bytes], Awaitable[PeerID]],
        told: Callable[[str], None],
    ) -> None:
        self._own, self._engine, self.interface = own, engine, interface
        self._waiters, self._notices, self._find, self._told = waiters, notices, find, told
        self._parked: dict[bytes, Parked] = {}
        self._failed: OrderedDict[bytes, tuple[float, Code]] = OrderedDict()
        self._settling: deque[bytes] = deque(maxlen=PARKED * 4)
        self._settle: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._tracing = 0
        self._errors = TokenBucket(*ERRORS, engine.now())
        self.counts: Counter[str] = Counter()

    async def close(self) -> None:
        """Stop waiting for anything."""
        self.interface.close()
        if self._settle:
            self._settle.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # From and to the interface

    def transmit(self, packets: list[bytes]) -> None:
        """See `PacketSink`."""
        if not self._engine.closed:
            self._engine.transmit(packets)

    def interface_changed(self, problem: str) -> None:
        """See `PacketSink`."""
        self._told(problem)

    def deliver(self, packets: Sequence[bytes]) -> None:
        """Packets for this machine."""
        self.interface.write(packets)

    def counters(self) -> dict[str, int]:
        """Of the interface, and of what was made or dropped here."""
        return {**self.interface.counters(), **self.counts}

    # What did not leave

    def held(self, held: PacketHeld) -> None:
        """Decide what becomes of a packet."""
        session = self._engine.sessions.get(held.session)
        packet = held.packet
        match held.why:
            case Held.NO_SESSION:
                self._park(packet)
            case Held.TOO_BIG if session and not self._settled(session):
                self._try_again(session, packet)
            case Held.TOO_BIG:
                self._error("too big", icmp6.too_big(held.mtu, packet, self._own.address))
            case Held.PIECES if session:
                self._in_pieces(session, packet)
            case Held.EXPIRED if session:
                self._expired(session, packet)
            case Held.NO_IP6:
                self._unreachable(Code.ADMIN, packet)
            case _:
                self._unreachable(Code.ADDRESS, packet)

    def _park(self, packet: bytes) -> None:
        address = packet[DESTINATION:HEADER]
        failed_at, code = self._failed.get(address, (-FAILED, Code.NO_ROUTE))
        parked = self._parked.get(address)
        if parked:
            if len(parked.packets) == PARKED:
                self.counts["parked too many"] += 1
            parked.packets.append(packet)
        elif self._engine.now() - failed_at < FAILED or len(self._parked) >= DESTINATIONS:
            self._unreachable(code, packet)
        else:
            self._parked[address] = Parked(deque([packet], maxlen=PARKED))
            self._spawn(self._open(address))

    async def _open(self, address: bytes) -> None:
        """Find the destination, open a session, let the packets go."""
        try:
            peer = await self._find(address)
            await self._waiters.open(peer, [], PATIENCE)
        except RovyError as error:
            none = isinstance(error, Unreachable) and error.reason in UNKNOWN
            self._give_up(address, Code.NO_ROUTE if none else Code.ADDRESS)
        else:
            self._engine.transmit(list(self._parked.pop(address).packets))

    def _give_up(self, address: bytes, code: Code) -> None:
        self._failed[address] = self._engine.now(), code
        self._failed.move_to_end(address)
        while len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)
        for packet in self._parked.pop(address).packets:
            self._unreachable(code, packet)

    def _settled(self, session: Session) -> bool:
        """Whether the MTU of the active path was looked for long enough to be told."""
        active = session.paths.active
        return active is None or active.search.settled(self._engine.now(), active.round_trip)

    def _try_again(self, session: Session, packet: bytes) -> None:
        self._engine.sessions.used(session, self._engine.now())  # only then the MTU is looked for
        self._settling.append(packet)
        if self._settle is None:
            self._settle = asyncio.get_running_loop().call_later(SETTLING, self._settling_over)

    def _settling_over(self) -> None:
        self._settle = None
        packets = list(self._settling)
        self._settling.clear()
        self.transmit(packets)

    def _in_pieces(self, session: Session, packet: bytes) -> None:
        path = session.path
        between = path.label.hops - 1 if isinstance(path, Routed) else 0
        try:
            self._engine.send_in_pieces(session, squeeze(packet, between))
        except RovyError:
            self._unreachable(Code.ADDRESS, packet)

    def _expired(self, session: Session, packet: bytes) -> None:
        """The node at which the hop limit ends is asked for its name, which it signs."""
        path, hop = session.path, packet[HOP_LIMIT]
        if isinstance(path, Routed) and 0 < hop < path.label.hops and self._tracing < TRACES:
            self._tracing += 1
            self._spawn(self._trace(Routed(path.label.prefixes[hop - 1]), packet))
        else:
            self.counts["hop limit"] += 1

    async def _trace(self, way: Routed, packet: bytes) -> None:
        try:
            hop = await self._notices.trace(way.label, TRACE_PATIENCE)
        except RovyError:
            self.counts["hop did not answer"] += 1
        else:
            back = way.label.hops - 1
            self._error("hop limit", icmp6.time_exceeded(packet, hop.address, back))
        finally:
            self._tracing -= 1

    def _unreachable(self, code: Code, packet: bytes) -> None:
        self._error("unreachable", icmp6.unreachable(code, packet, self._own.address))

    def _error(self, what: str, error: bytes | None) -> None:
        """An ICMPv6 error to a program of this machine."""
        self.counts[what] += 1
        if error is not None and self._errors.take(self._engine.now()):
            self.interface.write([error])

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
