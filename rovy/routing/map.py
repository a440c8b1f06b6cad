"""The link records a node holds: its nearest nodes, and what waits to be confirmed.

docs/protocol/routing.md §4
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2s
from itertools import islice
from math import inf

from rovy.routing.graph import Graph, Link, Links, distances
from rovy.routing.record import LinkRecord

NEAREST = 128
"""V: so many nodes a map is meant to hold; twice as many it holds at most."""
FORGET = 2 * 3600.0
"""Seconds after its last new sequence that a record is forgotten."""
WAIT = 60.0
"""Seconds that a record may wait for the link by which it can be reached."""
WAITING = 128
"""Records that wait, of those one neighbour sent; the one waiting longest gives way."""

SURPLUS = 4
"""V times so many records are remembered that had no room; the oldest is forgotten."""

LinkName = tuple[bytes, bytes]
"""A link by the shorts of its ends, the smaller first."""


@dataclass(slots=True, eq=False)
class Held:
    """A record and where it came from."""

    record: LinkRecord
    source: bytes
    """Short of the neighbour that sent it, or our own."""
    learned: float
    waits_since: float | None = None
    """Since when no link leads to its node; None while one does."""


class LinkMap:
    """Records by the short of their node. `now` is the caller's clock, seconds."""

    def __init__(self, own: bytes, nearest: int = NEAREST) -> None:
        self.own, self.nearest = own, nearest
        self.held: dict[bytes, Held] = {}
        self.graph = Graph({own: {}})
        """Of the nodes that links lead to."""
        self.former = self.graph
        """The graph before its last change."""
        self._known, self._changed = Links(), False
        """Of all nodes held, and whether they are others than those `graph` was made of."""
        self.distance: dict[bytes, float] = {own: 0.0}
        """Seconds of cost to every node that links lead to, the nearest first."""
        self.came: set[bytes] = set()
        """Nodes whose records waited until `refresh` found a link to them."""
        self.reach = inf
        """Distance in seconds from which on nodes have no room."""
        self._surplus: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        """Sequence and distance of nodes that had no room."""
        self.links: frozenset[LinkName] = frozenset()
        self.due = inf
        """When something is over, and `refresh` wants to be called for that."""

    @property
    def neighbours(self) -> dict[bytes, Link]:
        """The own links that count."""
        return self.graph.adjacency.get(self.own, {})

    @property
    def radius(self) -> float:
        """Cost in seconds up to which nodes are wanted; infinite while there is room."""
        if len(self.distance) <= self.nearest:
            return inf
        return next(islice(self.distance.values(), self.nearest, None))

    def sequence(self, short: bytes) -> int:
        """Of the record held of a node; -1 where there is none."""
        held = self.held.get(short)
        return held.record.sequence if held else -1

    def lacks(self, short: bytes, sequence: int) -> bool:
        """Whether such a record is wanted: newer, and not one that had no room a while ago."""
        surplus, distance = self._surplus.get(short, (-1, 0.0))
        return sequence > self.sequence(short) and (sequence > surplus or distance < self.reach)

    def add(self, record: LinkRecord, source: bytes, now: float) -> None:
        """Take a verified record in place of an older one; `refresh` makes it count."""
        self.held[record.short] = Held(record, source, now)
        self._changed = self._known.put(record) or self._changed

    def forget_waiting(self, source: bytes) -> None:
        """A neighbour is gone, and with it what came from there and leads nowhere."""
        for short, held in list(self.held.items()):
            if held.source == source and held.waits_since is not None:
                self._drop(short)

    def refresh(self, now: float) -> frozenset[LinkName] | None:
        """Make graph and distances anew and forget what is over.

        The links that are gone, or None where the graph is as it was.
        """
        before = self.graph
        for short in [s for s, h in self._others() if now >= h.learned + FORGET]:
            self._drop(short)
        self._measure()
        self._wait(now)
        most = 2 * self.nearest
        far = list(self.distance.items())[most:]
        if far:
            for short, distance in far:
                self._leave_out(short, distance)
            self._measure()
        full = len(self.distance) >= most
        self.reach = next(reversed(self.distance.values())) if full else inf
        self.due = min((_end(held) for _, held in self._others()), default=inf)
        if self.graph is before:
            return None
        self.former = before
        links, self.links = self.links, frozenset(_links(self.graph))
        return links - self.links

    def digest(self, shorts: Iterable[bytes]) -> bytes:
        """16 bytes that differ where the records held of these nodes do."""
        parts = (s + self.held[s].record.sequence.to_bytes(6, "big") for s in sorted(shorts))
        return blake2s(b"".join(parts), digest_size=16).digest()

    def _leave_out(self, short: bytes, distance: float) -> None:
        """Forget a record for want of room, and remember that, lest it is asked for again."""
        self._surplus[short] = self.sequence(short), distance
        self._drop(short)
        self._surplus.move_to_end(short)
        while len(self._surplus) > SURPLUS * self.nearest:
            self._surplus.popitem(last=False)

    def _others(self) -> Iterator[tuple[bytes, Held]]:
        """All but our own."""
        return ((short, held) for short, held in self.held.items() if short != self.own)

    def _drop(self, short: bytes) -> None:
        del self.held[short]
        self._changed = self._known.drop(short) or self._changed

    def _measure(self) -> None:
        """Distances over all links known, and the graph of the nodes these lead to."""
        if not self._changed:
            return
        self._changed = False
        known = self._known.adjacency
        self.distance = distances(Graph(known), self.own)
        found = {short: known.get(short, {}) for short in self.distance}
        if found != self.graph.adjacency:
            self.graph = Graph(found)

    def _wait(self, now: float) -> None:
        """Note which records no link leads to, and drop those that have waited long enough."""
        waiting: dict[bytes, list[bytes]] = {}
        self.came = set()
        for short, held in list(self._others()):
            if short in self.distance:
                if held.waits_since is not None:
                    self.came.add(short)
                    held.waits_since = None
                continue
            if held.waits_since is None:
                held.waits_since = now
            if now >= held.waits_since + WAIT:
                self._drop(short)
            else:
                waiting.setdefault(held.source, []).append(short)
        for shorts in waiting.values():
            shorts.sort(key=lambda short: self.held[short].waits_since or 0.0)
            for short in shorts[:-WAITING]:
                self._drop(short)


def _end(held: Held) -> float:
    """When a record is over unless something happens."""
    waits = inf if held.waits_since is None else held.waits_since + WAIT
    return min(held.learned + FORGET, waits)


def _links(graph: Graph) -> Iterable[LinkName]:
    for near, links in graph.adjacency.items():
        for far in links:
            if near < far:
                yield near, far
