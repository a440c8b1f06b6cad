"""The anchors in use and the ways to them, as a node judges and chooses them; no messages here.

docs/protocol/anchors.md §3, §5
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from rovy.address.keys import PeerID
from rovy.routing.anchor_gone import GoneLinks
from rovy.routing.anchor_neighbour import Heard
from rovy.routing.anchor_paths import AnchorPath, Row, Rows
from rovy.routing.anchor_seats import MAX_PINS, Contender, Seats
from rovy.routing.anchor_self import Candidacy
from rovy.routing.beacon import WILLING, Verified
from rovy.routing.map import LinkName

REST: Final = (10.0, 640.0)
"""Seconds that an anchor crowded out is not taken again: at first, and at most. By another way it
may have another entry and get in, by a third it is crowded out once more, and so on."""
MAX_RESTS: Final = 64
"""Anchors crowded out that are remembered; the one crowded out first gives way."""
MAX_ROWS: Final = 32
"""Anchors that ways are held to before the best of them are chosen."""


@dataclass(frozen=True, slots=True)
class Surplus:
    """A way that was held and is not any more for want of room."""

    path: AnchorPath
    contender: Contender
    """Its anchor, by the way to it that was used."""


class Ways:
    """What a node holds of anchors."""

    def __init__(self, own: PeerID, pins: Iterable[PeerID]) -> None:
        self.own = own
        self.gone = GoneLinks()
        self.verified = Verified()
        self._pins = frozenset(list(pins)[:MAX_PINS])
        self._rows, self._seats = Rows(), Seats()
        self._rests: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        """Anchors crowded out: until when they are not taken, and how long that was."""
        self.self = Candidacy(own, pinned=own in self._pins)
        self._chosen_at = -inf
        self.surplus: list[Surplus] = []
        """Ways that were given up since this was emptied."""
        self.due = inf
        """When `choose` may choose otherwise though nothing came."""

    @property
    def seated(self) -> dict[bytes, AnchorPath]:
        """The ways to the anchors in use but this node, by short, the best ranked first."""
        return dict(self._chosen(self._seats.seated))

    @property
    def candidates(self) -> dict[bytes, AnchorPath]:
        """The same of those that wait for a seat."""
        return dict(self._chosen(self._seats.candidates))

    @property
    def paths(self) -> Iterator[AnchorPath]:
        """All that are held."""
        return (path for row in self._rows.rows.values() for path in row.paths.values())

    # Beacons

    def row(self, anchor: PeerID, now: float) -> Row:
        """What is known of an anchor; an empty row where nothing is."""
        return self._rows.about(anchor, now)

    def refusal(self, row: Row, path: AnchorPath, digest: bytes, now: float) -> Heard | None:
        """What to remember of a beacon that is of no use now, or None: it may be taken."""
        if path.leads_through(self.own.short):
            return Heard(digest, "circle")
        if path.expires <= now:
            return Heard(digest, "old beacon")
        if blocked := self.gone.blocks(path.names, now):
            return Heard(digest, "beacon over a gone link", blocked=blocked)
        contender = self._contender(row, path)
        if (until := self._rests_until(contender.short)) > now:
            return Heard(digest, "unsteady anchor", again=until)
        if not self.has_room(path.via, path.cost, contender):
            return Heard(digest, "surplus beacon", surplus=contender)
        return None

    def has_room(self, via: bytes, cost: float, contender: Contender) -> bool:
        """Whether a way over this neighbour at this cost would be held."""
        if row := self._rows.rows.get(contender.short):
            return row.has_room(via, cost)
        return self._rests_until(contender.short) <= self._chosen_at and self._seats.wants(
            contender
        )

    def take(self, row: Row, path: AnchorPath, now: float) -> bool:
        """Hold a way whose beacon is verified; False where its sequences rise too fast."""
        if path.beacon.sequence > row.newest and not row.sequences.take(now):
            return False
        self._lift(path)
        if lost := self._rows.put(row, path, now):
            self._give_up(row, lost)
        if len(self._rows.rows) > MAX_ROWS:
            self.choose(now)
        return True

    def remove(self, anchor: bytes, via: bytes) -> bool:
        """A neighbour offers a way no more; whether it was held."""
        return self._rows.remove(anchor, via)

    def forget(self, via: bytes) -> None:
        """A neighbour is gone."""
        for anchor in self._rows.rows:
            self._rows.remove(anchor, via)

    def measure(self, via: bytes, q: int, mtu: int) -> None:
        """The link to a neighbour has another cost or mtu."""
        for row in self._rows.rows.values():
            if path := row.paths.get(via):
                row.paths[via] = path.measured(q, mtu)

    # Links that are gone

    def uses(self, name: LinkName) -> bool:
        """Whether a way in use leads over a link."""
        return any(row.best and name in row.best.names for row in self._rows.rows.values())

    def says_later(self, near: PeerID, far: PeerID, sequence: int) -> bool:
        """Whether `near`, as an anchor, named `far` after this."""
        row = self._rows.rows.get(near.short)
        return row is not None and any(
            path.nodes[1] == far and path.beacon.sequence > sequence for path in row.paths.values()
        )

    def purge(self, name: LinkName) -> list[AnchorPath]:
        """Take out all ways over a link."""
        crossing = [path for path in self.paths if name in path.names]
        for path in crossing:
            self._rows.remove(path.anchor.short, path.via)
        return crossing

    def _lift(self, path: AnchorPath) -> None:
        """An anchor names its neighbour anew: the link between them is not gone."""
        self.gone.lift(path.anchor.short, path.nodes[1].short, path.beacon.sequence)

    # Choice

    def choose(self, now: float) -> None:
        """Choose the way to each anchor, the anchors, and whether to be one."""
        self._chosen_at = now
        self._rows.choose(now)
        self._choose_seats(now)
        stood = self.self.standing
        self.self.review(self._seats, now)
        if self.self.standing != stood:
            self._choose_seats(now)
        for row in [r for s, r in self._rows.rows.items() if not self._seats.has(s)]:
            if row.best and self._seats.is_crowded_out(self._contender(row, row.best)):
                self._rest(row.anchor.short, now)
            for path in row.paths.values():
                self._give_up(row, path)
            self._rows.drop(row, now)
        rests = min((until for until, _ in self._rests.values() if until > now), default=inf)
        self.due = min(
            self._rows.due(now), self._seats.due, self.gone.due(now), self.self.due, rests
        )

    def _rest(self, anchor: bytes, now: float) -> None:
        """Each time longer, but for one that was quiet for as long as the longest."""
        until, last = self._rests.pop(anchor, (-inf, 0.0))
        calm = now > until + REST[1]
        pause = REST[0] if calm else min(2 * last, REST[1])
        self._rests[anchor] = now + pause, pause
        if len(self._rests) > MAX_RESTS:
            self._rests.popitem(last=False)

    def _rests_until(self, anchor: bytes) -> float:
        return self._rests.get(anchor, (-inf, 0.0))[0]

    def _choose_seats(self, now: float) -> None:
        rows = self._rows.rows.values()
        contenders = [self._contender(row, row.best) for row in rows if row.best]
        own = [self.self.contender(now)] if self.self.standing else []
        self._seats.choose(contenders + own, now)

    def _contender(self, row: Row, path: AnchorPath) -> Contender:
        """The anchor as it competes by this way."""
        newer = path.beacon.sequence > row.newest
        flags = path.beacon.flags if newer else row.flags
        order = row.anchor not in self._pins, not flags & WILLING, row.rank
        return Contender(row.anchor.short, order, row.first_seen, path.entry)

    def _give_up(self, row: Row, path: AnchorPath) -> None:
        """Judged by the best way: by its own entry, one would be let in for the others again."""
        self.surplus.append(Surplus(path, self._contender(row, row.best or path)))

    def _chosen(self, contenders: list[Contender]) -> Iterator[tuple[bytes, AnchorPath]]:
        for contender in contenders:
            row = self._rows.rows.get(contender.short)
            if row and row.best:
                yield contender.short, row.best
