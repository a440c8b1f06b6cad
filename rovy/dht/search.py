"""Starts lookups, counts them, and learns from their ends how large the network is."""

from collections.abc import Collection
from typing import Final

from rovy.dht.caller import Caller
from rovy.dht.const import ALPHA, LOCATOR, OPEN, K
from rovy.dht.contact import Contact
from rovy.dht.counters import Counters
from rovy.dht.crawl import Crawl, Goal, Trace
from rovy.dht.known import Known
from rovy.dht.lookup import Lookup, finish
from rovy.dht.size import Size
from rovy.dht.storage import Storage
from rovy.dht.values import Value
from rovy.errors import Unreachable

STARTS: Final = 2 * K
"""Contacts that a lookup begins with."""


class Search:
    """All lookups of a node."""

    def __init__(
        self, caller: Caller, known: Known, storage: Storage, size: Size, counters: Counters
    ) -> None:
        self.caller = caller
        self._known, self._storage, self._size = known, storage, size
        self._counters = counters
        self.open: set[Lookup] = set()

    async def nodes(self, target: bytes, trace: Trace | None = None) -> list[Contact]:
        """The nodes nearest to a target, k of them or more, the nearest first."""
        return await self.finish(self._crawl(target, trace))

    async def around(self, target: bytes, trace: Trace | None = None) -> list[Contact]:
        """The same, and after them others that were heard of on the way."""
        crawl = self._crawl(target, trace)
        return await self.finish(crawl) + crawl.unasked

    async def finish(self, crawl: Crawl) -> list[Contact]:
        """Run a crawl for nodes to its end."""
        self._counters.lookups += 1
        found = await finish(crawl, self.caller.messenger.now)
        self._counters.lookup_requests += len(crawl.asked)
        if found:
            self._counters.crowded += self._size.saw(crawl.distances)
        return found

    def values(self, goal: Goal, trace: Trace | None, local: bool) -> Lookup:
        """A lookup for values; `Unreachable` where too many are open."""
        if len(self.open) >= OPEN:
            raise Unreachable("busy", f"{OPEN} lookups are open")
        known = self._known.nearest(goal.number, STARTS)
        first = Crawl(self.caller, goal, known, trace=trace)

        def second(used: Collection[bytes]) -> Crawl:
            others = self._known.nearest(goal.number, STARTS, used)
            anchors = [anchor for anchor in self._known.anchors() if anchor.id not in used]
            starts = [*anchors[:1], *others][:ALPHA]
            return Crawl(self.caller, goal, others, starts, trace)

        at_hand = self._at_hand(goal) if local else []
        lookup = Lookup(first, second, at_hand, self.caller.messenger.now, self._ended)
        self.open.add(lookup)
        self._counters.lookups += 1
        return lookup

    def _crawl(self, target: bytes, trace: Trace | None) -> Crawl:
        goal = Goal(target)
        return Crawl(self.caller, goal, self._known.nearest(goal.number, STARTS), trace=trace)

    def _at_hand(self, goal: Goal) -> list[Value]:
        """What the node knows without asking."""
        wall = self.caller.messenger.wall()
        found = self._storage.find(goal.target, goal.bits, wall)
        values = [self.caller.reader.whole(value) for value in found if value.type == goal.kind]
        for contact in self._known.nearest(goal.number, 1) if goal.kind == LOCATOR else ():
            if contact.locator and goal.matches(contact.id):
                values.append(Value.of(contact.locator))
        return [value for value in values if value.counts(wall)]

    def _ended(self, lookup: Lookup) -> None:
        self.open.discard(lookup)
        self._counters.lookup_requests += lookup.asked
        self._counters.found += bool(lookup.found)
