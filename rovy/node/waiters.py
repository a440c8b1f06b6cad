"""Waiting for sessions: whoever wants to send, and requests that ride in a hello."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from rovy.address.keys import PeerID
from rovy.address.path import Path
from rovy.errors import RovyError, Unreachable
from rovy.node.engine import Engine
from rovy.node.keeper import Keeper
from rovy.session.const import IDLE
from rovy.session.session import Session
from rovy.wire.payload import Early

DOUBT = 1.0
"""Seconds that a hello stays unanswered before newer ways are looked for."""
LIGHT_IDLE = 30.0
"""Seconds that a session stays open which was opened for a question or two."""
MAX_EARLY = 512
"""Bytes of a request that may ride in a hello."""


class Waiters:
    """Opens sessions on demand and wakes who waits for them."""

    def __init__(
        self,
        engine: Engine,
        keeper: Keeper,
        ways: Callable[[PeerID], list[Path]],
        learn: Callable[[PeerID, float, bool], Awaitable[None]],
    ) -> None:
        self._engine, self._keeper = engine, keeper
        self._ways, self._learn = ways, learn
        self._opening: dict[PeerID, list[asyncio.Future[Session]]] = {}
        self._early: dict[int, asyncio.Future[bytes | None]] = {}

    async def open(
        self,
        peer: PeerID,
        paths: Sequence[Path],
        timeout: float,
        *,
        psk: bytes | None = None,
        request: Early | None = None,
    ) -> Session:
        """A session that can send. Raises `Unreachable`."""
        session = self._engine.sessions.with_peer(peer)
        if session and not paths and session.sending and session.path:
            session.idle = IDLE
            return session
        known = self._known(peer, paths)
        deadline = self._engine.now() + timeout
        if session is None and not known:
            await self._learn(peer, timeout, False)
            known = self._known(peer, paths)
        session = self._connect(peer, known, psk, request)
        if session.sending and session.path:
            return session
        further = asyncio.create_task(self._look_further(peer, deadline))
        try:
            return await self._wait(peer, deadline - self._engine.now())
        finally:
            further.cancel()

    async def open_lightly(self, peer: PeerID, paths: Sequence[Path], timeout: float) -> Session:
        """A session for a question or two, along these paths only. Raises `Unreachable`."""
        session = self._engine.sessions.with_peer(peer)
        if session and session.sending and session.path:
            return session
        if session is None and not paths:
            raise Unreachable("no route", f"no route to {peer} is known")
        session = self._lightly(peer, paths, None)
        if session.sending and session.path:
            return session
        try:
            return await self._wait(peer, timeout)
        finally:
            self._abandon(session)

    async def ask_early(
        self, peer: PeerID, codec: str, payload: bytes, timeout: float
    ) -> bytes | None:
        """Put a request into the hello that opens a session; None where only a session will do."""
        paths = self._known(peer, [])
        if self._engine.sessions.with_peer(peer) or len(payload) > MAX_EARLY or not paths:
            return None
        session = self._connect(peer, paths, None, Early(codec, payload))
        return await self._early_answer(session, timeout)

    async def ask_lightly(
        self, peer: PeerID, paths: Sequence[Path], codec: str, payload: bytes, timeout: float
    ) -> bytes | None:
        """The same for a question or two, along these paths only."""
        if self._engine.sessions.with_peer(peer) or len(payload) > MAX_EARLY or not paths:
            return None
        session = self._lightly(peer, paths, Early(codec, payload))
        try:
            return await self._early_answer(session, timeout)
        finally:
            self._abandon(session)

    def opened(self, session: Session) -> None:
        """Whoever waits for the session can send now."""
        for future in self._opening.get(session.peer, []):
            if session.sending and session.path and not future.done():
                future.set_result(session)

    def answered(self, session: int, answer: bytes | None) -> None:
        """The handshake brought the answer to its request, or none."""
        future = self._early.pop(session, None)
        if future and not future.done():
            future.set_result(answer)

    def closed(self, session: int, peer: PeerID, reason: str) -> None:
        """The session ended before it could send."""
        self.answered(session, None)
        for future in self._opening.get(peer, []):
            if not future.done():
                future.set_exception(Unreachable(reason, f"{peer}: {reason}"))

    def _connect(
        self, peer: PeerID, paths: Sequence[Path], psk: bytes | None, request: Early | None
    ) -> Session:
        now = self._engine.now()
        session = self._engine.sessions.connect(peer, paths, now, psk=psk, request=request)
        session.idle = IDLE
        self._engine.pump()
        return session

    def _lightly(self, peer: PeerID, paths: Sequence[Path], request: Early | None) -> Session:
        """One that ends soon, unless it is opened for more meanwhile."""
        fresh = self._engine.sessions.with_peer(peer) is None
        session = self._connect(peer, paths, None, request)
        session.idle = LIGHT_IDLE if fresh else session.idle
        return session

    def _abandon(self, session: Session) -> None:
        """Knock no longer where nobody opens, unless somebody else wants to get in."""
        light = session.idle == LIGHT_IDLE and not session.kept
        if light and not session.sending and not self._opening.get(session.peer):
            self._engine.sessions.finish(session.id, "timeout")
            self._engine.pump()

    async def _early_answer(self, session: Session, timeout: float) -> bytes | None:
        """What the response brings; None where the request has to be asked again."""
        if session.opening is None:
            return None
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._early[session.id] = answer
        opened = asyncio.create_task(self._wait(session.peer, timeout))
        try:
            await opened
            return await answer
        finally:
            opened.cancel()
            self._early.pop(session.id, None)

    async def _look_further(self, peer: PeerID, deadline: float) -> None:
        """While nobody answers along what is known, look for newer ways."""
        await asyncio.sleep(DOUBT)
        with contextlib.suppress(RovyError):
            await self._learn(peer, deadline - self._engine.now(), True)
            session = self._engine.sessions.with_peer(peer)
            fresh = [path for path in self._ways(peer) if session and path not in session.hints]
            if fresh and session and not session.sending:
                self._connect(peer, fresh, None, None)

    def _known(self, peer: PeerID, paths: Sequence[Path]) -> list[Path]:
        """Ways to try, the best first: those named, those of the map, those that once worked."""
        return list(dict.fromkeys([*paths, *self._ways(peer), *self._keeper.remembered(peer)]))

    async def _wait(self, peer: PeerID, timeout: float) -> Session:
        future: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        waiting = self._opening.setdefault(peer, [])
        waiting.append(future)
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise Unreachable("no answer", f"{peer} did not answer in {timeout:g} s") from None
        finally:
            waiting.remove(future)
            if not waiting and self._opening.get(peer) is waiting:
                del self._opening[peer]
