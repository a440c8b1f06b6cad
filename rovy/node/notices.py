"""Notices and traces: told, believed, acted upon. docs/protocol/notices.md"""

import asyncio
from collections import Counter
from collections.abc import Callable

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import Label, back_label
from rovy.address.path import Path, Routed
from rovy.buckets import TokenBucket
from rovy.dataplane.types import Refused
from rovy.errors import Malformed, Unreachable, UsageError
from rovy.forwarder import Quote, mend
from rovy.node.engine import Engine
from rovy.noise import xeddsa
from rovy.session.limits import SourceBuckets
from rovy.session.session import Session
from rovy.wire.datagram import Type
from rovy.wire.forward import header_size
from rovy.wire.notice import (
    MAX_TRACE_LABEL,
    NONCE,
    REFUSALS,
    TRACE_SIZE,
    Code,
    Notice,
    TraceAnswer,
    trace_nonce,
)

DOMAIN = b"rovy-trace1"
PENDING = 256
"""Traces under way at most."""
SMALLEST_MTU = 576
"""A notice cannot push a path's datagrams below this."""
REPEAT = 0.5


class Notices:
    """Sends notices at a bounded rate and believes those that quote what we just sent."""

    def __init__(
        self,
        engine: Engine,
        private: PrivateKey,
        rate: float,
        told: Callable[[str, PeerID, str], None],
        fault: Callable[[Label, Label], None] = lambda used, told: None,
    ) -> None:
        self._engine, self._private, self._told = engine, private, told
        self._fault = fault
        self._all = TokenBucket(rate, 2 * rate, engine.now())
        self._each = SourceBuckets(rate / 2, rate)
        self._traces: dict[bytes, tuple[Label, asyncio.Future[PeerID]]] = {}
        self.sent: Counter[str] = Counter()
        self.believed: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()

    def limit(self, rate: float) -> None:
        """So many a second from now on."""
        self._all.limit(rate, 2 * rate)
        self._each.limit(rate / 2, rate)

    def on_refused(self, refused: Refused) -> None:
        """Tell the source of a packet why it goes no further."""
        name = refused.code.name.lower()
        try:
            back = back_label(refused.arrival, refused.travelled)
        except Malformed:
            self.ignored["label does not read backwards"] += 1
            return
        if not self._afford(refused.arrival):
            self.sent["rate limited"] += 1
            return
        self.sent[name] += 1
        notice = Notice(refused.code, min(refused.mtu, 0xFFFF), refused.quote)
        self._engine.carry(Routed(back), notice.emit())

    def on_notice(self, notice: Notice, path: Path) -> None:
        """A notice came back along a label, or a trace reached us."""
        if not isinstance(path, Routed):
            return
        if notice.code in REFUSALS:
            self._refusal(notice, path.label)
        elif notice.code is Code.TRACE_REQUEST:
            self._answer(notice, path)
        else:
            self._answered(notice)

    async def trace(self, label: Label, timeout: float, *, repeat: bool = True) -> PeerID:
        """Who stands at the end of a label. Raises `Unreachable` and, when busy, `UsageError`."""
        if not label.data:
            return self._private.peer_id
        if len(self._traces) >= PENDING:
            raise UsageError("too many traces are under way")
        nonce = self._engine.random(NONCE)
        future: asyncio.Future[PeerID] = asyncio.get_running_loop().create_future()
        self._traces[nonce] = label, future
        request = Notice(Code.TRACE_REQUEST, 0, nonce + bytes(TRACE_SIZE - NONCE)).emit()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    self._engine.carry(Routed(label), request)
                    wait = REPEAT if repeat else timeout
                    done, _ = await asyncio.wait((future,), timeout=wait)
                    if done:
                        peer: PeerID = await future
                        return peer
        except TimeoutError:
            raise Unreachable("no answer", f"nobody answers at the end of {label}") from None
        finally:
            self._traces.pop(nonce, None)

    def _afford(self, slot: int) -> bool:
        now = self._engine.now()
        return self._each.take(slot.to_bytes(2, "big"), now) and self._all.take(now)

    def _answer(self, notice: Notice, path: Routed) -> None:
        nonce, label = trace_nonce(notice.body), path.label.data
        if len(label) > MAX_TRACE_LABEL or not self._afford(path.label.first):
            self.sent["rate limited"] += 1
            return
        signature = xeddsa.sign(self._private, DOMAIN, nonce + label, self._engine.random(64))
        answer = TraceAnswer(nonce, self._private.peer_id.key, signature, label)
        self.sent["trace_answer"] += 1
        self._engine.carry(path, Notice(Code.TRACE_ANSWER, 0, answer.emit()).emit())

    def _answered(self, notice: Notice) -> None:
        answer = TraceAnswer.parse(notice.body)
        label, future = self._traces.get(answer.nonce, (None, None))
        if label is None or future is None or future.done():
            self.ignored["trace not asked"] += 1
            return
        if Label(answer.label).hops != label.hops:
            self.ignored["trace diverted"] += 1
            return
        xeddsa.verify(answer.key, DOMAIN, answer.nonce + answer.label, answer.signature)
        self.believed["trace_answer"] += 1
        future.set_result(PeerID(answer.key))

    def _refusal(self, notice: Notice, told: Label) -> None:
        quote = Quote.parse(notice.body)
        for session in self._engine.sessions:
            used = self._used(session, told)
            if used and quote and self._is_ours(session, quote, notice.body):
                self.believed[notice.code.name.lower()] += 1
                self._act(session, notice, used, told)
                return
        self.ignored["not ours"] += 1

    def _used(self, session: Session, told: Label) -> Label | None:
        """A label of the session's that begins with the one the notice came from."""
        active = [session.path] if session.path else []
        for path in (*active, *session.paths.states, *session.hints):
            longer = isinstance(path, Routed) and path.label.hops > told.hops
            if isinstance(path, Routed) and longer and path.label.startswith(told):
                return path.label
        return None

    def _is_ours(self, session: Session, quote: Quote, raw: bytes) -> bool:
        if quote.type == Type.HELLO:
            opening = session.opening
            return opening is not None and raw[:24] == opening.signed[:24]
        if not session.sending:
            return False
        index, first, following = self._engine.dataplane.recent(session.id, self._engine.now())
        return quote.index == index and first <= quote.counter < following

    def _act(self, session: Session, notice: Notice, used: Label, told: Label) -> None:
        now, sessions = self._engine.now(), self._engine.sessions
        path = Routed(used)
        if notice.code is Code.TOO_BIG:
            room = notice.mtu - header_size(len(used.rest))
            sessions.limit_mtu(session, path, max(room, SMALLEST_MTU), now)
            return
        if notice.code in (Code.UNKNOWN_SLOT, Code.LINK_DOWN):
            self._fault(used, told)
        mended = mend(used, notice.code, told)
        session.hints.pop(path, None)
        if mended:
            self._told("label_mended", session.peer, f"{used} -> {mended}")
            sessions.connect(session.peer, [Routed(mended)], now, psk=session.psk)
        sessions.on_path_down(session.id, path, now)
        self._engine.pump()
