"""The responder's side: hellos taken, responses repeated, keys confirmed.

docs/protocol/handshake.md §8
"""

from collections.abc import Callable
from hashlib import blake2s

from rovy.address.keys import PeerID
from rovy.address.path import Path
from rovy.noise.mac import mac, mac1_key
from rovy.session.asking import Asking
from rovy.session.const import SESSIONS, STRANGERS, UNCONFIRMED, UNCONFIRMED_LIFE
from rovy.session.core import Core
from rovy.session.events import Send, VersionMismatch
from rovy.session.guard import Admitted
from rovy.session.keys import Keys, note_sent, was_sent
from rovy.session.session import Session
from rovy.session.state import ASKING, Event
from rovy.wire.datagram import RESPONSE_FIXED, Hello, Response
from rovy.wire.payload import VERSION, Payload

EarlyHandler = Callable[[PeerID, str, bytes], bytes | None]
"""(peer, codec, request) -> status byte and answer, or None where only a session will do."""


class Answering:
    """Takes hellos. One instance a node; state lives in the sessions."""

    def __init__(
        self,
        core: Core,
        asking: Asking,
        early: EarlyHandler,
        accept: Callable[[PeerID], bool],
    ) -> None:
        self._core, self._asking = core, asking
        self._early, self._acceptable = early, accept

    def on_hello(self, hello: Hello, path: Path, now: float) -> None:
        """Answer a hello, repeat an answer, or count why not."""
        core = self._core
        network = core.guard.network_of(hello)
        if network is None or not self._door(hello, path, now):
            return
        digest = blake2s(hello.noise).digest()
        repeated = core.answered.get(digest)
        if repeated:
            self._respond(repeated, path, now)
            return
        deferred = core.deferred.get(digest)
        if deferred:
            self._asking.send_on(deferred, path, now)
            return
        if not core.guard.afford(path, now, known=bool(core.by_path(path))):
            return
        admitted = core.guard.open(hello, network, lambda: core.random(32))
        if admitted:
            self._take(admitted, digest, path, now)

    def answer_deferred(self, session: Session, now: float) -> bool:
        """Answer the hello we held back, our own having brought nothing; False: there is none."""
        if session.deferred is None:
            return False
        admitted, digest, path = session.deferred
        self._answer(session, admitted, digest, path, now)
        return True

    def confirmed(self, session: Session, path: Path, now: float) -> None:
        """The peer sent under the keys of our response: they replace the ones in use."""
        core, keys = self._core, session.fresh
        if keys is None or keys.sealing is None:
            return
        core.answered.pop(keys.hello, None)
        session.fresh, sealing, keys.sealing = None, keys.sealing, None
        core.drop_opening(session)
        session.happened(Event.CONFIRMED)
        core.adopt(session, keys, sealing, now)
        if not was_sent(keys.sent, path):
            core.ask(session, session.paths.challenge(path, now, roamed=True))
        else:
            session.paths.proved(path, now, now - keys.created)
        core.sync(session, now)

    def _door(self, hello: Hello, path: Path, now: float) -> bool:
        known = bool(self._core.by_path(path))
        demanded = self._core.guard.demand(hello, path, now, known=known)
        if demanded is True:
            return True
        if demanded:
            self._core.out.append(Send(path, demanded.emit()))
        return False

    def _take(self, admitted: Admitted, digest: bytes, path: Path, now: float) -> None:
        core = self._core
        if admitted.payload.version != VERSION:
            core.out.append(VersionMismatch(admitted.peer, admitted.payload.version))
            self._send_version(admitted, path)
            return
        if not self._acceptable(admitted.peer):
            core.guard.refused["not accepted"] += 1
            return
        session = core.by_peer.get(admitted.peer)
        if session and session.state in ASKING and core.private.peer_id < admitted.peer:
            core.defer(session, admitted, digest, path)
            self._asking.postpone(session, now)
            self._asking.send_on(session, path, now)
            return
        session = session or self._stranger(admitted, now)
        if session:
            self._answer(session, admitted, digest, path, now)

    def _stranger(self, admitted: Admitted, now: float) -> Session | None:
        core = self._core
        full = len(core.answered) >= UNCONFIRMED or len(core.strangers) >= STRANGERS
        full = full or len(core.sessions) >= SESSIONS
        session = None if full else core.add(admitted.peer, admitted.network.psk, now)
        if session is None:
            core.guard.refused["full"] += 1
        else:
            core.strangers.add(session.id)
        return session

    def _answer(
        self, session: Session, admitted: Admitted, digest: bytes, path: Path, now: float
    ) -> None:
        core = self._core
        core.undefer(session)
        core.drop_fresh(session)
        index = core.index()
        payload = self._payload(admitted)
        noise = admitted.responder.write(payload.emit())
        sealing, receiving = admitted.responder.keys()
        signed = Response(index, admitted.sender, noise, b"", b"").signed()
        mac1 = mac(mac1_key(admitted.peer.key, admitted.network.psk), signed)
        session.psk = admitted.network.psk
        session.fresh = Keys(
            index,
            admitted.sender,
            now,
            False,
            admitted.payload,
            payload.codecs,
            sealing=sealing,
            hello=digest,
            response=signed + mac1,
            expires=now + UNCONFIRMED_LIFE,
        )
        core.answered[digest] = session
        core.add_keys(session, session.fresh, receiving, confirmed=False)
        session.happened(Event.ANSWERED)
        self._asking.give_way(session, now)
        self._respond(session, path, now)
        core.schedule(session, now)

    def _respond(self, session: Session, path: Path, now: float) -> None:
        """Send the response of the unconfirmed keys, which is never longer than its hello."""
        if session.fresh is None:
            return
        message = session.fresh.response
        note_sent(session.fresh.sent, path)
        mac2 = self._asking.mac2(session, path, message, now)
        self._core.out.append(Send(path, message + mac2))

    def _payload(self, admitted: Admitted) -> Payload:
        """Our payload, with the early answer where it fits into the hello's size."""
        core, room = self._core, admitted.size - RESPONSE_FIXED
        request = admitted.payload.request
        answer = self._early(admitted.peer, request.codec, request.body) if request else None
        if answer is not None and len(answer) < room:
            payload = core.payload(room, answer=answer)
            if len(payload.emit()) <= room:
                return payload
        return core.payload(room)

    def _send_version(self, admitted: Admitted, path: Path) -> None:
        """Answer a foreign version with ours, so that its user learns of it; no keys result."""
        core = self._core
        plain = Payload(core.codecs[:2], 0).emit()[: admitted.size - RESPONSE_FIXED]
        noise = admitted.responder.write(plain)
        signed = Response(core.index(), admitted.sender, noise, b"", b"").signed()
        mac1 = mac(mac1_key(admitted.peer.key, admitted.network.psk), signed)
        core.out.append(Send(path, signed + mac1 + bytes(16)))
