"""Whether this node stands as an anchor itself. docs/protocol/anchors.md §3"""

from math import inf
from typing import Final

from rovy.address.keys import PeerID
from rovy.routing.anchor_seats import Contender, Order, Seats, rank
from rovy.routing.beacon import WILLING

WILLING_AFTER: Final = 3600.0
"""Seconds with enough peerings after which a node is willing."""
WILLING_PEERINGS: Final = 2
WILLING_SPREAD: Final = 60.0
"""Seconds over which nodes that started at once become willing, the best ranked first."""
GRACE: Final = 300.0
"""Seconds with too few peerings after which a node is not willing any more."""
FIRST_SPREAD: Final = 2.0
"""Seconds over which nodes stand where seats were never all taken, the best ranked first."""
EACH: Final = 0.5
"""Seconds that a node leaves to each better one that is likely to stand when a seat is free."""
PATIENCE: Final = 30.0


class Candidacy:
    """This node among the anchors."""

    def __init__(self, own: PeerID, *, pinned: bool) -> None:
        self.standing = False
        """Whether it sends beacons of its own."""
        self.willing = False
        self._short, self._pinned, self._rank = own.short, pinned, rank(own)
        self._place = _place(self._rank)
        self._enough = False
        """Whether there are peerings enough, and since when or until when that makes it willing."""
        self._turn_at = inf
        self._stand_at = inf
        self._since = 0.0

    @property
    def flags(self) -> int:
        """Of its beacon."""
        return WILLING if self.willing else 0

    @property
    def due(self) -> float:
        """When `review` wants to be called."""
        return min(self._turn_at, self._stand_at)

    def count(self, peerings: int, now: float) -> None:
        """So many peerings are up now."""
        enough = peerings >= WILLING_PEERINGS
        if enough == self._enough:
            return
        self._enough = enough
        if enough == self.willing:
            self._turn_at = inf
        elif enough:
            self._turn_at = now + WILLING_AFTER + WILLING_SPREAD * self._place
        else:
            self._turn_at = now + GRACE

    def contender(self, now: float) -> Contender:
        """As it competes, or would."""
        order: Order = (not self._pinned, not self.willing, self._rank)
        return Contender(self._short, order, self._since if self.standing else now, None)

    def review(self, seats: Seats, now: float) -> None:
        """Turn willing or unwilling, and begin or cease to stand, as the seats suggest."""
        if now >= self._turn_at:
            self.willing, self._turn_at = self._enough, inf
        if self.standing:
            self.standing = seats.has(self._short)
            self._stand_at = inf
        elif not seats.wants(self.contender(now)):
            self._stand_at = inf
        elif self._stand_at == inf:
            self._stand_at = now + self._patience(seats)
        if now >= self._stand_at:
            self.standing, self._since, self._stand_at = True, now, inf

    def _patience(self, seats: Seats) -> float:
        """Seconds until it stands: better ones stand before, and their beacons keep it from it.

        The ranks of those seated tell how many others are likely to be better.
        """
        if self._pinned:
            return 0.0
        mine = self.contender(0.0).order
        alike = [c.order[2] for c in seats.seated if c.order[:2] == mine[:2]]
        if not seats.filled or not alike:
            return FIRST_SPREAD * self._place
        better = max(0.0, self._place / _place(max(alike)) - 1) * len(alike)
        return min(EACH * better, PATIENCE)


def _place(rank_: bytes) -> float:
    """0 to 1: the part of all nodes that are better ranked."""
    return int.from_bytes(rank_[:8]) / 2.0**64
