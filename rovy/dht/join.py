"""Finding one's place: the nodes near the own id, and some at every distance from it.

A lookup of the own id that starts among one's own contacts ends among them: two networks that
became one would not notice. So it starts at an anchor, which both have. docs/protocol/dht.md §7
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from rovy.address.keys import PeerID
from rovy.dht.chance import Random, id_at_depth
from rovy.dht.const import ID_BITS, K
from rovy.dht.contact import Contact
from rovy.dht.crawl import Crawl, Goal
from rovy.dht.known import Known
from rovy.dht.search import Search
from rovy.dht.table import Table

TRIES: Final = 3
"""Anchors asked in turn where they do not answer."""
MAX_REFRESHED: Final = 32
"""Buckets looked up in one join."""
MAX_MET: Final = 64


class Join:
    """One node's joins."""

    def __init__(
        self, own: PeerID, search: Search, known: Known, table: Table, random: Random
    ) -> None:
        self._own, self._search, self._known = own, search, known
        self._table, self._random = table, random
        self._number = int.from_bytes(own.node_id, "big")
        self._met: deque[PeerID] = deque(maxlen=MAX_MET)
        """Anchors of this and former joins; the oldest are forgotten."""

    async def run(self) -> bool:
        """Whether anybody answered."""
        if not await self._find_own_place():
            return False
        for depth in range(self._depth()):
            target = id_at_depth(self._random, self._number, depth)
            await self._search.nodes(target)
        return True

    def unmet(self) -> bool:
        """Whether there are anchors that no join has met."""
        return any(contact.peer not in self._met for contact in self._known.anchors())

    async def _find_own_place(self) -> bool:
        answered = 0
        for anchor in self._anchors():
            answered = len(await self._look((anchor,)))
            if answered:
                break
        if answered < K:
            # The anchor knows few: this is a small network, or one that has just begun.
            answered += len(await self._look(()))
        return answered > 0

    async def _look(self, first: Iterable[Contact]) -> list[Contact]:
        goal = Goal(self._own.node_id)
        starts = list(first)
        known = [] if starts else self._known.nearest(self._number, 2 * K)
        return await self._search.finish(Crawl(self._search.caller, goal, known, starts))

    def _anchors(self) -> list[Contact]:
        """Some to try: those not met before come first, for they may know another network."""
        anchors = self._known.anchors()
        anchors.sort(key=lambda contact: contact.peer in self._met)
        self._met.extend(contact.peer for contact in anchors if contact.peer not in self._met)
        return anchors[:TRIES]

    def _depth(self) -> int:
        """Buckets farther than the k-th nearest contact; nearer ones the own place covers."""
        nearest = self._table.nearest(self._number, K)
        if len(nearest) < K:
            return 0
        distance = nearest[-1].number ^ self._number
        return min(ID_BITS - distance.bit_length(), MAX_REFRESHED)
