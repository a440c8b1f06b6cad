"""Link records: what a node says about its links, signed. docs/protocol/routing.md §2

`key 32 | sequence 6 | flags 1 | n 1 | n × {short 8, slot 2, peer's slot 2, cost 1, mtu 2} |
signature 64`, big-endian. One set of links has one spelling: sorted by short, none twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from struct import Struct
from typing import Final, Self

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import MAX_SLOT
from rovy.errors import Malformed, UsageError
from rovy.noise import xeddsa

SHORT: Final = 8
"""Bytes by which records name a node."""
MAX_LINKS: Final = 48
TRUNC, LEAF, WILLING = 1, 2, 4  # flags
DOMAIN: Final = b"rovy-lsr1"

_HEAD: Final = Struct(">32s6sBB")
_LINK: Final = Struct(">8sHHBH")
_SEQUENCE: Final = 6  # bytes
MAX_SEQUENCE: Final = 256**_SEQUENCE - 1
LEAST_SIZE: Final = _HEAD.size + xeddsa.SIGNATURE_BYTES
MAX_SIZE: Final = LEAST_SIZE + MAX_LINKS * _LINK.size
"""Bytes of the longest record, 824."""


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """One link as its record's node sees it; `Malformed` where a field is out of range."""

    peer: bytes
    """The short of the other end."""
    slot: int
    """The record's node's slot for the peer."""
    peer_slot: int
    """The peer's slot for the record's node."""
    cost: int
    """One byte, see cost.py."""
    mtu: int
    """Bytes of the largest forward packet that the link takes, header included."""

    def __post_init__(self) -> None:
        if len(self.peer) != SHORT:
            raise Malformed("link record: short id")
        if not (1 <= self.slot <= MAX_SLOT and 1 <= self.peer_slot <= MAX_SLOT):
            raise Malformed("link record: slot")
        if not (0 <= self.cost <= 0xFF and 0 <= self.mtu <= 0xFFFF):
            raise Malformed("link record: cost or mtu")

    def emit(self) -> bytes:
        """15 bytes."""
        return _LINK.pack(self.peer, self.slot, self.peer_slot, self.cost, self.mtu)


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A node's links at one time. Made by `parse` and `sign`."""

    key: PeerID
    sequence: int
    """Milliseconds of the node's wall clock, strictly rising; 48 bits."""
    flags: int
    """TRUNC, LEAF, WILLING, and unknown bits, which mean nothing."""
    links: tuple[LinkEntry, ...]
    raw: bytes
    """The record as signed."""
    short: bytes = field(init=False, compare=False, repr=False)
    """The first 8 bytes of the node's id."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "short", self.key.short)

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Self:
        """A whole record, its form checked but not its signature; `Malformed`."""
        if len(data) < LEAST_SIZE:
            raise Malformed("link record: short")
        key, sequence, flags, count = _HEAD.unpack_from(data)
        end = _HEAD.size + count * _LINK.size
        if count > MAX_LINKS or len(data) != end + xeddsa.SIGNATURE_BYTES:
            raise Malformed("link record: length")
        links = tuple(LinkEntry(*fields) for fields in _LINK.iter_unpack(data[_HEAD.size : end]))
        peer = PeerID(key)
        _check_order(peer, links)
        return cls(peer, int.from_bytes(sequence, "big"), flags, links, bytes(data))

    @classmethod
    def sign(
        cls,
        private: PrivateKey,
        sequence: int,
        flags: int,
        links: Iterable[LinkEntry],
        nonce: bytes,
    ) -> Self:
        """The record of a node, its links in any order. `nonce` is 64 random bytes.

        `UsageError` for numbers that have no room, `Malformed` for links twice or to itself.
        """
        ordered = tuple(sorted(links, key=lambda link: link.peer))
        if len(ordered) > MAX_LINKS or not 0 <= sequence <= MAX_SEQUENCE or not 0 <= flags <= 0xFF:
            raise UsageError(f"link record: {len(ordered)} links, {sequence=}, {flags=}")
        _check_order(private.peer_id, ordered)
        head = _HEAD.pack(
            private.peer_id.key, sequence.to_bytes(_SEQUENCE, "big"), flags, len(ordered)
        )
        body = head + b"".join(link.emit() for link in ordered)
        raw = body + xeddsa.sign(private, DOMAIN, body, nonce)
        return cls(private.peer_id, sequence, flags, ordered, raw)

    def verify(self) -> Self:
        """This record, once it is certain that its node signed it; `Malformed` otherwise."""
        at = len(self.raw) - xeddsa.SIGNATURE_BYTES
        xeddsa.verify(self.key.key, DOMAIN, self.raw[:at], self.raw[at:])
        return self


def _check_order(peer: PeerID, links: tuple[LinkEntry, ...]) -> None:
    """One spelling of one set of links: sorted, each once, none to the node itself."""
    if any(a.peer >= b.peer for a, b in pairwise(links)):
        raise Malformed("link record: order of links")
    if any(link.peer == peer.short for link in links):
        raise Malformed("link record: link to itself")
