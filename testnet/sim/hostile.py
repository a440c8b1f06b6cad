"""Attackers: production nodes some of whose methods are replaced. Nothing in rovy/ knows of them.

    liar = Swallow(world, 7)
    liar.install()
    …
    liar.remove()

Each is one behaviour of one node, and several can be installed in one node.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from rovy.wire import dht as wire
from rovy.wire.beacon import BeaconMessage
from rovy.wire.flood import Records
from rovy.wire.forward import LEN, POS
from testnet.sim.world import World

_FORWARD = 13
"""Where the forward header begins in a datagram: after header and codec."""
REMEMBERED = 500
"""Messages that a replayer keeps; the oldest gives way."""


class Hostile:
    """A behaviour that can be put into a node and taken out again."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.services: Any = world.services(number)
        self._undo: list[Callable[[], object]] = []

    def install(self) -> None:
        """Behave so from now on."""
        raise NotImplementedError

    def remove(self) -> None:
        """Behave again."""
        while self._undo:
            self._undo.pop()()

    def _replace(self, owner: Any, name: str, method: Any) -> None:
        """Put a method into one object, not into its class."""
        setattr(owner, name, method)
        self._undo.append(lambda: delattr(owner, name))

    def _exchange(self, table: dict[str, Any], key: str, value: Any) -> None:
        former = table[key]
        table[key] = value
        self._undo.append(lambda: table.__setitem__(key, former))

    def _neighbours(self) -> Iterable[tuple[Any, Any]]:
        """Sessions of the peerings and their direct paths."""
        for session in list(self.services.engine.sessions):
            if session.direct and session.peer in self.services.peerings.by_peer:
                yield session, session.direct[0]

    def _repeat(self, act: Callable[[], None], every: float) -> None:
        async def forever() -> None:
            while self.world.nodes.get(self.number):
                act()
                await asyncio.sleep(every)

        self._undo.append(self.world.spawn(forever()).cancel)


class Swallow(Hostile):
    """Drops what it should pass on without a word, traces included; its peerings live on."""

    def __init__(self, world: World, number: int, share: float = 1.0) -> None:
        super().__init__(world, number)
        self._share = share
        self.swallowed = 0

    def install(self) -> None:
        """See `Hostile`."""
        plane = self.services.engine.dataplane
        plain, random = plane._forward, self.world.random  # noqa: SLF001

        def forward(view: memoryview, at: int, *rest: Any) -> Any:
            passes = view[at + _FORWARD + POS] < view[at + _FORWARD + LEN]
            if passes and random.random() < self._share:
                self.swallowed += 1
                return None
            return plain(view, at, *rest)

        self._replace(plane, "_forward", forward)


class CostLiar(Hostile):
    """Says of all its links that they cost so much, whatever was measured."""

    def __init__(self, world: World, number: int, seconds: float = 16e-6) -> None:
        super().__init__(world, number)
        self._seconds = seconds

    def install(self) -> None:
        """See `Hostile`. It is told with the next measurement, 5 s later at most."""
        flood = self.services.mapper.flood
        plain = flood.link

        def link(short: bytes, slot: int, their_slot: int, cost: float, *rest: Any) -> Any:
            return plain(short, slot, their_slot, self._seconds, *rest)

        self._replace(flood, "link", link)


class Tamperer(Hostile):
    """Sends its neighbours what it heard from others, later, and altered in one bit or not.

    So it forges and replays link records, beacons and whatever else travels from hop to hop.
    """

    def __init__(
        self, world: World, number: int, *, alter: bool, every: float = 0.2, delay: float = 5.0
    ) -> None:
        super().__init__(world, number)
        self._alter, self._every, self._delay = alter, every, delay
        self._heard: deque[tuple[float, Any]] = deque(maxlen=REMEMBERED)
        self.sent = 0

    def install(self) -> None:
        """See `Hostile`."""
        plain = self.services.on_control

        def on_control(session: Any, message: Any, path: Any, index: int) -> Any:
            if isinstance(message, Records | BeaconMessage):
                self._heard.append((self.world.now(), message))
            return plain(session, message, path, index)

        self._replace(self.services, "on_control", on_control)
        self._repeat(self._send, self._every)

    def _send(self) -> None:
        if not self._heard or self._heard[0][0] > self.world.now() - self._delay:
            return
        _, message = self._heard.popleft()
        raw = message.emit()
        for session, path in self._neighbours():
            self.services.engine.tell(
                session, Raw(self._altered(raw) if self._alter else raw), path
            )
            self.sent += 1

    def _altered(self, raw: bytes) -> bytes:
        """One bit past the type and the length is another."""
        random = self.world.random
        at = random.randrange(3, len(raw))
        return raw[:at] + bytes((raw[at] ^ 1 << random.randrange(8),)) + raw[at + 1 :]


class Flooder(Hostile):
    """Sends each neighbour messages of one kind, so many a second."""

    def __init__(self, world: World, number: int, make: Callable[[], bytes], rate: float) -> None:
        super().__init__(world, number)
        self._make, self._every = make, 1 / rate
        self.sent = 0

    def install(self) -> None:
        """See `Hostile`."""
        self._repeat(self._send, self._every)

    def _send(self) -> None:
        for session, path in self._neighbours():
            self.services.engine.tell(session, Raw(self._make()), path)
            self.sent += 1


class LyingDht(Hostile):
    """Lies about one place in the DHT, and is honest about all others.

    Asked for it, it names only those it is in league with, and as values what was altered; told
    to store something there, it says it did.
    """

    def __init__(self, world: World, number: int, place: bytes, league: Iterable[int]) -> None:
        super().__init__(world, number)
        self._place, self._league = place, list(league)
        self.asked = 0

    def install(self) -> None:
        """See `Hostile`."""
        requests = self.services.requests
        for table in (requests.answerers, requests.early):
            self._exchange(table, "dht", self._lie(table["dht"]))

    def _lie(self, honest: Callable[[Any, bytes], bytes | None]) -> Callable[[Any, bytes], Any]:
        def answer(peer: Any, body: bytes) -> bytes | None:
            request = wire.parse_request(body)
            if isinstance(request, wire.Store) and self._place in request.value:
                return bytes((wire.STORED,))
            if not isinstance(request, wire.Find) or not self._meant(request.target, request.bits):
                return honest(peer, body)
            self.asked += 1
            said = honest(peer, body)
            values = wire.parse_found(said).values if said else ()
            altered = tuple((kind, raw[:-1] + bytes((raw[-1] ^ 1,))) for kind, raw in values)
            return wire.Found(altered, tuple(self._named())).emit()

        return answer

    def _meant(self, target: bytes, bits: int) -> bool:
        return target[: bits // 8] == self._place[: bits // 8]

    def _named(self) -> Iterable[wire.Named]:
        for number in self._league:
            peer = self.world.peer(number)
            way = self.services.beyond.messenger.label(peer) if number != self.number else None
            if way:
                yield wire.Named(peer.key, b"", *way)


class Raw:
    """A control message as its bytes."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def emit(self) -> bytes:
        """As they are."""
        return self._raw


def every_fifth(world: World, place: bytes, spared: Iterable[int]) -> list[int]:
    """Of all nodes by their distance from a place: the nearest, and every fifth after it."""
    there = int.from_bytes(place, "big")

    def distance(number: int) -> int:
        return int.from_bytes(world.peer(number).node_id, "big") ^ there

    ordered = sorted(set(world.nodes) - set(spared), key=distance)
    return ordered[::5]
