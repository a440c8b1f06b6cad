"""Parts of a binary multiaddr: unsigned varints, and values with and without a length."""

from __future__ import annotations

from rovy.errors import Malformed


def encode_varint(number: int) -> bytes:
    """Seven bits to a byte, the low ones first, the top bit set in all but the last."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at byte `at`, and where it ends. Two bytes at most, the shortest form only."""
    for size in (1, 2):
        part = data[at : at + size]
        if len(part) == size and part[-1] < 0x80:
            number = part[0] & 0x7F | (part[1] << 7 if size == 2 else 0)
            if encode_varint(number) == part:
                return number, at + size
    raise Malformed("multiaddr: not a code or length")


def take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """`size` bytes from byte `at`, and where they end."""
    if at + size > len(data):
        raise Malformed("multiaddr: cut short")
    return data[at : at + size], at + size


def take_value(data: bytes, at: int) -> tuple[bytes, int]:
    """A value that has its length in front, and where it ends."""
    size, at = decode_varint(data, at)
    return take(data, at, size)


def emit_part(code: int, value: bytes, *, counted: bool = False) -> bytes:
    """One part: code, the length where it is `counted`, value."""
    return encode_varint(code) + (encode_varint(len(value)) if counted else b"") + value
