"""From a key or an address to a node that a route leads to: session, map, atlas, then the DHT.

docs/protocol/dht.md §8
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from rovy.address.keys import PeerID
from rovy.address.target import NodeAddress
from rovy.buckets import TokenBucket
from rovy.dht.crawl import Step
from rovy.dht.dht import Dht
from rovy.errors import Unreachable
from rovy.node.engine import Engine
from rovy.node.messenger import over
from rovy.node.router import Router
from rovy.routing.atlas import Atlas
from rovy.routing.locator import Locator

YOUNG = 1.0
"""Seconds in which a node that just started may yet learn of others."""
LOOK_EVERY = 0.05
AT_ONCE = 32
"""Lookups under way; further ones wait …"""
WAITING = 256
"""… up to so many in all; beyond that none is begun."""
ADDRESSES = (10.0, 100.0)
"""Lookups for addresses that programs send to: a second, and at once. A scan meets this bound."""
FAILED = 3.0
"""Seconds that nobody's being found counts."""
REMEMBERED = 1024
"""Failures remembered; the oldest gives way."""
Trace = Callable[[Step], None]
Name = PeerID | NodeAddress


@dataclass(slots=True, eq=False)
class _Search:
    """A lookup that is under way or waits for its turn."""

    task: asyncio.Task[Locator] = field(init=False)
    waiting: int = 0
    """How many want to know what it finds."""
    begun: bool = False


class Resolver:
    """Finds nodes. One lookup a target at a time: who asks meanwhile waits for the same one."""

    def __init__(
        self,
        own: PeerID,
        engine: Engine,
        router: Router,
        atlas: Atlas,
        dht: Dht,
        known: Callable[[bytes], PeerID | None],
    ) -> None:
        self._own, self._engine, self._router = own, engine, router
        self._atlas, self._dht, self._known = atlas, dht, known
        self._began = engine.now()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._addresses = TokenBucket(*ADDRESSES, engine.now())
        self._under_way: dict[bytes, _Search] = {}
        self._failed: OrderedDict[bytes, float] = OrderedDict()

    async def close(self) -> None:
        """Stop looking."""
        tasks = [search.task for search in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def by_address(self, address: bytes, timeout: float, *, program: bool = False) -> PeerID:
        """Whose address that is, 16 bytes. Raises `Unreachable`.

        `program`: a packet asks, of which anybody here can send any number.
        """
        peer = await self._here(lambda: self._known(address), timeout)
        if peer:
            return peer
        if program and not self._addresses.take(self._engine.now()):
            self._engine.counts["too many unknown addresses"] += 1
            raise Unreachable("busy", "too many unknown addresses are looked for")
        target = NodeAddress(address)
        locator = await self._found(target, timeout, None, again=False)
        return locator.key

    async def learn(self, peer: PeerID, timeout: float, again: bool = False) -> None:
        """Have a way to a node known. Raises `Unreachable`.

        `again`: what is known leads nowhere.
        """
        if not again and await self._here(lambda: self._way(peer), timeout):
            return
        await self._found(peer, timeout, None, again=again)

    async def look_up(self, target: Name, timeout: float, trace: Trace) -> Locator:
        """Ask the DHT whatever is known here, step by step. Raises `Unreachable`."""
        return await self._found(target, timeout, trace, again=True)

    def _way(self, peer: PeerID) -> PeerID | None:
        return peer if self._router.best(peer) else None

    async def _here(self, known: Callable[[], PeerID | None], timeout: float) -> PeerID | None:
        """What is known without asking; a young node waits for its map."""
        end = min(self._began + YOUNG, self._engine.now() + timeout)
        for _ in range(max(0, ceil((end - self._engine.now()) / LOOK_EVERY))):
            if found := known():
                return found
            await asyncio.sleep(LOOK_EVERY)
        return known()

    async def _found(
        self, target: Name, timeout: float, trace: Trace | None, *, again: bool
    ) -> Locator:
        name = target.node_id if isinstance(target, PeerID) else target.id_prefix
        now = self._engine.now()
        if not again and now - self._failed.get(name, -FAILED) < FAILED:
            raise Unreachable("no route", _nobody(target))
        known = self._under_way.get(name) if trace is None else None
        search = known or self._begin(target, name, trace, again=again)
        search.waiting += 1
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(search.task)
        except TimeoutError:
            raise Unreachable("no route", f"{target} was not found in {timeout:g} s") from None
        finally:
            search.waiting -= 1
            if trace or not (search.waiting or search.begun):
                self._drop(name, search)

    def _begin(self, target: Name, name: bytes, trace: Trace | None, *, again: bool) -> _Search:
        """Look for a target, or wait for that. Raises `Unreachable` where too many do."""
        if trace is None and len(self._under_way) >= WAITING:
            raise Unreachable("busy", f"{WAITING} nodes are looked for already")
        search = _Search()
        search.task = asyncio.create_task(self._look(target, name, trace, search, again=again))
        search.task.add_done_callback(_look_at)
        if trace is None:
            self._under_way[name] = search
            search.task.add_done_callback(lambda _: self._drop(name, search))
        return search

    def _drop(self, name: bytes, search: _Search) -> None:
        """It is over, or nobody wants to know any more."""
        search.task.cancel()
        if self._under_way.get(name) is search:
            del self._under_way[name]

    async def _look(
        self, target: Name, name: bytes, trace: Trace | None, search: _Search, *, again: bool
    ) -> Locator:
        async with self._gate:
            search.begun = True
            locator = await self._ask(target, name, trace, again=again)
        if locator is None:
            self._failed[name] = self._engine.now()
            self._failed.move_to_end(name)
            if len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)
            raise Unreachable("no route", _nobody(target))
        self._failed.pop(name, None)
        self._atlas.learn_locator(locator, over(locator, self._engine))
        return locator

    async def _ask(
        self, target: Name, name: bytes, trace: Trace | None, *, again: bool
    ) -> Locator | None:
        """The first locator found, or the best where one newer than the known one is looked for."""
        known = self._atlas.locator(name[:8]) if again and trace is None else None
        best = None
        lookup = self._dht.find_locator(name, 8 * len(name), trace, local=not again)
        async with lookup:
            async for value in lookup:
                if isinstance(value.said, Locator) and _fits(value.said.key, target):
                    best = value.said
                    if known is None or best.sequence > known.sequence:
                        break
        return best


def _nobody(target: Name) -> str:
    return f"nobody knows where {target} is: is its node up?"


def _look_at(task: asyncio.Task[Locator]) -> None:
    """Who waited for it may have given up: then nobody minds how it ends."""
    if not task.cancelled():
        task.exception()


def _fits(peer: PeerID, target: Name) -> bool:
    """An address says 120 bits of the id, and a few more that the key has to agree with."""
    return peer == target if isinstance(target, PeerID) else peer.address == target.packed
