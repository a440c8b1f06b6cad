"""Whom a lookup has heard of, the nearest to its target first. docs/protocol/dht.md §6"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from kademlia.node import Node, NodeHeap

from rovy.dht.const import OF_GROUP, OF_REPLIER, SHORTLIST, K
from rovy.dht.contact import Contact


@dataclass(slots=True)
class Candidate:
    """A contact on a shortlist and what the lookup knows of it."""

    contact: Contact
    distance: int
    group: bytes | None = None
    price: float = inf
    """Seconds one way when it was listed."""
    named: set[bytes] = field(default_factory=set)
    """Ids of those who named it; empty: it was known before."""
    first: bool = False
    """Asked whatever else is known."""
    asked: bool = False
    answered: bool = False
    empty: bool = False
    """Answered, and had no value."""


class Shortlist(NodeHeap):  # type: ignore[misc]
    """Bounded, in order of distance; those who failed are gone and stay away."""

    def __init__(self, target: Node) -> None:
        super().__init__(target, K)
        self.heap: list[tuple[int, Contact]] = []  # sorted, which a heap may be
        self._candidates: dict[bytes, Candidate] = {}
        self._failed: set[bytes] = set()

    def __contains__(self, node: Node) -> bool:
        return node.id in self._candidates

    def candidates(self) -> Iterator[Candidate]:
        """All, the nearest first."""
        return (self._candidates[contact.id] for _, contact in self.heap)

    def candidate(self, contact: Contact) -> Candidate | None:
        """What is known of this contact."""
        return self._candidates.get(contact.id)

    def add(self, candidate: Candidate) -> None:
        """List one that is new, unless it failed before."""
        contact = candidate.contact
        if contact.id in self._failed or contact.id in self._candidates:
            return
        insort(self.heap, (candidate.distance, contact))
        self._candidates[contact.id] = candidate
        if len(self.heap) > SHORTLIST:
            self._shorten()

    def fail(self, candidate: Candidate) -> None:
        """It did not answer."""
        self._failed.add(candidate.contact.id)
        self._drop(candidate)

    def bound(self) -> float:
        """The distance of the k-th nearest; infinite where there are fewer."""
        return self.heap[K - 1][0] if len(self.heap) >= K else inf

    def width(self) -> list[tuple[Candidate, bool]]:
        """Those who have to answer before a lookup is over, and whether each one counts.

        The nearest until k of them count, at most 2k: of one group two count, and of those whom
        one replier alone named half of k. So neither one party nor one liar makes up the end.
        """
        width: list[tuple[Candidate, bool]] = []
        counted, groups, repliers = 0, Counter[bytes](), Counter[bytes]()
        for candidate in self.candidates():
            if counted == K or len(width) == 2 * K:
                break
            counts = _counts(candidate, groups, repliers)
            counted += counts
            width.append((candidate, counts))
        return width

    def _shorten(self) -> None:
        """Drop the farthest one that was not asked."""
        for _, contact in reversed(self.heap):
            candidate = self._candidates[contact.id]
            if not candidate.asked:
                self._drop(candidate)
                return

    def _drop(self, candidate: Candidate) -> None:
        entry = candidate.distance, candidate.contact
        at = bisect_left(self.heap, entry)
        if at < len(self.heap) and self.heap[at] == entry:
            del self.heap[at]
        self._candidates.pop(candidate.contact.id, None)


def _counts(candidate: Candidate, groups: Counter[bytes], repliers: Counter[bytes]) -> bool:
    if candidate.group is not None:
        groups[candidate.group] += 1
        if groups[candidate.group] > OF_GROUP:
            return False
    if len(candidate.named) == 1:
        (replier,) = candidate.named
        repliers[replier] += 1
        return repliers[replier] <= OF_REPLIER
    return True
