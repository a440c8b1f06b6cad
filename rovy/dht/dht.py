"""A node's part of the DHT. docs/protocol/dht.md"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from rovy.address.keys import PeerID
from rovy.dht import state
from rovy.dht.bucket import Judge
from rovy.dht.caller import Caller
from rovy.dht.chance import Random
from rovy.dht.const import LOCATOR, K
from rovy.dht.contact import Contact
from rovy.dht.counters import Counters, DhtStats
from rovy.dht.crawl import Goal, Trace
from rovy.dht.edition import Edition
from rovy.dht.join import Join
from rovy.dht.known import Known
from rovy.dht.lookup import Lookup
from rovy.dht.messenger import Messenger
from rovy.dht.publisher import Publisher, Stored
from rovy.dht.record import SignedRecord, place_of
from rovy.dht.search import Search
from rovy.dht.server import Server
from rovy.dht.size import Size
from rovy.dht.storage import Storage
from rovy.dht.table import Table
from rovy.dht.upkeep import Joiner, Pinger, forever
from rovy.dht.values import Reader, Value
from rovy.errors import UsageError
from rovy.routing.locator import Locator
from rovy.wire import dht as wire

MAX_OWN: Final = 64
"""Values that a node publishes at a time."""
CACHING: Final = 16
"""Values on their way to a node that a lookup found without them."""


class Dht:
    """Finds nodes and values, keeps those of others, and publishes the node's own."""

    def __init__(
        self, own: PeerID, messenger: Messenger, random: Random, reader: Reader | None = None
    ) -> None:
        self._own, self._messenger = own, messenger
        self._counters, self._size = Counters(), Size()
        self._reader = reader or Reader()
        self._table = Table(own, Judge(messenger.cost, messenger.group))
        self._storage = Storage(own.node_id)
        self._known = Known(own, messenger, self._table, random)
        self._server = Server(
            own, messenger, self._known, self._storage, self._reader, self._counters
        )
        caller = Caller(own, messenger, self._table, self._reader, self._counters)
        self._search = Search(caller, self._known, self._storage, self._size, self._counters)
        self._publisher = Publisher(caller)
        self._join = Join(own, self._search, self._known, self._table, random)
        self._edition = Edition(self._storage, self._place, messenger.now, random)
        self._joiner = Joiner(self._join, self._counters, random, self._edition.moved)
        self._pinger = Pinger(caller, self._table, self._known, self._storage, self._look_about)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to join, to ping and to publish."""
        self._spawn(forever("join", self._joiner.run))
        self._spawn(forever("pings", self._pinger.run))
        self._spawn(forever("publication", self._edition.run))

    async def close(self) -> None:
        """Stop everything."""
        for lookup in list(self._search.open):
            await lookup.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def answer(self, peer: PeerID, body: bytes, early: bool) -> bytes | None:
        """Answer a request; None where it has to wait for the session. Raises `Malformed`.

        `early`: it came in a hello, which proves nothing yet.
        """
        if not early:
            self.contact_proved(peer, None)
        return self._server.answer(peer, body, early)

    def contact_proved(self, peer: PeerID, locator: Locator | None) -> None:
        """A session with this node is confirmed, or it has answered. `locator` was verified."""
        if self._table.proved(peer, locator, self._messenger.now()):
            self._joiner.met()

    def failed(self, peer: PeerID) -> None:
        """This node could not be reached."""
        self._table.missed(peer, self._messenger.now())

    def find_locator(
        self,
        target: bytes,
        bits: int = wire.WHOLE,
        trace: Trace | None = None,
        *,
        local: bool = True,
    ) -> Lookup:
        """Locators of a node by its id, or by the part of it that an address gives.

        The caller takes one after the other until one leads there, and closes the lookup. With
        `local` those known without asking come first. `Unreachable` where too many are open.
        """
        return self._search.values(Goal(_padded(target, bits), bits, LOCATOR), trace, local)

    async def locate(
        self, target: bytes, bits: int = wire.WHOLE, trace: Trace | None = None
    ) -> Locator | None:
        """The first locator found."""
        async with self.find_locator(target, bits, trace) as lookup:
            value = await lookup.more()
        self._cache(lookup)
        return value.said if value and isinstance(value.said, Locator) else None

    async def lookup(self, target: bytes, trace: Trace | None = None) -> list[Contact]:
        """The nodes nearest to an id that answered, the nearest first."""
        return await self._search.nodes(target, trace)

    async def get(
        self,
        kind: int,
        key: PeerID,
        name: str,
        trace: Trace | None = None,
        *,
        thorough: bool = False,
    ) -> SignedRecord | None:
        """What a node says under a name; if `thorough`, the newest that anybody there has."""
        goal = Goal(place_of(kind, key.key, name), wire.WHOLE, kind)
        best = None
        async with self._search.values(goal, trace, local=True) as lookup:
            async for value in lookup:
                best = value
                if not thorough:
                    break
        self._cache(lookup)
        return best.said if best and isinstance(best.said, SignedRecord) else None

    async def put(self, record: SignedRecord, trace: Trace | None = None) -> Stored:
        """Publish a record of this node and keep it published until it expires."""
        value = Value.of(record)
        self._check_own(value)
        self._edition.changed(value)  # so that it is published even if this is cut short
        stored = await self._place(value, trace)
        if stored:
            self._edition.stored(value)
        return stored

    def publish(self, locator: Locator) -> None:
        """Keep this locator published, instead of any older one."""
        value = Value.of(locator)
        self._check_own(value)
        self._edition.changed(value)

    def anchors_changed(self) -> None:
        """Other anchors than before are within reach."""
        self._joiner.changed()

    def stats(self) -> DhtStats:
        """The state of things."""
        counted = self._counters
        buckets = self._table.buckets
        return DhtStats(
            contacts=len(self._table),
            buckets=len(buckets),
            replacements=sum(len(bucket.replacement_nodes) for bucket in buckets),
            values=self._storage.by_type(),
            own_values=len(self._storage.own),
            estimate=self._size.estimate,
            crowded=counted.crowded,
            sent=counted.sent,
            answered=counted.answered,
            failed=counted.failed,
            malformed=counted.malformed,
            lookups=counted.lookups,
            found=counted.found,
            requests_per_lookup=counted.lookup_requests / max(1, counted.lookups),
            open_lookups=len(self._search.open),
            pings_served=counted.pings,
            finds_served=counted.finds,
            stores_served=counted.stores,
            stores_refused=counted.refused,
            joins=counted.joins,
            published=counted.published,
        )

    def save(self) -> dict[str, Any]:
        """What to keep across a restart, JSON-able. The node signs a new locator then."""
        records = (value for value in self._storage.own.values() if value.type != LOCATOR)
        return state.save(self._table, records)

    def load(self, saved: dict[str, Any]) -> None:
        """Begin with what was saved; what does not check out is left out."""
        wall = self._messenger.wall()
        for peer, locator in state.load_contacts(saved, self._reader, wall):
            if peer != self._own:
                self._known.remember(peer, locator)
        for value in state.load_values(saved, self._own, self._reader, wall)[:MAX_OWN]:
            if value.type != LOCATOR:
                self._edition.own(value)

    async def _place(self, value: Value, trace: Trace | None = None) -> Stored:
        """Store a value with the nearest."""
        nearest = await self._search.around(value.place, trace)
        stored = await self._publisher.store(value, nearest)
        self._counters.published += bool(stored)
        return stored

    def _check_own(self, value: Value) -> None:
        if value.signer != self._own:
            raise UsageError(f"{value.signer} signed this, not this node")
        if len(self._storage.own) >= MAX_OWN and value.place not in self._storage.own:
            raise UsageError(f"a node publishes at most {MAX_OWN} values at a time")

    def _cache(self, lookup: Lookup) -> None:
        """Leave what was found with the nearest node that lacked it, if that is near enough."""
        found = [value for value in lookup.found if value in lookup.heard]
        near = lookup.nearest_without_value
        if not found or near is None or len(self._tasks) > CACHING:
            return
        value = found[-1]
        if near.number ^ value.number < self._size.radius(2 * K):
            self._spawn(self._leave(near, value))

    async def _leave(self, contact: Contact, value: Value) -> None:
        await self._publisher.leave(contact, value)

    def _look_about(self) -> None:
        if self._joiner.ready and self._join.unmet():
            self._joiner.changed()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _padded(target: bytes, bits: int) -> bytes:
    """The target with what does not count set to zero."""
    if bits not in (wire.WHOLE, wire.PREFIX) or len(target) < bits // 8:
        raise UsageError(f"a target of {len(target)} bytes for {bits} bits")
    return target[: bits // 8].ljust(wire.ID, b"\0")
