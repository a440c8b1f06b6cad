"""Pieces: a payload too long for its path, cut up. docs/protocol/pieces.md

Codec `piece`, body {id 4, index 1, count 1} and a part of (codec 1, payload).
"""

from dataclasses import dataclass
from struct import Struct
from typing import Self

from rovy.errors import Malformed

_HEADER = Struct(">IBB")
HEADER = _HEADER.size
MAX_WHOLE = 16 * 1024
"""Longest payload that may be cut, bytes, its codec byte included."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a payload."""

    id: int
    index: int
    count: int
    body: bytes

    def emit(self) -> bytes:
        """Header and part."""
        return _HEADER.pack(self.id, self.index, self.count) + self.body

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed` on an empty part or an index past the count."""
        if len(data) <= HEADER:
            raise Malformed("piece: short")
        number, index, count = _HEADER.unpack_from(data)
        if index >= count:
            raise Malformed("piece: index")
        return cls(number, index, count, data[HEADER:])


def cut(number: int, whole: bytes, room: int) -> list[Piece]:
    """Parts of `whole` whose emitted form has at most `room` bytes each.

    Raises `ValueError` where it is too long to be cut or needs more than 255 parts.
    """
    step = room - HEADER
    count = -(-len(whole) // step) if step > 0 else 256
    if len(whole) > MAX_WHOLE or count > 255:
        raise ValueError(f"{len(whole)} bytes do not fit in pieces of {room}")
    return [Piece(number, i, count, whole[i * step : (i + 1) * step]) for i in range(count)]
