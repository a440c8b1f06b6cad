"""Lookups: one crawl for nodes; for a value a crawl, and where it fails another one elsewhere.

docs/protocol/dht.md §6
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from math import inf
from types import TracebackType
from typing import Self

from rovy.dht.const import ALPHA, REPEAT
from rovy.dht.contact import Contact
from rovy.dht.crawl import Crawl
from rovy.dht.values import Value

Clock = Callable[[], float]


async def advance(crawls: Iterable[Crawl], now: Clock, until: float = inf) -> None:
    """Ask, and wait until something comes back, or a request is late, or it is `until`."""
    at = now()
    for crawl in crawls:
        crawl.fill(at)
    flying = [task for crawl in crawls for task in crawl.flying]
    if not flying:
        return
    wake = min(until, *(crawl.next_late(at) for crawl in crawls))
    timeout = None if wake == inf else max(wake - at, 0.001)
    await asyncio.wait(flying, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for crawl in crawls:
        crawl.collect()


async def finish(crawl: Crawl, now: Clock) -> list[Contact]:
    """Run a crawl to its end: the nodes nearest to the target that answered, the nearest first."""
    try:
        while not crawl.done:
            await advance((crawl,), now)
    finally:
        await crawl.close()
    return crawl.answered


class Lookup:
    """Values of one place as they are found, each newer than, or other than, those before.

        async with dht.find_locator(target) as lookup:
            async for value in lookup:
                if await reaches(value):
                    break

    Nothing is asked while nobody waits for the next one. A second crawl joins in from other
    first contacts when the first one has found nothing for a second, or is at its end.
    """

    def __init__(
        self,
        first: Crawl,
        second: Callable[[Collection[bytes]], Crawl],
        local: Iterable[Value],
        now: Clock,
        closed: Callable[["Lookup"], None],
    ) -> None:
        self.crawls = [first]
        self.found: list[Value] = []
        """Handed out so far."""
        self._second, self._now, self._closed = second, now, closed
        self._local = list(local)
        self._waited = 0.0
        self._open = True

    async def more(self) -> Value | None:
        """The next value; None once everybody was asked."""
        while self._open:
            value = self._best()
            if value is not None:
                self.found.append(value)
                return value
            if len(self.crawls) == 1 and (self._waited >= REPEAT or self.crawls[0].done):
                self._elsewhere()
            if all(crawl.done for crawl in self.crawls):
                break
            await self._advance()
        return None

    @property
    def asked(self) -> int:
        """Requests so far."""
        return sum(len(crawl.asked) for crawl in self.crawls)

    @property
    def heard(self) -> list[Value]:
        """What other nodes gave, in the order it came."""
        return [value for crawl in self.crawls for value in crawl.values]

    @property
    def nearest_without_value(self) -> Contact | None:
        """The nearest one of the first crawl that answered and had no value."""
        return self.crawls[0].nearest_without_value

    async def close(self) -> None:
        """Give up what is in flight."""
        if self._open:
            self._open = False
            for crawl in self.crawls:
                await crawl.close()
            self._closed(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Value:
        value = await self.more()
        if value is None:
            raise StopAsyncIteration
        return value

    async def _advance(self) -> None:
        begun = self._now()
        until = begun + REPEAT - self._waited if len(self.crawls) == 1 else inf
        await advance(self.crawls, self._now, until)
        self._waited += self._now() - begun

    def _elsewhere(self) -> None:
        used = {contact.id for contact in self.crawls[0].asked[:ALPHA]}
        self.crawls.append(self._second(used))

    def _best(self) -> Value | None:
        """Of what is at hand the value with the highest sequence that says something new."""
        handed = {value.place: value.sequence for value in self.found}
        fresh = [v for v in (*self._local, *self.heard) if v.sequence > handed.get(v.place, -1)]
        return max(fresh, key=lambda value: value.sequence, default=None)
