"""Pings: probes whose answers a caller waits for."""

import asyncio
from dataclasses import dataclass

from rovy.address.keys import PeerID
from rovy.address.path import Path
from rovy.errors import Unreachable, UsageError
from rovy.node.engine import Engine
from rovy.session.session import Session
from rovy.wire.control import TOKEN, Probe

PENDING = 1024
"""Pings under way at most."""


@dataclass(frozen=True, slots=True)
class Pong:
    """One answered ping."""

    peer: PeerID
    rtt: float
    """Seconds."""
    path: Path | None
    """Where it went; None for the node itself."""
    size: int
    """Bytes of the probe that were the caller's."""


class Pings:
    """Matches answers to callers by their random tokens."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pending: dict[bytes, asyncio.Future[float]] = {}

    def answered(self, token: bytes) -> bool:
        """An answer came; False where nobody here waits for it."""
        future = self._pending.get(token)
        if future is None:
            return False
        if not future.done():
            future.set_result(self._engine.now())
        return True

    async def ping(self, session: Session, path: Path | None, size: int, timeout: float) -> Pong:
        """Send one probe of `size` bytes more. Raises `Unreachable` where no answer comes."""
        way = path or session.path
        if size > self._engine.room(session, way) - 1 - TOKEN:
            room = self._engine.room(session, way) - 1 - TOKEN
            raise UsageError(f"{size} bytes do not fit this path; at most {room} do")
        if len(self._pending) >= PENDING:
            raise UsageError("too many pings are under way")
        token = self._engine.random(TOKEN)
        future = self._pending[token] = asyncio.get_running_loop().create_future()
        sent = self._engine.now()
        try:
            self._engine.ping(session, Probe(token, size), way)
            async with asyncio.timeout(timeout):
                return Pong(session.peer, await future - sent, way, size)
        except TimeoutError:
            raise Unreachable(
                "no answer", f"no answer from {session.peer} in {timeout:g} s"
            ) from None
        finally:
            del self._pending[token]
