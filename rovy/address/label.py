"""Route labels: the slots of a route, hop by hop, as the node that uses it writes them.

The first entry is the using node's own slot, which never goes on the wire; each further entry is
read, and overwritten with the slot the packet came in by, at one node in between. An entry is one
byte (`01`-`ef`: slots 1-239) or two (`f0`-`fe`, then a byte: slot = (first - 0xf0) * 256 + second);
a small slot may be written in two bytes too. `00` and `ff` begin no entry.

A forwarder writes two-byte entries with their bytes swapped. So when the last node reverses the
label byte by byte, every entry reads properly again and the whole leads back: `back_label`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, NewType, Self

from rovy.address.keys import excerpt
from rovy.errors import Malformed, UsageError

Slot = NewType("Slot", int)
"""A node's local number for one peering, 1 to `MAX_SLOT`."""
Width = Literal[1, 2]
"""The bytes an entry takes."""

SMALL: Final = 239
"""The largest slot that fits in one byte."""
MAX_SLOT: Final = 3839
MAX_LABEL: Final = 255
"""The longest label, in bytes."""
PATH_PREFIX: Final = "/rovyrt"

_WIDE: Final = 0xF0  # the first byte of a two-byte entry is at least this
_RESERVED: Final = 0xFF
_MAX_TEXT: Final = len(PATH_PREFIX) + 3 * MAX_LABEL
_ONE_BYTE_ENTRIES: Final = bytes(range(1, SMALL + 1))
_TEXT: Final = re.compile(r"/rovyrt(?:/|/([0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2})*))?")


def encode_entry(slot: int, width: int | None = None) -> bytes:
    """The entry of `slot` in `width` bytes, or in as few as it needs.

    `Malformed` for a slot outside 1..3839 and for one that does not fit the width.
    """
    if not 1 <= slot <= MAX_SLOT:
        raise Malformed(f"label: no slot {slot}")
    if width is None:
        width = narrowest(slot)
    if width == 2:
        return bytes((_WIDE + (slot >> 8), slot & 0xFF))
    if width != 1 or slot > SMALL:
        raise Malformed(f"label: slot {slot} in an entry of {width} bytes")
    return bytes((slot,))


def narrowest(slot: int) -> Width:
    """The bytes that an entry for this slot needs at least."""
    return 1 if slot <= SMALL else 2


def entry_width(first_byte: int) -> Width:
    """The bytes of the entry that begins with this byte; `Malformed` for 00 and ff."""
    if first_byte == 0 or first_byte == _RESERVED:
        raise Malformed(f"label: an entry cannot begin with {first_byte:02x}")
    return 1 if first_byte < _WIDE else 2


def decode_entry(label: bytes, at: int) -> tuple[Slot, Width]:
    """The slot and width of the entry at byte `at`; `Malformed` if no whole entry is there."""
    if not 0 <= at < len(label):
        raise Malformed("label: no entry there")
    first = label[at]
    if entry_width(first) == 1:
        return Slot(first), 1
    if at + 1 >= len(label):
        raise Malformed("label: cut within an entry")
    slot = (first - _WIDE) << 8 | label[at + 1]
    if slot == 0:
        raise Malformed("label: no slot 0")
    return Slot(slot), 2


@dataclass(frozen=True, slots=True)
class Label:
    """A route from the node that uses it, 0 to 255 bytes of whole entries, or else `Malformed`.

    The empty label is the node itself. Labels are equal when their bytes are; `same_route`
    compares what they mean.
    """

    data: bytes = b""
    """All entries, the own slot first."""
    slots: tuple[Slot, ...] = field(init=False, compare=False, repr=False)
    """The slots, hop by hop."""

    def __post_init__(self) -> None:
        if len(self.data) > MAX_LABEL:
            raise Malformed(f"label: {len(self.data)} bytes")
        object.__setattr__(self, "slots", _read_slots(self.data))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `/rovyrt/7c-37-e5`, hex in either case; `/rovyrt` alone is the empty label."""
        match = _TEXT.fullmatch(text) if len(text) <= _MAX_TEXT else None
        if match is None:
            raise Malformed(f"not a route label: {excerpt(text)}")
        return cls(bytes.fromhex((match[1] or "").replace("-", "")))

    @classmethod
    def of(cls, *entries: int | tuple[int, int]) -> Self:
        """The label of these entries, each a slot or a pair of slot and width (1 or 2 bytes)."""
        pairs = (entry if isinstance(entry, tuple) else (entry, None) for entry in entries)
        return cls(b"".join(encode_entry(slot, width) for slot, width in pairs))

    @property
    def hops(self) -> int:
        """The number of peerings the route crosses."""
        return len(self.slots)

    @property
    def widths(self) -> tuple[Width, ...]:
        """The bytes of each entry."""
        return tuple(entry_width(entry[0]) for entry in self.entries)

    @property
    def entries(self) -> tuple[bytes, ...]:
        """The bytes of the label, cut into entries."""
        ends = self._ends
        return tuple(self.data[a:b] for a, b in zip((0, *ends), ends, strict=False))

    @property
    def first(self) -> Slot:
        """The own slot by which the route leaves; `UsageError` for the empty label."""
        if not self.slots:
            raise UsageError("the empty label leaves by no slot: deliver locally instead")
        return self.slots[0]

    @property
    def rest(self) -> bytes:
        """What goes on the wire: the label without the own slot."""
        return self.data[entry_width(self.data[0]) :] if self.data else b""

    @property
    def prefixes(self) -> tuple[Self, ...]:
        """The routes to each node along this one, the nearest first, this one last."""
        return tuple(type(self)(self.data[:end]) for end in self._ends)

    def startswith(self, other: Label) -> bool:
        """Whether the route begins with the hops of `other`; widths do not matter."""
        return self.slots[: len(other.slots)] == other.slots

    def same_route(self, other: Label) -> bool:
        """Whether both take the same slots; widths do not matter."""
        return self.slots == other.slots

    def join(self, other: Label, *, arrival: int | None = None) -> Self:
        """This route, then `other` as its last node would use it.

        There the entry has to hold the slot of arrival too. It is widened to two bytes unless
        `arrival`, that node's slot for the last peering of this route, is given and fits.
        """
        if not self.data or not other.data:
            return type(self)(self.data + other.data)
        wide = arrival is None or narrowest(arrival) == 2
        return type(self)(self.data + (other.widen(0) if wide else other).data)

    def widen(self, index: int) -> Self:
        """The same route with entry `index` (0 is the own slot) in two bytes."""
        entries = self._checked(index)
        entries[index] = encode_entry(self.slots[index], 2)
        return type(self)(b"".join(entries))

    def cancel(self, index: int) -> Self:
        """Take out a U-turn: entries `index` and `index + 1`, a hop and the way straight back.

        The node whose entry `index` was goes on with the one after these two. That one now has
        to hold the slot of arrival which entry `index` held, so it gets at least that width.
        """
        entries = self._checked(index, index + 1)
        cut = type(self)(b"".join(entries[:index] + entries[index + 2 :]))
        if len(entries[index]) == 2 and 0 < index < cut.hops:
            return cut.widen(index)
        return cut

    def __str__(self) -> str:
        return f"{PATH_PREFIX}/{self.data.hex('-')}" if self.data else f"{PATH_PREFIX}/"

    @property
    def _ends(self) -> tuple[int, ...]:
        """Where each entry ends."""
        ends, at = [], 0
        while at < len(self.data):
            at += entry_width(self.data[at])
            ends.append(at)
        return tuple(ends)

    def _checked(self, *indexes: int) -> list[bytes]:
        """The entries, once it is certain that these exist: indexes come from notices."""
        if not all(0 <= index < self.hops for index in indexes):
            raise Malformed(f"label: no entry {max(indexes)} in {self}")
        return list(self.entries)


def back_label(own_slot: int, carried: bytes, *, width: int | None = None) -> Label:
    """The way back, for the node that a packet has reached (position = length).

    `carried` is the label as it arrived, every entry overwritten by a forwarder; `own_slot` is
    this node's slot for the peering it came by, written in `width` bytes. `Malformed` if the
    sender or a forwarder has put together something that does not read backwards.
    """
    return Label(encode_entry(own_slot, width) + carried[::-1])


def _read_slots(data: bytes) -> tuple[Slot, ...]:
    if not data.translate(None, _ONE_BYTE_ENTRIES):
        return tuple(map(Slot, data))  # the usual label: one-byte entries only
    slots, at = [], 0
    while at < len(data):
        slot, width = decode_entry(data, at)
        slots.append(slot)
        at += width
    return tuple(slots)
