"""Links whose end told that they are gone: paths over them are not believed for a while.

docs/protocol/anchors.md §6
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

from rovy.address.keys import PeerID, PrivateKey
from rovy.noise import xeddsa
from rovy.routing.graph import pair
from rovy.routing.map import LinkName
from rovy.routing.record import LinkRecord
from rovy.wire.beacon import Gone

DOMAIN: Final = b"rovy-gone1"
SUPPRESSED: Final = 10.0
"""Seconds that paths over the link are refused."""
LINKS: Final = 256
"""Links remembered; the one told of first gives way."""
RECORDS: Final = 512
"""Nodes whose last record is remembered; the one heard of first gives way."""


def sign(private: PrivateKey, other: PeerID, sequence: int, nonce: bytes) -> Gone:
    """The link to `other` is down."""
    signed = _signed(private.peer_id.key, other.key, sequence)
    return Gone(
        private.peer_id.key, other.key, sequence, xeddsa.sign(private, DOMAIN, signed, nonce)
    )


def verify(gone: Gone) -> Gone:
    """The same, once it is certain that its end signed it; `Malformed` otherwise."""
    signed = _signed(gone.key, gone.other, gone.sequence)
    xeddsa.verify(gone.key, DOMAIN, signed, gone.signature)
    return gone


@dataclass(slots=True)
class _Told:
    """The last that one end said about one link."""

    sequence: int
    until: float


class GoneLinks:
    """What was told of links that are gone. Both ends may tell of one."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[bytes, bytes], _Told] = OrderedDict()
        self._records: OrderedDict[bytes, LinkRecord] = OrderedDict()

    def is_news(self, near: bytes, far: bytes, sequence: int) -> bool:
        """Whether `near` said nothing newer about its link to `far`."""
        told, record = self._told.get((near, far)), self._records.get(near)
        if told and sequence <= told.sequence:
            return False
        return not (record and record.sequence > sequence and _lists(record, far))

    def add(self, near: bytes, far: bytes, sequence: int, now: float) -> None:
        """`near` said so, and it is certain."""
        self._told[near, far] = _Told(sequence, now + SUPPRESSED)
        self._told.move_to_end((near, far))
        if len(self._told) > LINKS:
            self._told.popitem(last=False)

    def lift(self, near: bytes, far: bytes, sequence: int | None = None) -> bool:
        """`near` names `far` again, later than it said the link is gone; whether it was gone."""
        told = self._told.get((near, far))
        if not told or (sequence is not None and sequence <= told.sequence):
            return False
        was, told.until = told.until > -inf, -inf
        return was

    def note_record(self, record: LinkRecord) -> bool:
        """A newer link record may name links again; whether it did."""
        self._records[record.short] = record
        self._records.move_to_end(record.short)
        if len(self._records) > RECORDS:
            self._records.popitem(last=False)
        ends = [far for near, far in self._told if near == record.short and _lists(record, far)]
        lifted = [self.lift(record.short, far, record.sequence) for far in ends]
        return any(lifted)

    def blocks(self, names: Iterable[LinkName], now: float) -> LinkName | None:
        """One of these links that is gone, if any."""
        return next((name for name in names if self._blocked(name, now)), None)

    def due(self, now: float) -> float:
        """When the next link is believed again."""
        return min((t.until for t in self._told.values() if t.until > now), default=inf)

    def _blocked(self, name: LinkName, now: float) -> bool:
        ends = self._told.get(name), self._told.get((name[1], name[0]))
        return any(told is not None and told.until > now for told in ends)


def link_of(gone: Gone) -> tuple[PeerID, PeerID, LinkName]:
    """Both ends, the one that says so first, and the link; `Malformed` for keys that are none."""
    near, far = PeerID(gone.key), PeerID(gone.other)
    return near, far, pair(near.short, far.short)


def _lists(record: LinkRecord, far: bytes) -> bool:
    return any(link.peer == far for link in record.links)


def _signed(key: bytes, other: bytes, sequence: int) -> bytes:
    return key + other + sequence.to_bytes(6, "big")
