"""Which neighbours are to be peers: few enough for any LAN, and so that all hang together.

On every interface a node wants the next one and the one before it in the order of PeerIDs, as a
ring. All nodes of a LAN hear one another, so they see the same ring, and it is closed: the network
of the LAN is connected whatever else is chosen, and stays so when any one node goes. A node on two
LANs is in both rings, and joins them. Because each node wants its next one, the ring holds even
where one that is on many LANs has no room for all that come before it.

Rings are long ways round. What room is left goes to the neighbours with the least round trip, and
among equals to those that come first in an order that each node has for itself: random links, which
make the way between two nodes short. Nobody is everybody's choice.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from math import log2
from statistics import median

from rovy.address.keys import PeerID

SLACK = 2
"""Peers beyond the limit, those that chose us among them, before one that we chose is let go."""
ALIKE = 0.004
"""Round trips up to so long count as equal; from there on each doubling counts, seconds."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that could be a peer."""

    peer: PeerID
    interfaces: frozenset[str]
    """On which it is announced."""
    rtt: float | None
    """Seconds; None where it is not known: as usual, lest all be tried for a better one."""
    held: bool
    """Whether it is wanted already."""


def choose(
    own: PeerID,
    candidates: Sequence[Candidate],
    limit: int,
    taken: Collection[PeerID],
    order: Callable[[PeerID], bytes],
) -> list[PeerID]:
    """The peers to want, at most `limit`, the most important first.

    `taken`: neighbours that are peers because they wanted it. They fill the room as well; where
    there are too many, those who are held go one by one, lest all nodes make room at once for all.
    """
    needed = list(dict.fromkeys(ring(own, candidates)))[:limit]
    chosen = dict.fromkeys(needed)
    full = len(chosen.keys() | set(taken))
    usual = median([each.rtt for each in candidates if each.rtt] or [ALIKE])
    rest = (each for each in candidates if each.peer not in chosen)
    for each in sorted(rest, key=lambda c: (_distance(c, usual), order(c.peer))):
        if len(chosen) >= limit:
            break
        if each.held or full < limit:
            chosen[each.peer] = None
            full += each.peer not in taken
    if full > limit + SLACK and len(chosen) > len(needed):
        chosen.popitem()
    return list(chosen)


def ring(own: PeerID, candidates: Sequence[Candidate]) -> Iterator[PeerID]:
    """The next nodes on every interface, then those before."""
    names = sorted({name for each in candidates for name in each.interfaces})
    rings = [sorted(c.peer for c in candidates if name in c.interfaces) for name in names]
    for peers in rings:
        yield next((peer for peer in peers if peer > own), peers[0])
    for peers in rings:
        yield next((peer for peer in reversed(peers) if peer < own), peers[-1])


def _distance(candidate: Candidate, usual: float) -> int:
    """In doublings, one less where it is held: what is measured wavers."""
    rtt = max(candidate.rtt or usual, ALIKE)
    return max(0, int(log2(rtt / ALIKE)) - candidate.held)
