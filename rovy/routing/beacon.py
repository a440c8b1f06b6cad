"""Beacons: the way from an anchor to the node that holds them, signed hop by hop.

`anchor's key 32 | sequence 6 | flags 1 | h 1 | h × {key 32, slot 2, next's slot 2, cost 1, mtu 2,
signature 64}`, big-endian. Hop i describes the link from node i to the node after it. Its signature
covers the one before it and the full key of the node after it, so nobody can leave nodes out or
claim to come after a node that did not name it. docs/protocol/anchors.md §2
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2s
from struct import Struct
from typing import Final, Self

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import MAX_SLOT
from rovy.errors import Malformed, UsageError
from rovy.noise import xeddsa
from rovy.routing.record import MAX_SEQUENCE

MAX_HOPS: Final = 64
WILLING: Final = 1  # flag
DOMAIN: Final = b"rovy-bcn1"
VERIFIED: Final = 1024
"""Beginnings of beacons whose signatures are not checked again; the one unused for longest gives
way."""

_HEAD: Final = Struct(">32s6sB")
_HOP: Final = Struct(">32sHHBH64s")
_STEP: Final = Struct(">HHBH")
_HOPS: Final = _HEAD.size + 1  # offset
LEAST_SIZE: Final = _HOPS + _HOP.size


@dataclass(frozen=True, slots=True)
class Step:
    """A link as its near end sees it; `Malformed` where a field is out of range."""

    slot: int
    """The near end's slot for the far end."""
    next_slot: int
    """The far end's slot for the near end."""
    cost: int
    """One byte, see cost.py."""
    mtu: int
    """Bytes of the largest forward packet that the near end can send, header included."""

    def __post_init__(self) -> None:
        if not (1 <= self.slot <= MAX_SLOT and 1 <= self.next_slot <= MAX_SLOT):
            raise Malformed("beacon: slot")
        if not (0 <= self.cost <= 0xFF and 0 <= self.mtu <= 0xFFFF):
            raise Malformed("beacon: cost or mtu")

    def emit(self) -> bytes:
        """7 bytes."""
        return _STEP.pack(self.slot, self.next_slot, self.cost, self.mtu)


@dataclass(frozen=True, slots=True)
class Hop:
    """A node on the way and its link to the node after it."""

    node: PeerID
    step: Step
    signature: bytes

    def emit(self) -> bytes:
        """103 bytes."""
        return self.node.key + self.step.emit() + self.signature


class Verified:
    """Beginnings of beacons that were checked before."""

    def __init__(self, most: int = VERIFIED) -> None:
        self._most = most
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def depth(self, digests: list[bytes]) -> int:
        """How many of the first hops are known to be right."""
        for count in range(len(digests), 0, -1):
            if digests[count - 1] in self._known:
                self._known.move_to_end(digests[count - 1])
                return count
        return 0

    def add(self, digest: bytes) -> None:
        """The hops up to this one are right."""
        self._known[digest] = None
        if len(self._known) > self._most:
            self._known.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Beacon:
    """A way from an anchor. Made by `parse`, `begin` and `extend`."""

    anchor: PeerID
    sequence: int
    """Milliseconds of the anchor's wall clock, strictly rising; 48 bits."""
    flags: int
    """WILLING, and unknown bits, which mean nothing."""
    hops: tuple[Hop, ...]
    """From the anchor to the node before the holder; empty only at the anchor itself."""
    raw: bytes
    short: bytes = field(init=False, compare=False, repr=False)
    """Of the anchor."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "short", self.anchor.short)

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Self:
        """A whole beacon, its form checked but no signature; `Malformed`."""
        if len(data) < LEAST_SIZE:
            raise Malformed("beacon: short")
        key, sequence, flags = _HEAD.unpack_from(data)
        count = data[_HEAD.size]
        if count > MAX_HOPS or len(data) != _HOPS + count * _HOP.size:
            raise Malformed("beacon: length")
        hops = tuple(_hop(*fields) for fields in _HOP.iter_unpack(data[_HOPS:]))
        if hops[0].node.key != key:
            raise Malformed("beacon: does not begin at its anchor")
        if len({hop.node for hop in hops}) < count:
            raise Malformed("beacon: goes in a circle")
        return cls(hops[0].node, int.from_bytes(sequence, "big"), flags, hops, bytes(data))

    @classmethod
    def begin(cls, anchor: PeerID, sequence: int, flags: int) -> Self:
        """Of a node that is an anchor itself, to be extended; `UsageError`."""
        if not 0 <= sequence <= MAX_SEQUENCE or not 0 <= flags <= 0xFF:
            raise UsageError(f"beacon: {sequence=}, {flags=}")
        head = _HEAD.pack(anchor.key, sequence.to_bytes(6, "big"), flags)
        return cls(anchor, sequence, flags, (), head + b"\0")

    def extend(self, private: PrivateKey, after: PeerID, step: Step, nonce: bytes) -> "Beacon":
        """The same for `after`, with the holder's hop. `nonce` is 64 random bytes; `UsageError`."""
        if len(self.hops) >= MAX_HOPS:
            raise UsageError(f"beacon: {len(self.hops)} hops already")
        before = self.hops[-1].signature if self.hops else b""
        signed = self._signed(before, step, after.key)
        hop = Hop(private.peer_id, step, xeddsa.sign(private, DOMAIN, signed, nonce))
        hops = (*self.hops, hop)
        raw = self._head + bytes((len(hops),)) + self.raw[_HOPS:] + hop.emit()
        return Beacon(self.anchor, self.sequence, self.flags, hops, raw)

    def unverified(self, receiver: PeerID, verified: Verified) -> int:
        """How many signatures `verify` would check."""
        return len(self.hops) - verified.depth(self._digests(receiver))

    def verify(self, receiver: PeerID, verified: Verified) -> Self:
        """This beacon, once it is certain that every node on it named the next; `Malformed`."""
        digests = self._digests(receiver)
        for index in range(verified.depth(digests), len(self.hops)):
            self._verify_hop(index, receiver)
            verified.add(digests[index])
        return self

    def verify_anchor(self, receiver: PeerID) -> Self:
        """This beacon, once it is certain that the anchor signed its sequence; `Malformed`."""
        self._verify_hop(0, receiver)
        return self

    def _verify_hop(self, index: int, receiver: PeerID) -> None:
        hop, hops = self.hops[index], self.hops
        before = hops[index - 1].signature if index else b""
        after = hops[index + 1].node if index + 1 < len(hops) else receiver
        xeddsa.verify(
            hop.node.key, DOMAIN, self._signed(before, hop.step, after.key), hop.signature
        )

    @property
    def _head(self) -> bytes:
        return self.raw[: _HEAD.size]

    def _signed(self, before: bytes, step: Step, after: bytes) -> bytes:
        return self._head + before + step.emit() + after

    def _digests(self, receiver: PeerID) -> list[bytes]:
        """One for each hop, over all up to it and the node after it."""
        return list(self._each_digest(receiver))

    def _each_digest(self, receiver: PeerID) -> Iterator[bytes]:
        hashed = blake2s(self._head)
        for at in range(_HOPS, len(self.raw), _HOP.size):
            hashed.update(self.raw[at : at + _HOP.size])
            after = self.raw[at + _HOP.size : at + _HOP.size + 32] or receiver.key
            yield blake2s(hashed.digest() + after, digest_size=16).digest()


def _hop(key: bytes, slot: int, next_slot: int, cost: int, mtu: int, signature: bytes) -> Hop:
    return Hop(PeerID(key), Step(slot, next_slot, cost, mtu), signature)
