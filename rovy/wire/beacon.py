"""Control messages about anchors: their beacons, what is taken back, what neighbours offer.

docs/protocol/anchors.md §4
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final

from rovy.errors import Malformed

BEACON, WITHDRAWN, GONE, OFFERED, ASKED = range(12, 17)
SHORT: Final = 8
DIGEST: Final = 8
MAX_OFFERED: Final = 64
"""Anchors named in one message."""
MAX_BEACON: Final = 6632
"""Bytes of a beacon over 64 hops."""
_GONE: Final = Struct(">B32s32s6s64s")
_ENTRY: Final = Struct(">8s8s")


@dataclass(frozen=True, slots=True)
class BeaconMessage:
    """The sender's way to an anchor, signed for the receiver."""

    beacon: bytes

    def emit(self) -> bytes:
        """Type and beacon."""
        return bytes((BEACON,)) + self.beacon


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The sender offers no way to this anchor any more."""

    anchor: bytes
    """Short."""

    def emit(self) -> bytes:
        """9 bytes."""
        return bytes((WITHDRAWN,)) + self.anchor


@dataclass(frozen=True, slots=True)
class Gone:
    """A link is down, signed by one of its ends."""

    key: bytes
    """Of the end that says so."""
    other: bytes
    """Key of the other end."""
    sequence: int
    signature: bytes

    def emit(self) -> bytes:
        """135 bytes."""
        sequence = self.sequence.to_bytes(6, "big")
        return _GONE.pack(GONE, self.key, self.other, sequence, self.signature)


@dataclass(frozen=True, slots=True)
class Offered:
    """All that the sender offers now: (short of the anchor, digest of the beacon)."""

    entries: tuple[tuple[bytes, bytes], ...]

    def emit(self) -> bytes:
        """Type, then {short 8, digest 8}."""
        return bytes((OFFERED,)) + b"".join(_ENTRY.pack(*entry) for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Asked:
    """Anchors whose beacons the sender wants again."""

    anchors: tuple[bytes, ...]

    def emit(self) -> bytes:
        """Type, then {short 8}."""
        return bytes((ASKED,)) + b"".join(self.anchors)


AnchorMessage = BeaconMessage | Withdrawn | Gone | Offered | Asked


def parse_beacon(data: bytes) -> BeaconMessage:
    """Raises `Malformed`, as the other readers here do; the beacon itself is read elsewhere."""
    if not 1 < len(data) <= 1 + MAX_BEACON:
        raise Malformed("beacon message: length")
    return BeaconMessage(data[1:])


def parse_withdrawn(data: bytes) -> Withdrawn:
    """Bytes after it are passed over."""
    if len(data) < 1 + SHORT:
        raise Malformed("withdrawn: short")
    return Withdrawn(data[1 : 1 + SHORT])


def parse_gone(data: bytes) -> Gone:
    """Bytes after it are passed over; the signature is not checked."""
    if len(data) < _GONE.size:
        raise Malformed("gone: short")
    _, key, other, sequence, signature = _GONE.unpack_from(data)
    return Gone(key, other, int.from_bytes(sequence, "big"), signature)


def parse_offered(data: bytes) -> Offered:
    """At most `MAX_OFFERED` entries."""
    count, rest = divmod(len(data) - 1, _ENTRY.size)
    if rest or not 0 <= count <= MAX_OFFERED:
        raise Malformed("offered: length")
    return Offered(tuple(_ENTRY.iter_unpack(data[1:])))


def parse_asked(data: bytes) -> Asked:
    """At most `MAX_OFFERED` anchors."""
    count, rest = divmod(len(data) - 1, SHORT)
    if rest or not 0 <= count <= MAX_OFFERED:
        raise Malformed("asked: length")
    return Asked(tuple(data[at : at + SHORT] for at in range(1, len(data), SHORT)))


READERS: Final[dict[int, Callable[[bytes], AnchorMessage]]] = {
    BEACON: parse_beacon,
    WITHDRAWN: parse_withdrawn,
    GONE: parse_gone,
    OFFERED: parse_offered,
    ASKED: parse_asked,
}
"""By type; each takes a message with its type."""
