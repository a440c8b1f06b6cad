"""The initiator's side: hellos, their repetition, their responses. docs/protocol/handshake.md §7"""

from rovy.address.path import Path
from rovy.errors import Malformed
from rovy.noise.handshake import Initiator
from rovy.noise.mac import COOKIE_LIFE, mac, mac1_key, open_cookie
from rovy.session.const import FRESH_HELLO, GIVE_UP, HINTS, RETRIES, RETRY_JITTER, YIELD
from rovy.session.core import Core
from rovy.session.events import EarlyAnswer, Send, VersionMismatch
from rovy.session.keys import Keys, Opening, note_sent, was_sent
from rovy.session.session import Session
from rovy.session.state import Event
from rovy.wire.datagram import (
    HELLO_FIXED,
    MAC,
    MAX_HANDSHAKE,
    CookieReply,
    Hello,
    Response,
)
from rovy.wire.payload import VERSION, Early, Payload

HELLO_SIZE = 400
"""Bytes a hello is padded to, so that the response has room for its table of codecs."""


class Asking:
    """Opens sessions. One instance a node; state lives in the sessions."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def open(self, session: Session, now: float, request: Early | None = None) -> None:
        """Send a hello on every path we know, unless one is open.

        Where we have answered one of the peer's, ours waits a second for what comes of that.
        """
        if session.opening:
            return
        session.opening = self._make(session, now, now, request)
        if session.fresh:
            self.give_way(session, now)
            return
        session.happened(Event.ASKED)
        self.send(session, now)

    def send(self, session: Session, now: float) -> None:
        """Send the open hello, made anew where it has grown old, and set the next retry."""
        opening = session.opening
        if opening is None:
            return
        if now - opening.made >= FRESH_HELLO:
            opening = self._renew(session, opening, now)
        wait = RETRIES[min(opening.tries, len(RETRIES) - 1)]
        jitter = 1 + RETRY_JITTER * (self._core.random(1)[0] / 127.5 - 1)
        opening.tries += 1
        opening.retry_at = now + wait * jitter
        for path in session.reach():
            self.send_on(session, path, now)

    def send_on(self, session: Session, path: Path, now: float) -> None:
        """Send the open hello on one path."""
        opening = session.opening
        if opening is None:
            return
        hello = opening.signed + opening.mac1
        note_sent(opening.sent, path)
        self._core.out.append(Send(path, hello + self.mac2(session, path, hello, now)))

    def give_way(self, session: Session, now: float) -> None:
        """The peer's hello is answered: repeat ours only if that brings nothing in a second.

        Once for each hello of ours, lest replayed hellos keep it from going out.
        """
        opening = session.opening
        if opening and not opening.yielded:
            opening.yielded = True
            opening.retry_at = now + YIELD

    def postpone(self, session: Session, now: float) -> None:
        """Give the copy that goes out now the time to be answered before the next retry.

        Where the next one came sooner than answers, both sides would answer, and not agree on keys.
        """
        if session.opening:
            session.opening.retry_at = max(session.opening.retry_at, now + sum(RETRIES[:2]))

    def mac2(self, session: Session, path: Path, message: bytes, now: float) -> bytes:
        """The second MAC: with the cookie we hold for that path, else zeros."""
        cookie, at = session.cookie(path)
        return mac(cookie, message) if cookie and now - at < COOKIE_LIFE else bytes(MAC)

    def retry(self, session: Session, now: float) -> bool:
        """Send again, or say that it is time to give up."""
        opening = session.opening
        if opening is None or now < opening.retry_at:
            return True
        if now - opening.started >= GIVE_UP:
            return False
        self.send(session, now)
        return True

    def on_response(self, message: Response, path: Path, now: float) -> None:
        """Take the response to our open hello; anything else changes nothing."""
        core = self._core
        session = core.pending.get(message.receiver)
        if session is None or session.opening is None:
            core.guard.refused["response: not asked"] += 1
            return
        opening = session.opening
        took = now - opening.made
        try:
            plain = opening.noise.read(message.noise)
            core.pending.pop(opening.index)  # it can be read once
            opening.made = now - FRESH_HELLO
            payload = Payload.parse(plain, hello=False)
        except Malformed:
            core.guard.refused["malformed"] += 1
            return
        if payload.version != VERSION:
            core.out.append(VersionMismatch(session.peer, payload.version))
            core.close(session, "version")
            return
        self._accept(session, opening, message, payload, path, now, took)

    def on_cookie(self, reply: CookieReply, path: Path, now: float) -> None:
        """Keep the cookie for the path it came by and send the hello again, once a reply."""
        core = self._core
        session = core.pending.get(reply.receiver)
        asked = session is not None and session.opening is not None
        answering = core.openers.get(reply.receiver)
        if not asked and not (answering and answering.fresh):
            core.guard.refused["cookie: not asked"] += 1
            return
        try:
            self._keep_cookie(session or answering, reply, path, now)
        except Malformed:
            core.guard.refused["malformed"] += 1

    def _keep_cookie(
        self, session: Session | None, reply: CookieReply, path: Path, now: float
    ) -> None:
        assert session is not None
        opening = session.opening
        asked = opening is not None and opening.index == reply.receiver
        mac1 = opening.mac1 if opening and asked else self._response_mac1(session)
        cookie = open_cookie(session.peer.key, reply.nonce, reply.sealed, mac1)
        fresh = now - session.cookies.get(path, (b"", -COOKIE_LIFE))[1] >= COOKIE_LIFE
        session.cookies[path] = (cookie, now)
        while len(session.cookies) > HINTS:
            del session.cookies[next(iter(session.cookies))]
        if fresh and asked:
            self.send_on(session, path, now)

    def _response_mac1(self, session: Session) -> bytes:
        return session.fresh.response[-MAC:] if session.fresh else b""

    def _accept(
        self,
        session: Session,
        opening: Opening,
        message: Response,
        payload: Payload,
        path: Path,
        now: float,
        took: float,
    ) -> None:
        core = self._core
        sealing, receiving = opening.noise.keys()
        keys = Keys(opening.index, message.sender, now, True, payload, opening.told)
        request, opening.request = opening.request, None
        core.drop_opening(session)
        core.drop_fresh(session)
        core.add_keys(session, keys, receiving, confirmed=True)
        session.happened(Event.ACCEPTED)
        core.adopt(session, keys, sealing, now)
        if not was_sent(opening.sent, path):
            core.ask(session, session.paths.challenge(path, now, roamed=True))
        else:
            proved = session.paths.proved(path, now, took)
            core.ask(session, [session.paths.probe(proved, now)])
        core.sync(session, now)
        for hint in session.reach():
            core.ask(session, session.paths.challenge(hint, now))
        if request:
            core.out.append(EarlyAnswer(session.id, payload.answer))
        core.sync(session, now)

    def _make(self, session: Session, now: float, started: float, request: Early | None) -> Opening:
        core = self._core
        noise = Initiator(core.private, session.peer, session.psk, core.random(32))
        room = MAX_HANDSHAKE - HELLO_FIXED
        payload = core.payload(room, timestamp=core.stamps.stamp(), request=request)
        size = MAX_HANDSHAKE if request else HELLO_SIZE
        index = core.index()
        hello = Hello(index, noise.write(payload.emit(size - HELLO_FIXED)), b"", b"")
        signed = hello.signed()
        mac1 = mac(mac1_key(session.peer.key, session.psk), signed)
        core.pending[index] = session
        return Opening(noise, index, signed, mac1, now, started, request, payload.codecs)

    def _renew(self, session: Session, opening: Opening, now: float) -> Opening:
        self._core.pending.pop(opening.index, None)
        renewed = self._make(session, now, opening.started, opening.request)
        renewed.tries, renewed.yielded = opening.tries, opening.yielded
        session.opening = renewed
        return renewed
