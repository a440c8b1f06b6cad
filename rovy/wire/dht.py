"""Requests of codec `dht` and their answers. docs/protocol/dht.md §2

Locators and other values are bytes here: whoever asked checks what they say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from rovy.address.label import Label, entry_width
from rovy.errors import Malformed

CODEC: Final = "dht"
PING, FIND, STORE = 0, 1, 2
NODES, VALUES = 0, 1  # what a FIND wants
STORED, FAR, OLD, QUOTA, REFUSED = range(5)  # what a STORE is answered
ID: Final = 20
"""Bytes of a node id, and of the place of every other value."""
WHOLE, PREFIX = 160, 120
"""Bits of a target that count: of an id, or the part of it that an address gives."""
MAX_VALUE: Final = 2000
MAX_VALUES: Final = 4
MAX_CONTACTS: Final = 32
MAX_LABEL: Final = 32
MAX_SEQUENCE: Final = 256**6 - 1

_PING: Final = Struct(">B6s")
_FIND: Final = Struct(">B20sBBH")
_VALUE: Final = Struct(">BH")
_LENGTH: Final = Struct(">H")
_LOCATOR, _LABEL = 1, 2  # flags of a contact
_KEY: Final = 32


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there, and have you a newer locator than this?"""

    known: int = 0
    """The sequence of the receiver's locator that the sender has; 0: none."""

    def emit(self) -> bytes:
        """7 bytes."""
        return _PING.pack(PING, self.known.to_bytes(6, "big"))


@dataclass(frozen=True, slots=True)
class Find:
    """Whom do you know near the target, and what is stored there?"""

    target: bytes
    bits: int
    """`WHOLE` or `PREFIX`: how much of the target the values have to match."""
    want: int
    """`NODES` or `VALUES`."""
    most: int
    """Bytes of answer that the asker has room for."""

    def emit(self) -> bytes:
        """25 bytes."""
        return _FIND.pack(FIND, self.target, self.bits, self.want, self.most)


@dataclass(frozen=True, slots=True)
class Store:
    """Keep this value."""

    type: int
    value: bytes

    def emit(self) -> bytes:
        """Two bytes, then the value to the end."""
        return bytes((STORE, self.type)) + self.value


Request = Ping | Find | Store


@dataclass(frozen=True, slots=True)
class Named:
    """A contact as an answer names it: by its locator, or briefly by key and label."""

    key: bytes
    """Empty where the locator says it."""
    locator: bytes
    """Empty for a brief one."""
    label: bytes
    """The way from the answerer to the contact; empty where it is not told."""
    cost: int = 0
    """One byte, of that way."""

    def emit(self) -> bytes:
        """Flags, key or locator, label."""
        flags = (_LOCATOR if self.locator else 0) | (_LABEL if self.label else 0)
        who = _LENGTH.pack(len(self.locator)) + self.locator if self.locator else self.key
        way = bytes((len(self.label),)) + self.label + bytes((self.cost,)) if self.label else b""
        return bytes((flags,)) + who + way


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a FIND."""

    values: tuple[tuple[int, bytes], ...]
    """(type, bytes)."""
    contacts: tuple[Named, ...]
    """The nearest to the target first."""

    def emit(self) -> bytes:
        """Count, values, contacts to the end."""
        values = (_VALUE.pack(kind, len(raw)) + raw for kind, raw in self.values)
        contacts = (contact.emit() for contact in self.contacts)
        return bytes((len(self.values),)) + b"".join(values) + b"".join(contacts)


def parse_request(data: bytes) -> Request:
    """Raises `Malformed`, as the other readers here do."""
    if not data:
        raise Malformed("dht: empty")
    if data[0] == PING and len(data) == _PING.size:
        return Ping(int.from_bytes(data[1:], "big"))
    if data[0] == FIND and len(data) == _FIND.size:
        return _checked(Find(*_FIND.unpack(data)[1:]))
    if data[0] == STORE and 2 < len(data) <= 2 + MAX_VALUE:
        return Store(data[1], data[2:])
    raise Malformed(f"dht: no request of type {data[0]} in {len(data)} bytes")


def parse_found(data: bytes) -> Found:
    """The answer to a FIND."""
    if not data or data[0] > MAX_VALUES:
        raise Malformed("dht: count of values")
    at, values = 1, []
    for _ in range(data[0]):
        kind, raw, at = _read_value(data, at)
        values.append((kind, raw))
    return Found(tuple(values), tuple(_read_contacts(data, at)))


def parse_stored(data: bytes) -> int:
    """The answer to a STORE; statuses of later versions count as `REFUSED`."""
    if len(data) != 1:
        raise Malformed("dht: answer to a store")
    return min(data[0], REFUSED)


def _checked(find: Find) -> Find:
    if find.bits not in (WHOLE, PREFIX) or find.want not in (NODES, VALUES):
        raise Malformed("dht: find")
    return find


def _read_value(data: bytes, at: int) -> tuple[int, bytes, int]:
    start = at + _VALUE.size
    if len(data) < start:
        raise Malformed("dht: value")
    kind, length = _VALUE.unpack_from(data, at)
    if not 1 <= length <= MAX_VALUE or len(data) < start + length:
        raise Malformed("dht: length of a value")
    return kind, data[start : start + length], start + length


def _read_contacts(data: bytes, at: int) -> Iterator[Named]:
    for _ in range(MAX_CONTACTS):
        if at == len(data):
            return
        flags = data[at]
        if not 1 <= flags <= _LOCATOR | _LABEL:
            raise Malformed("dht: flags of a contact")
        key, locator, at = _read_who(data, at + 1, flags)
        label, cost, at = _read_way(data, at) if flags & _LABEL else (b"", 0, at)
        yield Named(key, locator, label, cost)
    if at != len(data):
        raise Malformed("dht: too many contacts")


def _read_who(data: bytes, at: int, flags: int) -> tuple[bytes, bytes, int]:
    if not flags & _LOCATOR:
        if len(data) < at + _KEY:
            raise Malformed("dht: key of a contact")
        return data[at : at + _KEY], b"", at + _KEY
    if len(data) < at + _LENGTH.size:
        raise Malformed("dht: locator of a contact")
    (length,) = _LENGTH.unpack_from(data, at)
    at += _LENGTH.size
    if not 1 <= length <= MAX_VALUE or len(data) < at + length:
        raise Malformed("dht: length of a locator")
    return b"", data[at : at + length], at + length


def _read_way(data: bytes, at: int) -> tuple[bytes, int, int]:
    end = at + 1 + data[at] if at < len(data) else 0
    if not at + 1 < end < len(data) or end - at - 1 > MAX_LABEL:
        raise Malformed("dht: label of a contact")
    label = data[at + 1 : end]
    # The answerer cannot know what slot the asker comes in by, so it leaves room for any.
    if entry_width(label[0]) != 2:
        raise Malformed("dht: label of a contact begins narrow")
    return Label(label).data, data[end], end + 1
