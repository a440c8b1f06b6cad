"""The node's own values, kept stored where they belong. docs/protocol/dht.md §7"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf, isinf

from rovy.dht.chance import Random, fraction, spread
from rovy.dht.const import PUBLISH_AFTER, PUBLISH_APART, PUBLISH_EVERY, RETRY
from rovy.dht.publisher import Stored
from rovy.dht.storage import Storage
from rovy.dht.values import Value

Put = Callable[[Value], Awaitable[Stored]]
MOVED = 5.0
"""Seconds over which own values are stored anew after a join: nearer nodes may have turned up."""


@dataclass(slots=True)
class Due:
    """When a value is stored next, and when it was last."""

    at: float
    last: float = -inf
    retry: float = RETRY[0]


class Edition:
    """Stores each own value every 20 minutes, a changed one soon."""

    def __init__(
        self, storage: Storage, put: Put, now: Callable[[], float], random: Random
    ) -> None:
        self._storage, self._put, self._now, self._random = storage, put, now, random
        self._due: dict[bytes, Due] = {}
        self._wake = asyncio.Event()

    def own(self, value: Value) -> None:
        """Say this from now on, unless something newer is said already."""
        if value.newer_than(self._storage.own.get(value.place)):
            self._storage.own[value.place] = value

    def changed(self, value: Value) -> None:
        """Say this instead of what was said before, soon but not too often."""
        self.own(value)
        due = self._due.setdefault(value.place, Due(inf))
        soon = max(self._now() + PUBLISH_AFTER, due.last + PUBLISH_APART)
        due.at = min(due.at, soon)
        self._wake.set()

    def stored(self, value: Value) -> None:
        """It was stored just now by somebody's wish."""
        self.own(value)
        now = self._now()
        self._due[value.place] = Due(now + spread(self._random, PUBLISH_EVERY), now)
        self._wake.set()

    def moved(self) -> None:
        """The network is another: store all anew."""
        for place in self._storage.own:
            due = self._due.setdefault(place, Due(inf))
            soon = max(self._now() + fraction(self._random) * MOVED, due.last + PUBLISH_APART)
            due.at = min(due.at, soon)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._sleep()
            for place in [place for place, due in self._due.items() if due.at <= self._now()]:
                value = self._storage.own.get(place)
                if value is None:
                    del self._due[place]
                else:
                    await self._store(value)

    async def _store(self, value: Value) -> None:
        due = self._due[value.place]
        due.at, due.last = inf, self._now()
        stored = await self._put(value)
        wait, due.retry = due.retry, min(2 * due.retry, RETRY[1])
        if stored:
            wait, due.retry = PUBLISH_EVERY, RETRY[0]
        # A newer one may have come while this one was on its way.
        due.at = min(due.at, self._now() + spread(self._random, wait))

    async def _sleep(self) -> None:
        self._wake.clear()
        first = min((due.at for due in self._due.values()), default=inf)
        timeout = None if isinf(first) else max(0.0, first - self._now())
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return
