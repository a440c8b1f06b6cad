"""Waiting for sessions: whoever wants to send, and requests that ride in a hello."""

import asyncio
from collections.abc import Callable, Sequence

from rovy.address.keys import PeerID
from rovy.address.path import Path
from rovy.errors import Unreachable
from rovy.node.engine import Engine
from rovy.node.keeper import Keeper
from rovy.session.session import Session
from rovy.wire.payload import Early

LOOKING = 1.0
"""Seconds that a node may be unknown before it counts as unreachable."""
LOOK_EVERY = 0.05
MAX_EARLY = 512
"""Bytes of a request that may ride in a hello."""


class Waiters:
    """Opens sessions on demand and wakes who waits for them."""

    def __init__(
        self, engine: Engine, keeper: Keeper, ways: Callable[[PeerID], list[Path]]
    ) -> None:
        self._engine, self._keeper, self._ways = engine, keeper, ways
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
        sessions = self._engine.sessions
        session = sessions.with_peer(peer)
        if session and not paths and session.sending and session.path:
            return session
        known = self._known(peer, paths)
        if session is None and not known:
            known = await self._learn_ways(peer, timeout)
        now = self._engine.now()
        session = sessions.connect(peer, known, now, psk=psk, request=request)
        self._engine.pump()
        if session.sending and session.path:
            return session
        return await self._wait(peer, timeout)

    async def ask_early(
        self, peer: PeerID, codec: str, payload: bytes, timeout: float
    ) -> bytes | None:
        """Put a request into the hello that opens a session; None where only a session will do."""
        paths = self._known(peer, [])
        if self._engine.sessions.with_peer(peer) or len(payload) > MAX_EARLY or not paths:
            return None
        opening = asyncio.create_task(
            self.open(peer, paths, timeout, request=Early(codec, payload))
        )
        await asyncio.sleep(0)  # now the hello is out, and the session has its number
        session = self._engine.sessions.with_peer(peer)
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        if session is None or session.opening is None:
            answer.set_result(None)
        else:
            self._early[session.id] = answer
        try:
            await opening
            return await answer
        finally:
            opening.cancel()
            if session:
                self._early.pop(session.id, None)

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

    async def _learn_ways(self, peer: PeerID, timeout: float) -> list[Path]:
        """Wait for a map that is young to learn a way. Raises `Unreachable`."""
        waited = 0.0
        while not (known := self._known(peer, [])):
            if waited >= min(timeout, LOOKING):
                text = f"no route to {peer} is known; its address or a label would lead there"
                raise Unreachable("no route", text)
            await asyncio.sleep(LOOK_EVERY)
            waited += LOOK_EVERY
        return known

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
