"""Slots, and what a node says and believes about refused packets. docs/protocol/notices.md

The switching itself is the data plane's. Here: which peering has which slot, when a refusal is
told, and how the source of a packet mends its label.
"""

from dataclasses import dataclass

from rovy.address.keys import PeerID
from rovy.address.label import MAX_SLOT, SMALL, Label
from rovy.errors import UsageError
from rovy.wire.datagram import COUNTER_MASK, DATA, Type
from rovy.wire.notice import Code

HOLD = 2 * 3600.0
"""Seconds for which a slot is not given to another peer."""
SPARED = 64
"""One-byte slots kept for peers that are likely to stay."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A peer's slot; `freed_at` is wall-clock time, None while its peering lasts."""

    slot: int
    freed_at: float | None = None


class SlotTable:
    """Slots by key. `wall` is the wall clock, seconds, since slots outlive the process."""

    def __init__(self) -> None:
        self._leases: dict[PeerID, Lease] = {}
        self._used: set[int] = set()

    def take(self, peer: PeerID, wall: float, *, stays: bool = False) -> int:
        """The peer's slot, its former one if it had one. Raises `UsageError` when none is left."""
        lease = self._leases.get(peer)
        if lease is None:
            lease = Lease(self._free(wall, stays))
        self._leases[peer] = Lease(lease.slot)
        self._used.add(lease.slot)
        return lease.slot

    def free(self, peer: PeerID, wall: float) -> None:
        """The peering is over: hold the slot for the same peer for 2 h."""
        lease = self._leases.get(peer)
        if lease and lease.freed_at is None:
            self._leases[peer] = Lease(lease.slot, wall)

    def leases(self) -> dict[PeerID, Lease]:
        """All leases, to be written down."""
        return dict(self._leases)

    def load(self, leases: dict[PeerID, Lease], wall: float) -> None:
        """Take leases from an earlier run; those that were in use are held from now."""
        for peer, lease in leases.items():
            if 1 <= lease.slot <= MAX_SLOT and lease.slot not in self._used:
                freed = wall if lease.freed_at is None else min(lease.freed_at, wall)
                self._leases[peer] = Lease(lease.slot, freed)
                self._used.add(lease.slot)

    def _free(self, wall: float, stays: bool) -> int:
        """A slot never given or, of its kind, the one whose hold ended longest ago."""
        spans = [range(1, SMALL + 1), range(SMALL + 1, MAX_SLOT + 1)]
        if not stays and self._small_left() <= SPARED:
            spans.reverse()
        for span in spans:
            slot = next((s for s in span if s not in self._used), 0) or self._reclaim(wall, span)
            if slot:
                return slot
        raise UsageError(f"all {MAX_SLOT} slots are taken or held")

    def _small_left(self) -> int:
        return sum(slot not in self._used for slot in range(1, SMALL + 1))

    def _reclaim(self, wall: float, span: range) -> int:
        over = [
            (lease.freed_at, lease.slot, peer)
            for peer, lease in self._leases.items()
            if lease.slot in span and lease.freed_at is not None and wall - lease.freed_at >= HOLD
        ]
        if not over:
            return 0
        _, slot, peer = min(over, key=lambda each: each[:2])
        del self._leases[peer]
        return slot


@dataclass(frozen=True, slots=True)
class Quote:
    """What the first 24 bytes of an inner datagram tell."""

    type: int
    counter: int
    index: int
    """Receiver index of a data datagram, sender index of a hello."""

    @classmethod
    def parse(cls, quote: bytes) -> "Quote | None":
        """None where the quoted datagram is neither data nor a hello."""
        word, index = DATA.unpack_from(quote)
        if quote[0] == Type.DATA:
            return cls(Type.DATA, word & COUNTER_MASK, index)
        if quote[0] == Type.HELLO:
            return cls(Type.HELLO, 0, int.from_bytes(quote[4:8], "big"))
        return None


def mend(used: Label, code: Code, told: Label) -> Label | None:
    """The label to use instead, after a refusal `code` told from the end of `told`.

    `told` is a prefix of `used`. None where the label cannot be mended: take another route.
    """
    at = told.hops
    if at >= used.hops or not used.startswith(told):
        return None
    if code is Code.U_TURN and at >= 1:
        mended = used.cancel(at - 1)
        return mended if mended.data else None
    if code is Code.TOO_NARROW and used.widths[at] == 1:
        return used.widen(at)
    return None
