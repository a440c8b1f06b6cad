"""Which anchors are in use: the best ranked, changed slowly. docs/protocol/anchors.md §3"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from math import inf
from typing import Final

from rovy.address.keys import PeerID

SEATS: Final = 8
"""L: so many anchors are in use."""
CANDIDATES: Final = 8
"""So many better ones wait for a seat."""
BEHIND: Final = 2
"""Seats, and candidates, behind one neighbour of theirs."""
PROBATION: Final = 1200.0
"""Seconds after which an anchor is established; and from one change of such a seat to the next."""
MAX_PINS: Final = 4

Order = tuple[bool, bool, bytes]
"""The lower the better: not pinned, not willing, rank."""


def rank(peer: PeerID) -> bytes:
    """32 bytes, the lower the better."""
    return blake2s(b"rovy-lm" + peer.node_id).digest()


@dataclass(frozen=True, slots=True)
class Contender:
    """An anchor as far as seats are concerned."""

    short: bytes
    order: Order
    first_seen: float
    entry: bytes | None
    """Short of its neighbour on the way to us; None where that is us."""

    def established(self, now: float) -> bool:
        """Whether it has been there for long enough."""
        return now >= self.first_seen + PROBATION


class Seats:
    """The anchors in use, and better ones that are not established yet, the best first."""

    def __init__(self) -> None:
        self.seated: list[Contender] = []
        self.candidates: list[Contender] = []
        self.due = inf
        """When `choose` may choose otherwise though nothing changed."""
        self.filled = False
        """Whether all seats were ever taken."""
        self._swap_at = -inf

    def choose(self, contenders: Iterable[Contender], now: float) -> None:
        """Fill the seats from these.

        Established ones keep theirs, others do while there is nobody better; then the best
        established candidate takes one seat, if none was taken so within `PROBATION`.
        """
        ranked = sorted(contenders, key=_order)
        before = {contender.short for contender in self.seated}
        seated: list[Contender] = []
        for old in [c for c in ranked if c.short in before and c.established(now)]:
            _admit(seated, SEATS, old)
        for other in ranked:
            if other not in seated:
                _admit(seated, SEATS, other)
        self._swap(seated, [c for c in ranked if c not in seated], now)
        self.seated = sorted(seated, key=_order)
        self.candidates = []
        for other in ranked:
            if other not in seated and _beats(seated, SEATS, other):
                _admit(self.candidates, CANDIDATES, other)
        self.filled = self.filled or len(seated) == SEATS
        self.due = self._next_swap(now)

    def wants(self, contender: Contender) -> bool:
        """Whether one that is not known yet would get a seat or become a candidate."""
        return _beats(self.seated, SEATS, contender) and _beats(
            self.candidates, CANDIDATES, contender
        )

    def is_crowded_out(self, contender: Contender) -> bool:
        """Whether one that got no seat would have had it behind another neighbour of its own."""
        free = len(self.seated) < SEATS
        return not self.has(contender.short) and (
            free or contender.order < max(map(_order, self.seated))
        )

    def has(self, short: bytes) -> bool:
        """Whether it is seated or a candidate."""
        return any(each.short == short for each in (*self.seated, *self.candidates))

    def _swap(self, seated: list[Contender], others: list[Contender], now: float) -> None:
        if now < self._swap_at:
            return
        for other in others:
            rival = _rival(seated, SEATS, other)
            if rival and other.established(now) and other.order < rival.order:
                seated.remove(rival)
                seated.append(other)
                self._swap_at = now + PROBATION
                return

    def _next_swap(self, now: float) -> float:
        times = (max(c.first_seen + PROBATION, self._swap_at) for c in self.candidates)
        return min((at for at in times if at > now), default=inf)


def _order(contender: Contender) -> Order:
    return contender.order


def _rival(taken: Sequence[Contender], room: int, contender: Contender) -> Contender | None:
    """Whose place it would have to take; None where one is free for it."""
    same = [each for each in taken if each.entry == contender.entry is not None]
    if len(same) >= BEHIND:
        return max(same, key=_order)
    return max(taken, key=_order) if len(taken) >= room else None


def _beats(taken: Sequence[Contender], room: int, contender: Contender) -> bool:
    rival = _rival(taken, room, contender)
    return rival is None or contender.order < rival.order


def _admit(taken: list[Contender], room: int, contender: Contender) -> None:
    if _rival(taken, room, contender) is None:
        taken.append(contender)
