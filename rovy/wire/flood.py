"""Control messages that keep maps alike: records, and what neighbours hold of them.

docs/protocol/routing.md §5
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from rovy.errors import Malformed

RECORDS, SUMMARY, LISTING, WANTED = range(8, 12)
SHORT = 8
DIGEST = 16
INFINITE = 0xFFFFFFFF
"""Radius of a node whose map is not full."""
MAX_LISTED = 512
MAX_RECORDS = 8192
"""Bytes of records in one message."""
_LENGTH = Struct(">H")
_SUMMARY = Struct(">BIH16s")
_ENTRY = Struct(">8s6s")


@dataclass(frozen=True, slots=True)
class Records:
    """Link records as their nodes signed them."""

    records: tuple[bytes, ...]

    def emit(self) -> bytes:
        """Type, then {length 2, record}."""
        parts = (_LENGTH.pack(len(record)) + record for record in self.records)
        return bytes((RECORDS,)) + b"".join(parts)


@dataclass(frozen=True, slots=True)
class Summary:
    """What the sender holds that lies within the receiver's radius, in short."""

    radius: int
    """The sender's, microseconds of cost; `INFINITE`: send me everything."""
    count: int
    digest: bytes

    def emit(self) -> bytes:
        """23 bytes."""
        return _SUMMARY.pack(SUMMARY, self.radius, self.count, self.digest)


@dataclass(frozen=True, slots=True)
class Listing:
    """The same in full: (short, sequence) of each record."""

    entries: tuple[tuple[bytes, int], ...]

    def emit(self) -> bytes:
        """Type, then {short 8, sequence 6}."""
        parts = (_ENTRY.pack(short, seq.to_bytes(6, "big")) for short, seq in self.entries)
        return bytes((LISTING,)) + b"".join(parts)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Records that the sender lacks."""

    shorts: tuple[bytes, ...]

    def emit(self) -> bytes:
        """Type, then {short 8}."""
        return bytes((WANTED,)) + b"".join(self.shorts)


Flooded = Records | Summary | Listing | Wanted


def parse_records(data: bytes) -> Records:
    """Raises `Malformed`, as the other readers here do."""
    return Records(tuple(_split(data)))


def parse_summary(data: bytes) -> Summary:
    """Bytes after it are passed over."""
    if len(data) < _SUMMARY.size:
        raise Malformed("summary: short")
    return Summary(*_SUMMARY.unpack_from(data)[1:])


def parse_listing(data: bytes) -> Listing:
    """At most `MAX_LISTED` entries."""
    count, rest = divmod(len(data) - 1, _ENTRY.size)
    if rest or count > MAX_LISTED:
        raise Malformed("listing: length")
    entries = _ENTRY.iter_unpack(data[1:])
    return Listing(tuple((short, int.from_bytes(seq, "big")) for short, seq in entries))


def parse_wanted(data: bytes) -> Wanted:
    """At most `MAX_LISTED` entries."""
    count, rest = divmod(len(data) - 1, SHORT)
    if rest or count > MAX_LISTED:
        raise Malformed("wanted: length")
    return Wanted(tuple(data[at : at + SHORT] for at in range(1, len(data), SHORT)))


def _split(data: bytes) -> Iterator[bytes]:
    at = 1
    while at < len(data):
        if len(data) < at + _LENGTH.size:
            raise Malformed("records: length")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if not length or len(data) < at + length:
            raise Malformed("records: short")
        yield data[at : at + length]
        at += length
