"""What a DHT does unasked: it joins, pings who was silent, and publishes what is its own.

docs/protocol/dht.md §7
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rovy.dht.caller import Caller
from rovy.dht.chance import Random, fraction, spread
from rovy.dht.const import JOIN_EVERY, JOIN_SOON, PING_AFTER, PINGS, RETRY, TICK
from rovy.dht.contact import Contact
from rovy.dht.counters import Counters
from rovy.dht.join import Join
from rovy.dht.known import Known
from rovy.dht.storage import Storage
from rovy.dht.table import Table
from rovy.dht.values import Value
from rovy.errors import RovyError

log = logging.getLogger(__name__)
DOUBT_MOST = 300.0
"""Seconds between pings of one who is silent, where the fault may be ours."""
ASK_AGAIN = 600.0
"""Seconds before a contact is asked again for a locator that it did not give."""


class Joiner:
    """Joins now, every half hour, and soon after the anchors changed."""

    def __init__(
        self, join: Join, counters: Counters, random: Random, joined: Callable[[], None]
    ) -> None:
        self._join, self._counters, self._random = join, counters, random
        self._joined = joined
        self._wake = asyncio.Event()
        self._soon = False
        self.ready = False
        """Whether the last join found anybody."""

    def met(self) -> None:
        """Somebody is there: where nobody was before, try again now."""
        if not self.ready:
            self._wake.set()

    def changed(self) -> None:
        """The anchors are others."""
        self._soon = True
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        wait, retry = 0.0, RETRY[0]
        while True:
            await self._sleep(wait)
            self.ready = await self._join.run()
            if self.ready:
                self._counters.joins += 1
                self._joined()
                wait, retry = spread(self._random, JOIN_EVERY), RETRY[0]
            else:
                wait, retry = spread(self._random, retry), min(2 * retry, RETRY[1])

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        if self._soon:
            self._wake.set()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        if self._soon and self.ready:
            await asyncio.sleep(fraction(self._random) * JOIN_SOON)
        self._soon = False


class Pinger:
    """Every few seconds a few contacts: silent ones, unused ones, those without a locator."""

    def __init__(
        self, caller: Caller, table: Table, known: Known, storage: Storage, tick: Callable[[], None]
    ) -> None:
        self._caller, self._table, self._known = caller, table, known
        self._storage, self._tick = storage, tick
        self._pinged: dict[bytes, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            self._tick()
            self._storage.expire(self._caller.messenger.wall())
            now = self._caller.messenger.now()
            self._pinged = {i: at for i, at in self._pinged.items() if at > now - PING_AFTER}
            due = [contact for contact in self._table if self._due(contact, now)]
            due.sort(key=lambda contact: self._pinged.get(contact.id, 0.0))
            for contact in due[:PINGS]:
                self._pinged[contact.id] = now
            await asyncio.gather(*map(self._ping, due[:PINGS]), self._revive())

    def _due(self, contact: Contact, now: float) -> bool:
        last = self._pinged.get(contact.id, -PING_AFTER)
        if contact.misses:
            wait = min(TICK * (1 << contact.misses - 1), DOUBT_MOST)
            return now - max(contact.missed, last) >= wait
        if now - max(contact.seen, last) >= PING_AFTER:
            return True
        if now - last < ASK_AGAIN or self._located(contact):
            return False
        return not self._known.in_map(contact.peer)  # who is near us is near those who ask us

    def _located(self, contact: Contact) -> bool:
        wall = self._caller.messenger.wall()
        return contact.locator is not None and Value.of(contact.locator).counts(wall)

    async def _revive(self) -> None:
        """Try one of those remembered from before the last start."""
        while self._known.remembered:
            _, contact = self._known.remembered.popitem()
            if self._table.contact(contact.peer) is None:
                await self._ping(contact)
                return

    async def _ping(self, contact: Contact) -> None:
        try:
            await self._caller.ping(contact)
        except RovyError as error:
            log.debug("%s: %s", contact.peer, error)


async def forever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A task that outlives its own faults, which are logged."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s failed", name)
            await asyncio.sleep(RETRY[1])
