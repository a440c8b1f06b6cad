"""Requests and answers over sessions: repeated until answered, handled once.

docs/protocol/control.md §3
"""

import asyncio
import inspect
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from rovy.address.keys import PeerID
from rovy.errors import RovyError, Unreachable
from rovy.node.engine import Engine
from rovy.session.session import Session
from rovy.wire.control import Reply, Request

OK, UNKNOWN_CODEC, FAILED, BUSY, TOO_LONG = range(5)
REASONS = {
    UNKNOWN_CODEC: "unknown codec",
    FAILED: "failed",
    BUSY: "busy",
    TOO_LONG: "answer too long",
}
REMEMBERED = 64
"""Answers kept per session, for repeated requests."""
RUNNING = 256
"""Handlers running at a time; more requests are answered «busy»."""
FIRST_REPEAT = 0.3
log = logging.getLogger(__name__)

Answerer = Callable[[PeerID, bytes], bytes | Awaitable[bytes]]
EarlyAnswerer = Callable[[PeerID, bytes], bytes | None]
"""None where the answer has to wait for the session."""


@dataclass(slots=True)
class _Seen:
    """Requests of one session: the reply, or None while a handler works on it."""

    replies: OrderedDict[int, Reply | None] = field(default_factory=OrderedDict)


class Requests:
    """Both sides of requests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.answerers: dict[str, Answerer] = {}
        self.early: dict[str, EarlyAnswerer] = {}
        """By codec, for requests that ride in a hello: idempotent reads, answered at once."""
        self.light: set[str] = set()
        """Codecs whose requests do not count as use of a session: they need no backup routes."""
        self._waiting: dict[tuple[int, int], asyncio.Future[Reply]] = {}
        self._seen: dict[int, _Seen] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = int.from_bytes(engine.random(4), "big")

    def answer_early(self, peer: PeerID, codec: str, body: bytes) -> bytes | None:
        """Answer a request from a hello; None where it has to wait for the session."""
        answerer = self.early.get(codec)
        if answerer is None:
            return None
        try:
            answer = answerer(peer, body)
        except RovyError as error:
            return bytes((FAILED,)) + str(error).encode()[:200]
        except Exception:
            log.exception("the handler of %s failed", codec)
            return bytes((FAILED,))
        return bytes((OK,)) + answer if answer is not None else None

    async def request(self, session: Session, codec: str, body: bytes, timeout: float) -> bytes:
        """Ask the peer. Raises `Unreachable` where it does not answer or says why not."""
        self._next = (self._next + 1) & 0xFFFFFFFF
        message = Request(self._next, codec, body)
        key = session.id, message.id
        future = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                reply = await self._repeat(session, message, future)
        except TimeoutError:
            raise Unreachable("no answer", f"{session.peer} did not answer {codec}") from None
        finally:
            self._waiting.pop(key, None)
        return unpack(reply.status, reply.body, session.peer)

    def on_request(self, session: Session, request: Request) -> None:
        """A request arrived: handle it, or repeat the answer."""
        self._use(session, request.codec)
        seen = self._seen.setdefault(session.id, _Seen()).replies
        if request.id in seen:
            reply = seen[request.id]
            if reply:
                self._tell(session, reply, request.codec)
            return
        answerer = self.answerers.get(request.codec)
        if answerer is None or len(self._tasks) >= RUNNING:
            status = BUSY if answerer else UNKNOWN_CODEC
            self._tell(session, Reply(request.id, status, b""), request.codec)
            return
        seen[request.id] = None
        while len(seen) > REMEMBERED:
            seen.popitem(last=False)
        task = asyncio.create_task(self._work(session, request, answerer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_reply(self, session: Session, reply: Reply) -> None:
        """An answer arrived."""
        future = self._waiting.get((session.id, reply.id))
        if future and not future.done():
            future.set_result(reply)

    def forget(self, session: int) -> None:
        """A session is over: so are its requests."""
        self._seen.pop(session, None)
        for (number, _), future in self._waiting.items():
            if number == session and not future.done():
                future.set_exception(Unreachable("closed", "the session ended"))

    async def close(self) -> None:
        """Cancel running handlers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(
        self, session: Session, message: Request, future: asyncio.Future[Reply]
    ) -> Reply:
        active = session.paths.active
        wait = max(FIRST_REPEAT, 2 * (active.rtt or 0.0) if active else 0.0)
        while True:
            self._use(session, message.codec)
            self._engine.tell(session, message)
            done, _ = await asyncio.wait((future,), timeout=wait)
            if done:
                return future.result()
            wait = min(wait * 1.7, 5.0)

    def _use(self, session: Session, codec: str) -> None:
        if codec not in self.light:
            self._engine.sessions.used(session, self._engine.now())

    async def _work(self, session: Session, request: Request, answerer: Answerer) -> None:
        try:
            answer = answerer(session.peer, request.body)
            body = await answer if inspect.isawaitable(answer) else answer
            reply = Reply(request.id, OK, body)
        except RovyError as error:
            reply = Reply(request.id, FAILED, str(error).encode()[:200])
        except Exception:
            log.exception("the handler of %s failed", request.codec)
            reply = Reply(request.id, FAILED, b"internal error")
        if self._engine.sessions.get(session.id) is not session:
            return
        self._seen.setdefault(session.id, _Seen()).replies[request.id] = reply
        self._tell(session, reply, request.codec)

    def _tell(self, session: Session, reply: Reply, codec: str) -> None:
        """Who asked lightly asks again where no answer comes: it needs no other watch."""
        quiet = codec in self.light
        try:
            self._engine.tell(session, reply, quiet=quiet)
        except RovyError:
            self._engine.tell(session, Reply(reply.id, TOO_LONG, b""), quiet=quiet)


def unpack(status: int, body: bytes, peer: PeerID) -> bytes:
    """The body of a good answer. Raises `Unreachable` with the reason of a bad one."""
    if status == OK:
        return body
    reason = REASONS.get(status, "failed")
    text = body.decode("utf-8", "replace")
    raise Unreachable(reason, f"{peer} answered: {reason}{': ' + text if text else ''}")
