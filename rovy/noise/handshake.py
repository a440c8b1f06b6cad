"""Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, through `noiseprotocol`. docs/protocol/handshake.md §2

The library alters its state while it reads, also where authentication then fails. The classes
here put the state back, so that a forged message costs its sender a packet and us some time.
"""

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from noise.connection import Keypair, NoiseConnection
from noise.exceptions import NoiseInvalidMessage

from rovy.address.keys import PeerID, PrivateKey, check_key
from rovy.errors import Malformed
from rovy.noise.backend import BACKEND

PROTOCOL = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
PROLOGUE = b"rovy/1"
NO_PSK = bytes(32)
"""The public network's pre-shared key."""

Keys = tuple[bytearray, bytearray]
"""(key to seal with, key to open with), 32 bytes each; whoever takes them wipes them."""


class Initiator:
    """One hello and the state that waits for its response."""

    def __init__(
        self,
        private: PrivateKey,
        peer: PeerID,
        psk: bytes,
        ephemeral: bytes,
        prologue: bytes = PROLOGUE,
    ) -> None:
        self._noise = _connection(psk, prologue, private)
        self._noise.set_as_initiator()
        self._noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, peer.key)
        self._noise.start_handshake()
        _set_ephemeral(self._noise, ephemeral)

    def write(self, payload: bytes) -> bytes:
        """Message 1: 96 bytes and the payload."""
        return bytes(self._noise.write_message(payload))

    def read(self, message: bytes) -> bytes:
        """Payload of message 2. Raises `Malformed`, and can then be called again."""
        check_key(message[:32])
        restore = _snapshot(self._noise)
        try:
            return bytes(self._noise.read_message(message))
        except (InvalidTag, ValueError, NoiseInvalidMessage) as error:
            restore()
            raise Malformed("response: does not authenticate") from error

    def keys(self) -> Keys:
        """The session's keys, after `read`; can be called once."""
        return _take_keys(self._noise)


class Responder:
    """A received hello: who sent it, what it carries, and the response to it."""

    def __init__(
        self,
        private: PrivateKey,
        message: bytes,
        psk: bytes,
        ephemeral: Callable[[], bytes],
        prologue: bytes = PROLOGUE,
    ) -> None:
        """Raises `Malformed` where message 1 is not for us or carries a refused key."""
        check_key(message[:32])
        self._noise = _connection(psk, prologue, private)
        self._noise.set_as_responder()
        self._noise.start_handshake()
        self._ephemeral = ephemeral
        try:
            self.payload = bytes(self._noise.read_message(message))
        except (InvalidTag, ValueError, NoiseInvalidMessage) as error:
            raise Malformed("hello: does not authenticate") from error
        self.peer_key = bytes(self._noise.noise_protocol.handshake_state.rs.public_bytes)
        check_key(self.peer_key)

    def write(self, payload: bytes) -> bytes:
        """Message 2: 48 bytes and the payload."""
        _set_ephemeral(self._noise, self._ephemeral())
        return bytes(self._noise.write_message(payload))

    def keys(self) -> Keys:
        """The session's keys, after `write`; can be called once."""
        return _take_keys(self._noise)


def _connection(psk: bytes, prologue: bytes, private: PrivateKey) -> Any:
    noise = NoiseConnection.from_name(PROTOCOL, backend=BACKEND)
    noise.set_psks(psk)
    noise.set_prologue(prologue)
    noise.set_keypair_from_private_bytes(Keypair.STATIC, private.secret)
    return noise


def _set_ephemeral(noise: Any, secret: bytes) -> None:
    """Use this ephemeral key; set as a key pair beforehand, the library would warn about it."""
    protocol = noise.noise_protocol
    protocol.handshake_state.e = protocol.dh_fn.klass.from_private_bytes(secret)


def _snapshot(noise: Any) -> Callable[[], None]:
    """A function that puts back what reading a message alters."""
    protocol = noise.noise_protocol
    handshake = protocol.handshake_state
    symmetric = handshake.symmetric_state
    cipher = symmetric.cipher_state
    chaining, digest, key, count = symmetric.ck, symmetric.h, cipher.k, cipher.n
    remote, patterns = handshake.re, list(handshake.message_patterns)
    psks, following = list(protocol.psks), noise._next_fn  # noqa: SLF001

    def restore() -> None:
        symmetric.ck, symmetric.h = chaining, digest
        cipher.initialize_key(key)
        cipher.n = count
        handshake.re, handshake.message_patterns = remote, patterns
        protocol.psks, noise._next_fn = psks, following  # noqa: SLF001

    return restore


def _take_keys(noise: Any) -> Keys:
    protocol = noise.noise_protocol
    sealing, opening = protocol.cipher_state_encrypt, protocol.cipher_state_decrypt
    keys = bytearray(sealing.k), bytearray(opening.k)
    sealing.k = opening.k = None
    return keys
