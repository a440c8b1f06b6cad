"""Messages of rtnetlink: links, IPv6 addresses and routes (netlink(7), rtnetlink(7))."""

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Self

MAIN_TABLE = 254
UNICAST = 1
UP = 0x1

HEADER = Struct("=IHHII")  # length, kind, flags, number, port
LINK = Struct("=BxHiII")  # family, type, index, flags, changed flags
ADDRESS = Struct("=BBBBI")  # family, prefix length, flags, scope, index
ROUTE = Struct("=BBBBBBBBI")  # family, to, from, tos, table, protocol, scope, type, flags
NUMBER = Struct("=I")
_ATTRIBUTE = Struct("=HH")  # length, kind
_HOP = Struct("=HBBi")  # length, flags, weight, index
_KIND = 0x3FFF


class Kind(IntEnum):
    """Kinds of messages."""

    ERROR = 2
    DONE = 3
    NEW_LINK = 16
    GET_LINK = 18
    NEW_ADDRESS = 20
    GET_ADDRESS = 22
    NEW_ROUTE = 24
    DELETE_ROUTE = 25
    GET_ROUTE = 26


class LinkAttribute(IntEnum):
    """Attributes of a link."""

    NAME = 3
    MTU = 4
    FAMILIES = 26


class AddressAttribute(IntEnum):
    """Attributes of an address."""

    ADDRESS = 1
    LOCAL = 2
    FLAGS = 8


class RouteAttribute(IntEnum):
    """Attributes of a route."""

    TO = 1
    OUT = 4
    HOPS = 9
    TABLE = 15


@dataclass(frozen=True, slots=True)
class Message:
    """One netlink message."""

    kind: int
    flags: int
    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface."""

    index: int
    name: str
    mtu: int
    up: bool

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """From an ifinfomsg. Raises `OSError` where it is short."""
        _, _, index, flags, _ = unpacked(LINK, body)
        found = attributes(body[LINK.size :])
        name = found.get(LinkAttribute.NAME, b"").rstrip(b"\0").decode(errors="replace")
        return cls(index, name, _number(found.get(LinkAttribute.MTU)), bool(flags & UP))


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An IPv6 address of an interface, 16 bytes."""

    index: int
    address: bytes

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """From an ifaddrmsg. Raises `OSError` where it is short."""
        *_, index = unpacked(ADDRESS, body)
        found = attributes(body[ADDRESS.size :])
        either = found.get(AddressAttribute.LOCAL) or found.get(AddressAttribute.ADDRESS, b"")
        return cls(index, either)


@dataclass(frozen=True, slots=True)
class Route:
    """An IPv6 route: its prefix (16 bytes and bits), table, type, and interfaces by index."""

    prefix: bytes
    bits: int
    table: int
    type: int
    out: tuple[int, ...]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """From an rtmsg. Raises `OSError` where it is short."""
        _, bits, _, _, table, _, _, kind, _ = unpacked(ROUTE, body)
        found = attributes(body[ROUTE.size :])
        single = found.get(RouteAttribute.OUT)
        out = [_number(single)] if single else _hops(found.get(RouteAttribute.HOPS, b""))
        prefix = found.get(RouteAttribute.TO, b"")[:16].ljust(16, b"\0")
        table = _number(found.get(RouteAttribute.TABLE)) or table
        return cls(prefix, bits, table, kind, tuple(out))

    def __str__(self) -> str:
        return f"{socket.inet_ntop(socket.AF_INET6, self.prefix)}/{self.bits}"


def beginning(first: int) -> bytes:
    """What every route message contains whose prefix begins with this byte, and hardly another."""
    return attribute(RouteAttribute.TO, bytes((first,)).ljust(16, b"\0"))[:5]


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one read. Raises `OSError` where a length is wrong."""
    at = 0
    while at < len(data):
        length, kind, flags, number, _ = unpacked(HEADER, data, at)
        if not HEADER.size <= length <= len(data) - at:
            raise OSError(errno.EBADMSG, "netlink: message of a wrong length")
        yield Message(kind, flags, number, data[at + HEADER.size : at + length])
        at += _padded(length)


def attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by kind; nothing from one of a wrong length on."""
    found = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            break
        found[kind & _KIND] = data[at + _ATTRIBUTE.size : at + length]
        at += _padded(length)
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    size = _ATTRIBUTE.size + len(value)
    return (_ATTRIBUTE.pack(size, kind) + value).ljust(_padded(size), b"\0")


def unpacked(form: Struct, data: bytes, at: int = 0) -> tuple[int, ...]:
    """The numbers of a header. Raises `OSError` where it is short."""
    if len(data) - at < form.size:
        raise OSError(errno.EBADMSG, "netlink: short message")
    return form.unpack_from(data, at)


def _padded(length: int) -> int:
    return (length + 3) & ~3


def _hops(data: bytes) -> list[int]:
    """Interfaces of a route over several."""
    found = []
    at = 0
    while at + _HOP.size <= len(data):
        length, _, _, index = _HOP.unpack_from(data, at)
        found.append(index)
        at += max(_HOP.size, _padded(length))
    return found


def _number(value: bytes | None) -> int:
    return int(NUMBER.unpack(value)[0]) if value and len(value) == NUMBER.size else 0
