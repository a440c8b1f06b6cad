"""Cryptography that is played, for networks of more than 1000 nodes. It protects nothing.

Handshakes and signatures become hashes that anyone could make: the messages keep their lengths
and their fields, what does not fit together is refused as before, and the same seed gives the same
run. Packets are still sealed by the real cipher, which costs less than anything in its place.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b, blake2s
from types import ModuleType

from rovy.address.keys import PeerID, PrivateKey
from rovy.errors import Malformed
from rovy.noise import xeddsa
from rovy.noise.handshake import PROLOGUE, Keys
from rovy.session import asking, guard

_E, _S, _TAG = 32, 48, 16


class PlayedInitiator:
    """In place of `Initiator`."""

    def __init__(
        self,
        private: PrivateKey,
        peer: PeerID,
        psk: bytes,
        ephemeral: bytes,
        prologue: bytes = PROLOGUE,
    ) -> None:
        self._own, self._peer, self._psk = private.peer_id.key, peer.key, psk
        self._e = blake2s(ephemeral).digest()
        self._other = b""

    def write(self, payload: bytes) -> bytes:
        """See `Initiator`."""
        tag = _tag(self._e, self._own, self._peer, self._psk, payload)
        return self._e + self._own + bytes(_TAG) + payload + tag

    def read(self, message: bytes) -> bytes:
        """See `Initiator`."""
        other, payload, tag = message[:_E], message[_E:-_TAG], message[-_TAG:]
        if tag != _tag(self._e, other, self._own, self._psk, payload):
            raise Malformed("response: does not authenticate")
        self._other = other
        return payload

    def keys(self) -> Keys:
        """See `Initiator`."""
        return _keys(self._e, self._other)


class PlayedResponder:
    """In place of `Responder`."""

    def __init__(
        self,
        private: PrivateKey,
        message: bytes,
        psk: bytes,
        ephemeral: Callable[[], bytes],
        prologue: bytes = PROLOGUE,
    ) -> None:
        self._psk, self._ephemeral, self._own_e = psk, ephemeral, b""
        self._e, self.peer_key = message[:_E], message[_E : _E + 32]
        self.payload, tag = message[_E + _S : -_TAG], message[-_TAG:]
        if tag != _tag(self._e, self.peer_key, private.peer_id.key, psk, self.payload):
            raise Malformed("hello: does not authenticate")

    def write(self, payload: bytes) -> bytes:
        """See `Responder`."""
        self._own_e = blake2s(self._ephemeral()).digest()
        tag = _tag(self._e, self._own_e, self.peer_key, self._psk, payload)
        return self._own_e + payload + tag

    def keys(self) -> Keys:
        """See `Responder`."""
        sealing, opening = _keys(self._e, self._own_e)
        return opening, sealing


@contextmanager
def fast_crypto(wanted: bool = True) -> Iterator[None]:
    """Play handshakes and signatures inside, in the whole process, if that is `wanted`."""
    if not wanted:
        yield
        return
    former = [(owner, name, getattr(owner, name)) for owner, name, _ in PLAYED]
    for owner, name, played in PLAYED:
        setattr(owner, name, played)
    try:
        yield
    finally:
        for owner, name, real in former:
            setattr(owner, name, real)


def _sign(private: PrivateKey, domain: bytes, message: bytes, nonce: bytes) -> bytes:
    return _signature(private.peer_id.key, domain, message)


def _verify(peer_key: bytes, domain: bytes, message: bytes, signature: bytes) -> None:
    if signature != _signature(peer_key, domain, message):
        raise Malformed("signature: does not verify")


def _signature(key: bytes, domain: bytes, message: bytes) -> bytes:
    return blake2b(key + domain + message, digest_size=xeddsa.SIGNATURE_BYTES).digest()


def _tag(*parts: bytes) -> bytes:
    return blake2s(b"".join(parts), digest_size=_TAG).digest()


def _keys(one: bytes, other: bytes) -> Keys:
    made = (blake2s(one + other + which).digest() for which in (b"i", b"r"))
    sealing, opening = map(bytearray, made)
    return sealing, opening


PLAYED: tuple[tuple[ModuleType, str, object], ...] = (
    (asking, "Initiator", PlayedInitiator),
    (guard, "Responder", PlayedResponder),
    (xeddsa, "sign", _sign),
    (xeddsa, "verify", _verify),
)
"""What is replaced: module, name and what takes its place."""
