"""A session whose every path died, to a node that may have moved: look where it is now.

docs/protocol/dht.md §8
"""

import asyncio

from rovy.errors import RovyError
from rovy.node.engine import Engine
from rovy.node.resolver import Resolver
from rovy.node.router import Router
from rovy.session.session import Session

WAITS = (0.0, 3.0, 6.0, 12.0)
"""Seconds before each lookup: the node notices its own losses and says so a moment later."""
PATIENCE = 10.0
"""Seconds for each."""
MOST = 64
"""Sessions looked after at a time; others wait for their next failure."""


class Relocator:
    """Looks nodes up again that the map does not tell of."""

    def __init__(self, engine: Engine, router: Router, resolver: Resolver) -> None:
        self._engine, self._router, self._resolver = engine, router, resolver
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Stop looking."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def failed(self, session: Session) -> None:
        """A path of a session failed; nothing is to be done while another one works."""
        known = self._router.near_by(session.peer.short)
        if known or self._rests(session) or session.id in self._tasks or len(self._tasks) >= MOST:
            return
        task = self._tasks[session.id] = asyncio.create_task(self._look(session))
        task.add_done_callback(lambda _: self._tasks.pop(session.id, None))

    async def _look(self, session: Session) -> None:
        for wait in WAITS:
            await asyncio.sleep(wait)
            if self._rests(session):
                return
            self._engine.counts["looked up again"] += 1
            try:
                await self._resolver.learn(session.peer, PATIENCE, again=True)
            except RovyError:
                continue
            if self._engine.sessions.get(session.id) is session:
                self._router.supply(session)

    def _rests(self, session: Session) -> bool:
        """Whether it works again, is over, or nobody uses it."""
        active = session.paths.active
        works = active is not None and active.valid and not active.suspect
        over = self._engine.sessions.get(session.id) is not session
        return works or over or not session.in_use(self._engine.now())
