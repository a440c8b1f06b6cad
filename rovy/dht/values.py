"""Values as they are stored and found: what a signed thing says about itself, once checked."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from rovy.address.keys import PeerID
from rovy.dht.const import AHEAD, LOCATOR, LOCATOR_TTL, RECORD_TTL
from rovy.dht.record import SignedRecord
from rovy.errors import Malformed
from rovy.routing.locator import Locator

REMEMBERED: Final = 1024
"""Locators whose signature need not be checked again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of something checked: a parsed locator takes ten times the room of its bytes."""

    key: PeerID
    sequence: int
    ttl: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Value:
    """A locator or a record, and where and how long it is stored."""

    said: Locator | SignedRecord | Kept
    type: int
    place: bytes
    """20 bytes."""
    number: int
    """The place as a number."""
    expires: float
    """By the wall clock."""

    @classmethod
    def of(cls, said: Locator | SignedRecord) -> "Value":
        """What storers need to know of this."""
        if isinstance(said, Locator):
            kind, place = LOCATOR, said.key.node_id
        else:
            kind, place = said.type, said.place
        number = int.from_bytes(place, "big")
        return cls(said, kind, place, number, said.sequence / 1000 + said.ttl)

    def kept(self) -> "Value":
        """The same, to be kept for others."""
        said = Kept(self.said.key, self.said.sequence, self.said.ttl, self.said.raw)
        return Value(said, self.type, self.place, self.number, self.expires)

    @property
    def signer(self) -> PeerID:
        """Who signed it."""
        return self.said.key

    @property
    def sequence(self) -> int:
        """Of two values of one place the one with the higher sequence counts."""
        return self.said.sequence

    @property
    def raw(self) -> bytes:
        """As signed."""
        return self.said.raw

    def counts(self, wall: float) -> bool:
        """Whether it is of this time: not expired, and not of a clock far ahead."""
        most = LOCATOR_TTL if self.type == LOCATOR else RECORD_TTL
        if self.said.ttl > most or self.sequence / 1000 > wall + AHEAD:
            return False
        return wall < self.expires

    def newer_than(self, other: "Value | None") -> bool:
        """Whether it replaces the other one of its place."""
        return other is None or self.sequence > other.sequence


class Reader:
    """Checks values; remembers the locators that it found good, for they come again and again."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._good: OrderedDict[bytes, Locator] = OrderedDict()
        self._most = remembered

    def locator(self, raw: bytes) -> Locator:
        """A locator that its node signed; `Malformed` otherwise."""
        known = self._good.get(raw)
        if known is None:
            known = self._good[raw] = Locator.parse(raw).verify()
            while len(self._good) > self._most:
                self._good.popitem(last=False)
        else:
            self._good.move_to_end(raw)
        return known

    def parse(self, number: int, raw: bytes) -> Value:
        """A value whose signature `check` has still to judge; `Malformed`."""
        if number == LOCATOR:
            return Value.of(self._good.get(raw) or Locator.parse(raw))
        return Value.of(SignedRecord.parse(number, raw))

    def check(self, value: Value) -> Value:
        """This value, once it is certain who signed it; `Malformed` otherwise."""
        if isinstance(value.said, SignedRecord):
            value.said.verify()
        elif isinstance(value.said, Locator):
            self.locator(value.raw)
        return value

    def whole(self, value: Value) -> Value:
        """This value as it was before it was kept."""
        return self.parse(value.type, value.raw) if isinstance(value.said, Kept) else value

    def read(self, number: int, raw: bytes, wall: float) -> Value:
        """A value that is well signed and of this time; `Malformed` otherwise."""
        value = self.check(self.parse(number, raw))
        if not value.counts(wall):
            raise Malformed("value: not of this time")
        return value
