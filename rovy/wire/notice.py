"""Notices (type 5): refusals and traces, never a session's. docs/protocol/notices.md"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Self

from rovy.errors import Malformed
from rovy.wire.datagram import Type
from rovy.wire.forward import QUOTE

_HEADER = Struct(">BBH")
HEADER = _HEADER.size
NONCE, KEY, SIGNATURE, MAX_TRACE_LABEL = 16, 32, 64, 64
TRACE_SIZE = NONCE + KEY + SIGNATURE + 1 + MAX_TRACE_LABEL
"""Body of a trace request: as long as the longest answer, so that no answer is longer."""


class Code(IntEnum):
    """Why a packet was refused, or what a trace message is."""

    UNKNOWN_SLOT = 1
    LINK_DOWN = 2
    TOO_BIG = 3
    TOO_NARROW = 4
    U_TURN = 5
    TRACE_REQUEST = 6
    TRACE_ANSWER = 7


REFUSALS = frozenset(
    (Code.UNKNOWN_SLOT, Code.LINK_DOWN, Code.TOO_BIG, Code.TOO_NARROW, Code.U_TURN)
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice; for refusals `body` is the first 24 bytes of the refused inner datagram."""

    code: Code
    mtu: int
    """Largest forward packet of the link, bytes; 0 where the code is not TOO_BIG."""
    body: bytes

    def emit(self) -> bytes:
        """The datagram."""
        return _HEADER.pack(Type.NOTICE, self.code, self.mtu) + self.body

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` on unknown codes, short bodies and quotes of a wrong length."""
        if len(data) < HEADER or data[0] != Type.NOTICE:
            raise Malformed("notice: short")
        _, number, mtu = _HEADER.unpack_from(data)
        if number not in _CODES:
            raise Malformed("notice: code")
        code, body = Code(number), data[HEADER:]
        if code in REFUSALS and len(body) != QUOTE:
            raise Malformed("notice: quote")
        return cls(code, mtu, body)


@dataclass(frozen=True, slots=True)
class TraceAnswer:
    """Who stands at the end of a label: key, signature, and the label back as its end sees it."""

    nonce: bytes
    key: bytes
    signature: bytes
    label: bytes

    def emit(self) -> bytes:
        """Body of the answer notice."""
        size = bytes([len(self.label)])
        return self.nonce + self.key + self.signature + size + self.label

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Raises `Malformed` on a wrong length."""
        fixed = NONCE + KEY + SIGNATURE + 1
        if len(body) < fixed or len(body) != fixed + body[fixed - 1]:
            raise Malformed("trace answer: length")
        key_end = NONCE + KEY
        return cls(body[:NONCE], body[NONCE:key_end], body[key_end : fixed - 1], body[fixed:])


def trace_nonce(body: bytes) -> bytes:
    """Nonce of a trace request. Raises `Malformed` where it is shorter than an answer could be."""
    if len(body) < TRACE_SIZE:
        raise Malformed("trace request: short")
    return body[:NONCE]


_CODES = frozenset(Code)
