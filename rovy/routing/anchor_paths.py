"""Ways from anchors to here: what neighbours offered of them, and which one is used.

docs/protocol/anchors.md §5
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import Final

from rovy.address.keys import PeerID
from rovy.buckets import TokenBucket
from rovy.routing.anchor_seats import rank
from rovy.routing.beacon import Beacon
from rovy.routing.cost import decode_cost
from rovy.routing.graph import LINK_FLOOR, Link, pair
from rovy.routing.map import LinkName

ALTERNATIVES: Final = 4
"""Ways to one anchor, each over another neighbour; the cheapest stay."""
REFRESH: Final = 600.0
"""Seconds from one sequence of an anchor to the next."""
LIFETIME: Final = 1500.0
"""Seconds that a sequence is good for, from when it was first heard."""
SETTLE: Final = 60.0
"""Seconds in which a new sequence comes to everybody over the cheapest way: until then the one
before is as good."""
SLACK: Final = 60.0
"""Seconds by which a refresh may be late."""
HYSTERESIS: Final = 0.1
"""A way in use gives way to one that is cheaper by this part of its cost."""
SEQUENCES: Final = (0.1, 4.0)
"""New sequences of one anchor: a second, and at once."""
FORMER: Final = 64
"""Anchors remembered that no way leads to; the one lost first gives way."""


@dataclass(frozen=True)
class AnchorPath:
    """A way from an anchor to this node."""

    beacon: Beacon
    here: PeerID
    expires: float = inf
    q: int = 0
    """Cost of the last link as measured here, one byte."""
    mtu: int = 0xFFFF
    """Of the last link as found here."""

    @property
    def anchor(self) -> PeerID:
        """Where it begins."""
        return self.beacon.anchor

    @property
    def via(self) -> bytes:
        """Short of the neighbour that offered it."""
        return self.beacon.hops[-1].node.short

    @cached_property
    def nodes(self) -> tuple[PeerID, ...]:
        """From the anchor to this node, both included."""
        return (*(hop.node for hop in self.beacon.hops), self.here)

    @cached_property
    def costs(self) -> tuple[int, ...]:
        """Of its links, one byte each, from the anchor on."""
        *others, last = (hop.step.cost for hop in self.beacon.hops)
        return (*others, max(last, self.q))

    @cached_property
    def cost(self) -> float:
        """Seconds, the sum over its links."""
        return sum(map(decode_cost, self.costs))

    @cached_property
    def links(self) -> tuple[tuple[Link, Link], ...]:
        """Its links from the anchor on, each away from the anchor and towards it."""
        return tuple(self._links())

    @cached_property
    def names(self) -> frozenset[LinkName]:
        """Its links by the shorts of their ends."""
        return frozenset(pair(a.short, b.short) for a, b in pairwise(self.nodes))

    @property
    def entry(self) -> bytes | None:
        """Short of the anchor's neighbour on it; None where that is this node."""
        return self.nodes[1].short if len(self.nodes) > 2 else None

    def measured(self, q: int, mtu: int) -> "AnchorPath":
        """The same, its last link measured here."""
        return replace(self, q=q, mtu=mtu)

    def leads_through(self, short: bytes) -> bool:
        """Whether a node is on it before this one."""
        return short in self._shorts

    @cached_property
    def _shorts(self) -> frozenset[bytes]:
        return frozenset(hop.node.short for hop in self.beacon.hops)

    @property
    def shape(self) -> tuple[object, ...]:
        """Where it leads and what that costs, whatever the sequence."""
        return self.nodes, self.links

    def _links(self) -> Iterator[tuple[Link, Link]]:
        steps = [hop.step for hop in self.beacon.hops]
        mtus = [*(step.mtu for step in steps[:-1]), min(steps[-1].mtu, self.mtu)]
        for step, q, mtu in zip(steps, self.costs, mtus, strict=True):
            cost, room = decode_cost(q), max(mtu, LINK_FLOOR)
            yield (
                Link(step.slot, step.next_slot, cost, room),
                Link(step.next_slot, step.slot, cost, room),
            )


@dataclass(slots=True, eq=False)
class Row:
    """What is known of one anchor."""

    anchor: PeerID
    rank: bytes
    first_seen: float
    sequences: TokenBucket
    """How many more new sequences are taken."""
    newest: int = -1
    """The highest sequence heard of."""
    newest_at: float = -inf
    flags: int = 0
    """Of that sequence."""
    last: Beacon | None = None
    """The first beacon with it."""
    lost: float = inf
    """Since when no way leads to it."""
    paths: dict[bytes, AnchorPath] = field(default_factory=dict)
    """By neighbour."""
    best: AnchorPath | None = None

    def expiry(self, sequence: int, now: float) -> float:
        """When a way with this sequence is over; not after now: it is too old already."""
        if sequence > self.newest:
            return now + LIFETIME
        if sequence == self.newest:
            return self.newest_at + LIFETIME
        return self.newest_at + LIFETIME - REFRESH if sequence >= self._oldest else -inf

    def has_room(self, via: bytes, cost: float) -> bool:
        """Whether a way over this neighbour would be kept."""
        others = [path.cost for short, path in self.paths.items() if short != via]
        return len(others) < ALTERNATIVES or cost < max(others)

    def put(self, path: AnchorPath, now: float) -> AnchorPath | None:
        """Take a verified way; the one that gave way to it, if any."""
        beacon = path.beacon
        if beacon.sequence > self.newest:
            self.newest, self.newest_at = beacon.sequence, now
            self.flags, self.last = beacon.flags, beacon
            for via in [v for v, p in self.paths.items() if p.beacon.sequence < self._oldest]:
                del self.paths[via]
        self.paths[path.via] = path
        if len(self.paths) <= ALTERNATIVES:
            return None
        return self.paths.pop(max(self.paths, key=lambda via: (self.paths[via].cost, via)))

    def choose(self, now: float) -> None:
        """Forget what is over and find the way to use."""
        for via in [via for via, path in self.paths.items() if now >= path.expires]:
            del self.paths[via]
        settled = now >= self.newest_at + SETTLE
        fresh = [p for p in self.paths.values() if p.beacon.sequence == self.newest]
        among = fresh if fresh and settled else list(self.paths.values())
        cheapest = min(among, key=lambda path: (path.cost, path.via), default=None)
        current = self.paths.get(self.best.via) if self.best else None
        self.best = current if self._stays(current, cheapest, among, settled) else cheapest

    def due(self, now: float) -> float:
        """When `choose` may choose otherwise though nothing came."""
        settles = self.newest_at + SETTLE
        over = (path.expires for path in self.paths.values())
        return min(settles if settles > now else inf, *over, inf)

    @property
    def _oldest(self) -> int:
        """The lowest sequence that counts beside the newest."""
        return self.newest - round((REFRESH + SLACK) * 1000)

    def _stays(
        self,
        current: AnchorPath | None,
        cheapest: AnchorPath | None,
        among: list[AnchorPath],
        settled: bool,
    ) -> bool:
        if current is None or cheapest is None or current not in among:
            return False
        if settled:
            return cheapest.cost >= current.cost * (1 - _TIE)
        return cheapest.cost > current.cost * (1 - HYSTERESIS)


_TIE: Final = 1e-9


class Rows:
    """What is known of anchors, by short: those that ways lead to, and former ones."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Row] = {}
        self._former: OrderedDict[bytes, Row] = OrderedDict()

    def about(self, anchor: PeerID, now: float) -> Row:
        """The anchor's row; one that was lost long ago counts as never seen."""
        short = anchor.short
        row = self.rows.get(short) or self._former.get(short)
        if row is None or now >= row.lost + LIFETIME:
            return Row(anchor, rank(anchor), now, TokenBucket(*SEQUENCES, now))
        return row

    def put(self, row: Row, path: AnchorPath, now: float) -> AnchorPath | None:
        """Take a verified way; the one that gave way to it, if any."""
        short = row.anchor.short
        self._former.pop(short, None)
        self.rows[short], row.lost = row, inf
        return row.put(path, now)

    def remove(self, anchor: bytes, via: bytes) -> bool:
        """Forget a way; whether there was one."""
        row = self.rows.get(anchor)
        return bool(row and row.paths.pop(via, None))

    def choose(self, now: float) -> None:
        """Find the way to each anchor; those that none leads to are former ones."""
        for row in list(self.rows.values()):
            row.choose(now)
            if row.best is None:
                self.drop(row, now)

    def drop(self, row: Row, now: float) -> None:
        """Forget all ways to an anchor."""
        short = row.anchor.short
        del self.rows[short]
        row.paths, row.best, row.lost = {}, None, now
        self._former[short] = row
        if len(self._former) > FORMER:
            self._former.popitem(last=False)

    def due(self, now: float) -> float:
        """When `choose` may choose otherwise though nothing came."""
        return min((row.due(now) for row in self.rows.values()), default=inf)
