"""Datagrams, lower and upper alike: the fixed parts. docs/protocol/datagrams.md

Lengths are checked once in `parse`; what it returns can be read without further checks.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Self

from rovy.errors import Malformed


class Type(IntEnum):
    """First byte of every datagram."""

    HELLO = 1
    RESPONSE = 2
    COOKIE = 3
    DATA = 4
    NOTICE = 5


MAC = 16
TAG = 16
KEY = 32
HELLO_FIXED = 8 + KEY + (KEY + TAG) + TAG + 2 * MAC  # 136: an empty payload
RESPONSE_FIXED = 12 + KEY + TAG + 2 * MAC  # 92
COOKIE_SIZE = 64
NONCE = 24
SEALED_COOKIE = 32
DATA_HEADER = 12
DATA_FIXED = DATA_HEADER + 1 + TAG  # 29: header, codec, tag
COUNTER_MASK = (1 << 56) - 1
MAX_HANDSHAKE = 1131
"""Handshake datagrams fit any path: 1280 bytes less IPv6, UDP, and a label of 64 bytes."""

DATA = Struct(">QI")  # type and counter in one word, receiver index
DATA_NONCE = Struct("<4xQ")
"""AEAD nonce of a data datagram: 4 zero bytes and the counter (Noise §12.3)."""
_HELLO = Struct(">B3sI")
_RESPONSE = Struct(">B3sII")
_COOKIE = Struct(f">B3sI{NONCE}s{SEALED_COOKIE}s")
DATA_WORD = Type.DATA << 56
_ZERO = bytes(3)


@dataclass(frozen=True, slots=True)
class Hello:
    """Type 1: the initiator's Noise message. docs/protocol/datagrams.md §2"""

    sender: int
    noise: bytes
    mac1: bytes
    mac2: bytes

    def signed(self) -> bytes:
        """What mac1 covers."""
        return _HELLO.pack(Type.HELLO, _ZERO, self.sender) + self.noise

    def emit(self) -> bytes:
        """The whole datagram."""
        return self.signed() + self.mac1 + self.mac2

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` on a wrong length, type or reserved byte."""
        _check(data, Type.HELLO, HELLO_FIXED)
        _, zero, sender = _HELLO.unpack_from(data)
        _reserved(zero)
        return cls(sender, data[_HELLO.size : -2 * MAC], data[-2 * MAC : -MAC], data[-MAC:])


@dataclass(frozen=True, slots=True)
class Response:
    """Type 2: the responder's Noise message. docs/protocol/datagrams.md §3"""

    sender: int
    receiver: int
    noise: bytes
    mac1: bytes
    mac2: bytes

    def signed(self) -> bytes:
        """What mac1 covers."""
        return _RESPONSE.pack(Type.RESPONSE, _ZERO, self.sender, self.receiver) + self.noise

    def emit(self) -> bytes:
        """The whole datagram."""
        return self.signed() + self.mac1 + self.mac2

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` on a wrong length, type or reserved byte."""
        _check(data, Type.RESPONSE, RESPONSE_FIXED)
        _, zero, sender, receiver = _RESPONSE.unpack_from(data)
        _reserved(zero)
        noise = data[_RESPONSE.size : -2 * MAC]
        return cls(sender, receiver, noise, data[-2 * MAC : -MAC], data[-MAC:])


@dataclass(frozen=True, slots=True)
class CookieReply:
    """Type 3: sent instead of work under load. docs/protocol/datagrams.md §4"""

    receiver: int
    nonce: bytes
    sealed: bytes

    def emit(self) -> bytes:
        """The whole datagram, 64 bytes."""
        return _COOKIE.pack(Type.COOKIE, _ZERO, self.receiver, self.nonce, self.sealed)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` on a wrong length, type or reserved byte."""
        if len(data) != COOKIE_SIZE or data[0] != Type.COOKIE:
            raise Malformed("cookie reply: length or type")
        _, zero, receiver, nonce, sealed = _COOKIE.unpack(data)
        _reserved(zero)
        return cls(receiver, nonce, sealed)


def data_header(counter: int, receiver: int) -> bytes:
    """The 12 bytes before the ciphertext of a data datagram, its associated data."""
    return DATA.pack(DATA_WORD | counter, receiver)


def nonce(counter: int) -> bytes:
    """AEAD nonce of a data datagram."""
    return DATA_NONCE.pack(counter)


def _check(data: bytes, kind: Type, shortest: int) -> None:
    if not shortest <= len(data) <= MAX_HANDSHAKE or data[0] != kind:
        raise Malformed(f"{kind.name.lower()}: length or type")


def _reserved(zero: bytes) -> None:
    if zero != _ZERO:
        raise Malformed("handshake: reserved bytes are not zero")
