"""Traceroutes: every node along a route is asked who it is, and signs its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rovy.address.keys import PeerID
from rovy.address.label import Label
from rovy.address.path import Path, Routed
from rovy.errors import RovyError, Unreachable
from rovy.node.engine import Engine
from rovy.node.events import Traced, TracedHop
from rovy.node.notices import Notices
from rovy.node.ping import Pings
from rovy.node.waiters import Waiters
from rovy.node.ways import Ways

QUESTIONS = 3
"""To each node."""
SPACING = 0.05
"""Seconds between questions to a node: answers are limited, and signing takes time."""
AT_ONCE = 64
"""Questions under way at most."""
Answer = tuple[PeerID, float] | None
"""Who answered, after how many seconds."""


class Traceroutes:
    """Follows routes hop by hop."""

    def __init__(
        self,
        own: PeerID,
        engine: Engine,
        notices: Notices,
        pings: Pings,
        waiters: Waiters,
        ways: Ways,
    ) -> None:
        self._own, self._engine, self._notices = own, engine, notices
        self._pings, self._waiters, self._ways = pings, waiters, ways
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def to(self, peer: PeerID, paths: Sequence[Path], timeout: float) -> Traced:
        """Follow a label that was named, or the route in use, or the one that would be."""
        if peer == self._own:
            return Traced(peer, Label(), ())
        if paths and isinstance(paths[0], Routed):
            return await self.along(paths[0].label, peer, timeout)
        if not self._ways.to(peer):
            await self._waiters.open(peer, paths, timeout)
        for route in self._ways.to(peer):
            if route.label:
                return await self.along(route.label, peer, timeout)
            return Traced(peer, None, (await self._direct(peer, timeout),))
        raise Unreachable("no route", f"no route to {peer} is left")

    async def along(self, label: Label, peer: PeerID | None, timeout: float) -> Traced:
        """Ask every node along a label; `timeout` is that of each question, seconds."""
        if not label.data:
            return Traced(self._own, label, ())
        expected = self._ways.hops(label, peer)
        prefixes = zip(label.prefixes, expected, strict=True)
        asked = (self._hop(prefix, there, timeout) for prefix, there in prefixes)
        hops = tuple(await asyncio.gather(*asked))
        return Traced(peer or hops[-1].peer or expected[-1], label, hops)

    async def _hop(self, prefix: Label, expected: PeerID | None, timeout: float) -> TracedHop:
        async def ask() -> PeerID:
            return await self._notices.trace(prefix, timeout, repeat=False)

        return await self._questions(expected, ask)

    async def _direct(self, peer: PeerID, timeout: float) -> TracedHop:
        """A session without a slot has no label: what authenticates its answers are its keys."""

        async def ask() -> PeerID:
            session = await self._waiters.open(peer, [], timeout)
            return (await self._pings.ping(session, None, 0, timeout)).peer

        return await self._questions(peer, ask)

    async def _questions(
        self, expected: PeerID | None, ask: Callable[[], Awaitable[PeerID]]
    ) -> TracedHop:
        waits = (number * SPACING for number in range(QUESTIONS))
        answers = await asyncio.gather(*(self._question(wait, ask) for wait in waits))
        peer = next((answer[0] for answer in answers if answer), None)
        return TracedHop(expected, peer, tuple(answer and answer[1] for answer in answers))

    async def _question(self, wait: float, ask: Callable[[], Awaitable[PeerID]]) -> Answer:
        await asyncio.sleep(wait)
        async with self._gate:
            began = self._engine.now()
            try:
                peer = await ask()
            except RovyError:
                return None
            return peer, self._engine.now() - began
