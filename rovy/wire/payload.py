"""What a handshake carries inside its Noise messages. docs/protocol/handshake.md §4

Hello: timestamp 12, version 1, options. Response: version 1, options. An option is
{type 1, length 2, value}; unknown types are passed over, so that later versions can add some.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Self

from rovy.errors import Malformed

VERSION = 1
TIMESTAMP = 12
CODECS, RECEIVE_MTU, REQUEST, ANSWER, PADDING = 1, 2, 3, 4, 5
FORWARD, PIECE, IP6 = "forward", "piece", "ip6"
"""Codecs of our own; docs/protocol/handshake.md"""
MAX_CODECS = 64
MAX_NAME = 32
_OPTION = Struct(">BH")
_U16 = Struct(">H")


@dataclass(frozen=True, slots=True)
class Early:
    """A request (codec) or its answer (status) that rides in a handshake payload."""

    codec: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Payload:
    """Parsed payload of a hello or a response."""

    codecs: tuple[str, ...]
    mtu: int
    """Largest datagram the sender can take, bytes."""
    version: int = VERSION
    timestamp: bytes = b""
    """TAI64N, 12 bytes in a hello, empty in a response."""
    request: Early | None = None
    answer: bytes | None = None
    """Status byte and body of the answer to the hello's request."""

    def emit(self, size: int = 0) -> bytes:
        """The payload, padded to `size` bytes, which one or two missing bytes are too few for."""
        parts = [self.timestamp, bytes([self.version])]
        parts.append(_option(CODECS, emit_table(self.codecs)))
        parts.append(_option(RECEIVE_MTU, _U16.pack(self.mtu)))
        if self.request:
            parts.append(_option(REQUEST, _named(self.request.codec) + self.request.body))
        if self.answer is not None:
            parts.append(_option(ANSWER, self.answer))
        plain = b"".join(parts)
        missing = size - len(plain) - _OPTION.size
        return plain + _option(PADDING, bytes(missing)) if missing >= 0 else plain

    @classmethod
    def parse(cls, data: bytes, *, hello: bool) -> Self:
        """Raises `Malformed`; of a foreign version only timestamp and version are read."""
        start = TIMESTAMP if hello else 0
        if len(data) < start + 1:
            raise Malformed("handshake payload: short")
        version, stamp = data[start], data[:start]
        if version != VERSION:
            return cls((), 0, version, stamp)
        found = _options(data[start + 1 :])
        if CODECS not in found or RECEIVE_MTU not in found:
            raise Malformed("handshake payload: an option is missing")
        if len(found[RECEIVE_MTU]) != 2:
            raise Malformed("handshake payload: receive MTU")
        if found.get(ANSWER) == b"":
            raise Malformed("handshake payload: answer without status")
        request = _early(found[REQUEST]) if REQUEST in found else None
        (mtu,) = _U16.unpack(found[RECEIVE_MTU])
        codecs = parse_table(found[CODECS])
        return cls(codecs, mtu, version, stamp, request, found.get(ANSWER))


def emit_table(codecs: tuple[str, ...]) -> bytes:
    """Multigram table: names in order, each {length 1, ASCII}; the first has index 1."""
    return b"".join(_named(name) for name in codecs)


def parse_table(data: bytes) -> tuple[str, ...]:
    """Raises `Malformed` on more than 64 names, and on one that is twice there or not a name."""
    names = []
    while data:
        name, data = _take_name(data)
        names.append(name)
        if len(names) > MAX_CODECS:
            raise Malformed("multigram table: too long")
    if len(set(names)) != len(names):
        raise Malformed("multigram table: a name twice")
    return tuple(names)


def _early(value: bytes) -> Early:
    return Early(*_take_name(value))


def _take_name(data: bytes) -> tuple[str, bytes]:
    size = data[0] if data else 0
    raw = data[1 : 1 + size]
    if len(raw) != size or not is_name(raw):
        raise Malformed("codec name")
    return raw.decode("ascii"), data[1 + size :]


def is_name(raw: bytes) -> bool:
    """Whether these bytes may name a codec: 1 to 32 visible ASCII characters."""
    return 1 <= len(raw) <= MAX_NAME and all(0x21 <= byte <= 0x7E for byte in raw)


def _named(name: str) -> bytes:
    raw = name.encode("ascii")
    return bytes([len(raw)]) + raw


def _option(kind: int, value: bytes) -> bytes:
    return _OPTION.pack(kind, len(value)) + value


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if len(data) - at < _OPTION.size:
            raise Malformed("handshake payload: option header")
        kind, size = _OPTION.unpack_from(data, at)
        at += _OPTION.size
        if len(data) - at < size or kind in found:
            raise Malformed("handshake payload: option short or twice")
        found[kind] = data[at : at + size]
        at += size
    return found
