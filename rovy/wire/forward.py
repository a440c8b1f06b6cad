"""Forward packets: `pos 1 | len 1 | label len | zeros`, then a datagram. docs/protocol/forward.md

The header is padded to a multiple of 8 bytes. A label is switched in place: each node replaces
its entry by the slot the packet came from, at the same width, two-byte entries byte-swapped, so
that the label read backwards leads back.
"""

from dataclasses import dataclass
from typing import Self

from rovy.address.label import SMALL
from rovy.errors import Malformed

POS, LEN, LABEL = 0, 1, 2  # offsets
FORWARD_LIMIT = 64
"""Longest label a forwarder takes by default, bytes."""
FIRST_WIDE, RESERVED = 0xF0, 0xFF
QUOTE = 24
"""Bytes of the inner datagram that a notice quotes."""


def header_size(label_length: int) -> int:
    """Bytes before the inner datagram, for a label of that many bytes as carried."""
    return (LABEL + label_length + 7) & ~7


def emit_header(rest: bytes) -> bytes:
    """Header of a new forward packet; `rest` is the label without its sender's own slot."""
    plain = bytes((0, len(rest))) + rest
    return plain + bytes(-len(plain) % 8)


@dataclass(frozen=True, slots=True)
class ForwardHeader:
    """Route label carried by every forwarded packet."""

    pos: int
    label: bytes

    @property
    def size(self) -> int:
        """Bytes of the header on the wire."""
        return header_size(len(self.label))

    def emit(self) -> bytes:
        """The header with its padding."""
        return bytes((self.pos,)) + emit_header(self.label)[1:]

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Self:
        """Raises `Malformed` where lengths or position do not agree."""
        if len(data) < LABEL or len(data) < header_size(data[LEN]):
            raise Malformed("forward header: short")
        if data[POS] > data[LEN]:
            raise Malformed("forward header: position")
        return cls(data[POS], bytes(data[LABEL : LABEL + data[LEN]]))


def entry_slot(packet: bytearray | memoryview | bytes, at: int, end: int) -> tuple[int, int]:
    """(slot, width) of the entry at byte `at` of `packet`, whose label ends at byte `end`.

    (0, 0) where no valid entry is there: slot 0, the reserved byte, or half a wide entry.
    """
    first = packet[at]
    if first < FIRST_WIDE:
        return (first, 1) if first else (0, 0)
    if first == RESERVED or at + 1 >= end:
        return 0, 0
    slot = ((first - FIRST_WIDE) << 8) | packet[at + 1]
    return (slot, 2) if slot else (0, 0)


def overwrite(packet: bytearray | memoryview, at: int, width: int, slot: int) -> bool:
    """Write the arrival slot over the entry at `at`; False where it does not fit its width."""
    if width == 1:
        if slot > SMALL:
            return False
        packet[at] = slot
        return True
    packet[at] = slot & 0xFF
    packet[at + 1] = FIRST_WIDE + (slot >> 8)
    return True
