"""Flooding: own link record out, others' records on, maps of neighbours kept alike.

Inputs are methods; messages to neighbours are pulled. docs/protocol/routing.md §5
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil, inf

from rovy.address.keys import PrivateKey
from rovy.buckets import TokenBucket
from rovy.errors import Malformed
from rovy.routing.cost import changed_enough, decode_cost, encode_cost
from rovy.routing.map import NEAREST, LinkMap, LinkName
from rovy.routing.record import LEAF, MAX_LINKS, MAX_SEQUENCE, TRUNC, LinkEntry, LinkRecord
from rovy.wire.flood import (
    INFINITE,
    MAX_LISTED,
    MAX_RECORDS,
    Flooded,
    Listing,
    Records,
    Summary,
    Wanted,
)

AFTER_DOWN = 0.05
"""Seconds from a link's end to the record that says so."""
AFTER_CHANGE = 0.25
LINK_CHANGES = (20, 30.0)
"""So many records in so many seconds because links came or went."""
COST_CHANGES = (3, 30.0)
REFRESH = 2400.0
FLUSH = 0.01
"""Seconds that records are collected before they are passed on …"""
FLUSH_NODES = 64
"""… and as much longer for each of so many nodes in the map: the larger, the more work it is."""
SUMMARY = 60.0
CHECK = 1.0
"""Seconds after records went to a neighbour until a summary shows whether they arrived; the next
ones follow after twice as long each, up to `SUMMARY`."""
NEW_RECORDS = (10.0, 512.0)
"""Records with a new sequence taken from one neighbour: a second, and at once."""
QUESTIONS = (2.0, 16.0)
"""Summaries, listings and wishes heard from one neighbour: a second, and at once."""
LIMITED = 1024
"""Neighbours whose limits are remembered, former ones included; the oldest gives way."""
FAR_AHEAD = MAX_SEQUENCE // 2
"""Who has our key may say anything in our name, but not make us run out of numbers."""
_MICRO = 1e6


@dataclass(slots=True, eq=False)
class Neighbour:
    """A peering that is up, and what the other side is known to hold."""

    short: bytes
    slot: int
    their_slot: int
    cost: float
    """Seconds, as measured last."""
    mtu: int
    records: TokenBucket
    questions: TokenBucket
    radius: float = inf
    """Seconds of cost from it, up to which it wants records."""
    has: dict[bytes, int] = field(default_factory=dict)
    doubtful: bool = True
    """Whether it may lack more than what is new here."""
    summary_at: float = inf
    pause: float = CHECK
    """Seconds from the next summary to the one after it."""

    def hasten(self, now: float) -> None:
        """Let summaries follow soon, until it is certain that nothing got lost."""
        self.pause = CHECK
        self.summary_at = min(self.summary_at, now + CHECK)


class Flood:
    """One node's share in keeping all maps alike."""

    def __init__(
        self,
        private: PrivateKey,
        *,
        now: float,
        wall: Callable[[], float],
        random: Callable[[int], bytes],
        sequence: int = 0,
        nearest: int = NEAREST,
    ) -> None:
        self._private, self._wall, self._random = private, wall, random
        self.own = private.peer_id.short
        self.map = LinkMap(self.own, nearest)
        self.neighbours: dict[bytes, Neighbour] = {}
        self.sequence = sequence
        """The highest one used."""
        self.counts: Counter[str] = Counter()
        self.taken: Callable[[LinkRecord], None] = lambda record: None
        """Hears every record that is new here."""
        self._news: set[bytes] = set()
        """Nodes whose records came since records were passed on last."""
        self._out: list[tuple[bytes, Flooded]] = []
        self._limits: OrderedDict[bytes, tuple[TokenBucket, TokenBucket]] = OrderedDict()
        self._link_changes = _bucket(LINK_CHANGES, now)
        self._cost_changes = _bucket(COST_CHANGES, now)
        self._publish_at, self._topology = inf, False
        self._refresh_at = now + REFRESH
        self._flush_at = inf

    def pull(self) -> list[tuple[bytes, Flooded]]:
        """Messages to go out: (short of the neighbour, message)."""
        out, self._out = self._out, []
        return out

    # Neighbours

    def link(
        self, short: bytes, slot: int, their_slot: int, cost: float, mtu: int, now: float
    ) -> None:
        """A peering is up, or was measured again."""
        known = self.neighbours.get(short)
        if known is None or (known.slot, known.their_slot) != (slot, their_slot):
            new = Neighbour(short, slot, their_slot, cost, mtu, *self._limits_of(short, now))
            new.hasten(now)
            self.neighbours[short] = new
            self._change(now + AFTER_CHANGE, topology=True)
            if new.questions.take(now):
                self._send(new, Listing(self._listing(new)))
            return
        known.cost, known.mtu = cost, mtu
        told = self._told(short)
        if told and (changed_enough(told.cost, cost) or told.mtu != mtu):
            self._change(now + AFTER_CHANGE, topology=False)

    def unlink(self, short: bytes, now: float) -> None:
        """A peering is down."""
        if self.neighbours.pop(short, None):
            self.map.forget_waiting(short)
            self._change(now + AFTER_DOWN, topology=True)

    # Messages

    def receive(self, short: bytes, message: Flooded, now: float) -> None:
        """A neighbour says something."""
        neighbour = self.neighbours.get(short)
        if neighbour is None:
            self.counts["not a neighbour"] += 1
        elif isinstance(message, Records):
            self._records(neighbour, message.records, now)
        elif not neighbour.questions.take(now):
            self.counts["too many questions"] += 1
        elif isinstance(message, Summary):
            self._summary(neighbour, message, now)
        elif isinstance(message, Listing):
            self._compare(neighbour, message, now)
        else:
            held = (self.map.held.get(wanted) for wanted in dict.fromkeys(message.shorts))
            self._pass_on(neighbour, [h.record for h in held if h], now)

    def _records(self, neighbour: Neighbour, raws: Iterable[bytes], now: float) -> None:
        for raw in raws:
            try:
                record = LinkRecord.parse(raw)
                self._record(neighbour, record, now)
            except Malformed:
                self.counts["malformed record"] += 1

    def _record(self, neighbour: Neighbour, record: LinkRecord, now: float) -> None:
        short, held = record.short, self.map.sequence(record.short)
        if record.sequence <= held:
            neighbour.has[short] = max(neighbour.has.get(short, -1), min(record.sequence, held))
            self.counts["known record"] += 1
            if short == neighbour.short and record.sequence < held:
                self._remind(neighbour, now)
            return
        if not neighbour.records.take(now):
            self.counts["too many records"] += 1
            return
        record.verify()
        neighbour.has[short] = record.sequence
        if short == self.own:
            if record.sequence > FAR_AHEAD:
                return
            self.sequence = max(self.sequence, record.sequence)
            self._change(now + AFTER_CHANGE, topology=True)
            self.counts["own record from before"] += 1
            return
        self.map.add(record, neighbour.short, now)
        self._news.add(short)
        self.taken(record)
        self.counts["new record"] += 1
        collect = FLUSH * (1 + len(self.map.distance) / FLUSH_NODES)
        self._flush_at = min(self._flush_at, now + collect)

    def _remind(self, neighbour: Neighbour, now: float) -> None:
        """A neighbour that lost its clock goes on above its record from before."""
        if neighbour.questions.take(now):
            self._pass_on(neighbour, [self.map.held[neighbour.short].record], now)

    def _summary(self, neighbour: Neighbour, summary: Summary, now: float) -> None:
        neighbour.radius = inf if summary.radius == INFINITE else summary.radius / _MICRO
        neighbour.doubtful = True
        wanted = self._within(neighbour)
        if summary.digest == self.map.digest(wanted):
            neighbour.has |= {short: self.map.sequence(short) for short in wanted}
            return
        self._send(neighbour, Listing(self._listing(neighbour)))
        if summary.radius == INFINITE and self.map.radius == inf:
            neighbour.hasten(now)

    def _compare(self, neighbour: Neighbour, listing: Listing, now: float) -> None:
        """Ask for what is newer there, and let what is newer here go there.

        It lists what lies within our radius as seen from there: of nodes at its edge it may hold
        records all the same.
        """
        neighbour.doubtful = True
        theirs, edge = dict(listing.entries), self.map.radius - 2 * self._cost(neighbour)
        far = self.map.distance
        neighbour.has = {s: q for s, q in neighbour.has.items() if far.get(s, 0.0) > edge}
        neighbour.has |= {s: seq for s, seq in theirs.items() if seq <= self.map.sequence(s)}
        newer = [s for s, sequence in theirs.items() if self.map.lacks(s, sequence)]
        if newer:
            self._send(neighbour, Wanted(tuple(newer)))
            neighbour.hasten(now)
        self._flush_at = min(self._flush_at, now + FLUSH)

    # Time

    def next_timer(self) -> float:
        """When `run` wants to be called."""
        summaries = (neighbour.summary_at for neighbour in self.neighbours.values())
        own = self._publish_at, self._refresh_at, self._flush_at, self.map.due
        return min(*own, *summaries)

    def run(self, now: float) -> frozenset[LinkName] | None:
        """Do what is due; the links that are gone, or None where the map is as it was."""
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH
            self._change(now, topology=True)
        if now >= self._publish_at:
            self._publish(now)
        gone = self._flush(now) if now >= min(self._flush_at, self.map.due) else None
        for neighbour in self.neighbours.values():
            if now >= neighbour.summary_at:
                neighbour.summary_at = now + neighbour.pause
                neighbour.pause = min(2 * neighbour.pause, SUMMARY)
                self._send(neighbour, self._summarise(neighbour))
        return gone

    def _change(self, at: float, *, topology: bool) -> None:
        self._publish_at = min(self._publish_at, at)
        self._topology = self._topology or topology

    def _publish(self, now: float) -> None:
        bucket = self._link_changes if self._topology else self._cost_changes
        if not bucket.take(now):
            self._publish_at = now + 1.0
            return
        self._publish_at, self._topology = inf, False
        self._refresh_at = now + REFRESH
        self.sequence = max(int(self._wall() * 1000), self.sequence + 1)
        flags, links = self._own_links()
        nonce = self._random(64)
        record = LinkRecord.sign(self._private, self.sequence, flags, links, nonce)
        self.map.add(record, self.own, now)
        self._news.add(self.own)
        self.counts["own record"] += 1
        self._flush_at = now

    def _own_links(self) -> tuple[int, list[LinkEntry]]:
        """The best 48 links, those to leaves last since leaves name them themselves."""
        ranked = sorted(
            self.neighbours.values(), key=lambda n: (self._is_leaf(n.short), n.cost, n.short)
        )
        flags = TRUNC if len(ranked) > MAX_LINKS else LEAF if len(ranked) == 1 else 0
        return flags, [
            LinkEntry(n.short, n.slot, n.their_slot, encode_cost(n.cost), n.mtu)
            for n in ranked[:MAX_LINKS]
        ]

    def _lists_leaves(self) -> bool:
        """Whether leaves take up room in our record that others need, since they said so late."""
        held = self.map.held.get(self.own)
        if held is None or not held.record.flags & TRUNC:
            return False
        told = {link.peer for link in held.record.links}
        others = (s for s in self.neighbours if s not in told and not self._is_leaf(s))
        return any(map(self._is_leaf, told)) and any(others)

    def _flush(self, now: float) -> frozenset[LinkName] | None:
        """Count in what is new, and pass it on."""
        self._flush_at = inf
        gone = self.map.refresh(now)
        if self._lists_leaves():
            self._change(now + AFTER_CHANGE, topology=False)
        news, self._news = self._news | self.map.came, set()
        for neighbour in self.neighbours.values():
            if len(neighbour.has) > len(self.map.held):
                neighbour.has = {s: q for s, q in neighbour.has.items() if s in self.map.held}
            self._pass_on(neighbour, self._lacking(neighbour, news), now)
        return gone

    def _lacking(self, neighbour: Neighbour, news: set[bytes]) -> list[LinkRecord]:
        """Records that a neighbour wants and is not known to have, the nearest first.

        For who wants all, and was told all before, only what is new needs a look.
        """
        whole = neighbour.radius < inf or neighbour.doubtful
        wanted = self._within(neighbour) if whole else self._reached(news)
        neighbour.doubtful = False
        held, has = self.map.held, neighbour.has
        newer = (s for s in wanted if has.get(s, -1) < held[s].record.sequence)
        return [held[s].record for s in newer if s != neighbour.short]

    def _reached(self, shorts: set[bytes]) -> list[bytes]:
        distance, held = self.map.distance, self.map.held
        found = [short for short in shorts if short in distance and short in held]
        return sorted(found, key=distance.__getitem__)

    # Out

    def _pass_on(self, neighbour: Neighbour, records: list[LinkRecord], now: float) -> None:
        for batch in _batches(records):
            self._send(neighbour, Records(tuple(record.raw for record in batch)))
        for record in records:
            neighbour.has[record.short] = record.sequence
        if records:
            neighbour.hasten(now)

    def _send(self, neighbour: Neighbour, message: Flooded) -> None:
        self._out.append((neighbour.short, message))

    def _summarise(self, neighbour: Neighbour) -> Summary:
        wanted, radius = self._within(neighbour), self.map.radius
        told = INFINITE if radius == inf else min(ceil(radius * _MICRO), INFINITE - 1)
        return Summary(told, len(wanted), self.map.digest(wanted))

    def _listing(self, neighbour: Neighbour) -> tuple[tuple[bytes, int], ...]:
        wanted = self._within(neighbour)[:MAX_LISTED]
        return tuple((short, self.map.sequence(short)) for short in wanted)

    def _within(self, neighbour: Neighbour) -> list[bytes]:
        """Nodes whose records the neighbour wants, as far as we can tell, the nearest first."""
        held, reach = self.map.held, neighbour.radius - self._cost(neighbour)
        return [s for s, far in self.map.distance.items() if far <= reach and s in held]

    def _cost(self, neighbour: Neighbour) -> float:
        """Seconds, as all have it who hold both records, or less."""
        link = self.map.graph.adjacency.get(self.own, {}).get(neighbour.short)
        return link.cost if link else decode_cost(encode_cost(neighbour.cost))

    def _limits_of(self, short: bytes, now: float) -> tuple[TokenBucket, TokenBucket]:
        """What is left of a neighbour's limits: they outlast the link, or it would come anew."""
        limits = self._limits.pop(short, None)
        self._limits[short] = limits or (
            TokenBucket(*NEW_RECORDS, now),
            TokenBucket(*QUESTIONS, now),
        )
        if len(self._limits) > LIMITED:
            self._limits.popitem(last=False)
        return self._limits[short]

    def _told(self, short: bytes) -> LinkEntry | None:
        """The link as our record in force has it."""
        held = self.map.held.get(self.own)
        links = held.record.links if held else ()
        return next((link for link in links if link.peer == short), None)

    def _is_leaf(self, short: bytes) -> bool:
        held = self.map.held.get(short)
        return held is not None and bool(held.record.flags & LEAF)


def _bucket(limit: tuple[int, float], now: float) -> TokenBucket:
    count, seconds = limit
    return TokenBucket(count / seconds, count, now)


def _batches(records: list[LinkRecord]) -> Iterator[list[LinkRecord]]:
    batch: list[LinkRecord] = []
    size = 0
    for record in records:
        size += len(record.raw) + 2
        if batch and size > MAX_RECORDS:
            yield batch
            batch, size = [], len(record.raw) + 2
        batch.append(record)
    if batch:
        yield batch
