"""A small rtnetlink client: asks the kernel for links, IPv6 addresses and routes, and sets them.

The kernel answers each request at once, so calls do not wait. What it refuses is an `OSError`
whose `strerror` names the operation. docs/decisions/0004-own-rtnetlink.md
"""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from struct import Struct
from types import TracebackType
from typing import Self, TypeVar

from rovy.io.rtmessages import (
    ADDRESS,
    HEADER,
    LINK,
    MAIN_TABLE,
    NUMBER,
    ROUTE,
    UNICAST,
    UP,
    AddressAttribute,
    InterfaceAddress,
    Kind,
    Link,
    LinkAttribute,
    Message,
    Route,
    RouteAttribute,
    attribute,
    attributes,
    beginning,
    messages,
)

T = TypeVar("T")
TIMEOUT = 2.0
"""Seconds for one part of an answer; the kernel takes microseconds."""
ANSWERS = 1 << 21
"""Messages of one answer; the largest tables of IPv6 routes have some 250,000."""
KEPT = 4096
"""Messages of one answer that are kept."""
TRIES = 3
"""Lists that a change interrupted are asked for so often."""

_REQUEST, _ACK, _INTERRUPTED, _EXCLUSIVE, _DUMP, _CREATE = 0x1, 0x4, 0x10, 0x200, 0x300, 0x400
_HAS_TEXT, _TEXT = 0x200, 1
_GENERATION_MODE, _NO_GENERATION = 8, 1
_NO_DETECTION, _NO_PREFIX_ROUTE = 0x02, 0x200
_BY_ADMINISTRATOR = 4
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_CODE = Struct("=i")


class Netlink:
    """A socket to the kernel's tables; a context manager."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._number = 0
        self._sock.settimeout(TIMEOUT)
        self._sock.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._sock.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sock.close()

    # Links

    def link(self, which: int | str) -> Link | None:
        """An interface by index or name; None where there is none."""
        if isinstance(which, int):
            body = _link(which)
        else:
            body = _link(0) + attribute(LinkAttribute.NAME, which.encode() + b"\0")
        try:
            answers = list(self._ask(f"find interface {which}", Kind.GET_LINK, _ACK, body))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return Link.parse(answers[0].body) if answers else None

    def set_up(self, index: int, up: bool = True) -> None:
        """Set an interface up or down."""
        word, flags = ("up", UP) if up else ("down", 0)
        self._change(f"set the interface {word}", Kind.NEW_LINK, _link(index, flags, UP))

    def set_mtu(self, index: int, mtu: int) -> None:
        """Set an interface's MTU, bytes."""
        change = attribute(LinkAttribute.MTU, NUMBER.pack(mtu))
        self._change(f"set the MTU to {mtu}", Kind.NEW_LINK, _link(index) + change)

    def refuse_link_local(self, index: int) -> None:
        """Let an interface get no link-local address when it comes up."""
        mode = attribute(_GENERATION_MODE, bytes((_NO_GENERATION,)))
        change = attribute(LinkAttribute.FAMILIES, attribute(socket.AF_INET6, mode))
        self._change("refuse link-local addresses", Kind.NEW_LINK, _link(index) + change)

    # Addresses and routes

    def addresses(self, index: int) -> list[bytes]:
        """IPv6 addresses of an interface, 16 bytes each."""
        head = ADDRESS.pack(socket.AF_INET6, 0, 0, 0, index)
        found = self._list("list addresses", Kind.GET_ADDRESS, head, InterfaceAddress.parse)
        return [each.address for each in found if each.index == index]

    def add_address(self, index: int, address: bytes) -> None:
        """Give an interface an IPv6 address, /128, usable at once, without a route of its own."""
        body = ADDRESS.pack(socket.AF_INET6, 128, 0, 0, index)
        body += attribute(AddressAttribute.LOCAL, address)
        body += attribute(AddressAttribute.FLAGS, NUMBER.pack(_NO_DETECTION | _NO_PREFIX_ROUTE))
        body += attribute(AddressAttribute.ADDRESS, address)
        self._change("add the address", Kind.NEW_ADDRESS, body)

    def routes(self, first: int) -> list[Route]:
        """The IPv6 routes of all tables to prefixes that begin with this byte."""
        head = ROUTE.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0)
        return self._list("list routes", Kind.GET_ROUTE, head, Route.parse, beginning(first))

    def add_route(self, index: int, prefix: bytes, bits: int) -> None:
        """Route a prefix over an interface. `EEXIST` rather than take another route's place."""
        head = ROUTE.pack(socket.AF_INET6, bits, 0, 0, MAIN_TABLE, _BY_ADMINISTRATOR, 0, UNICAST, 0)
        to = attribute(RouteAttribute.TO, prefix)
        out = attribute(RouteAttribute.OUT, NUMBER.pack(index))
        self._change("add the route", Kind.NEW_ROUTE, head + to + out)

    # Requests

    def _change(self, what: str, kind: Kind, body: bytes) -> None:
        create = 0 if kind == Kind.NEW_LINK else _CREATE | _EXCLUSIVE
        list(self._ask(what, kind, _ACK | create, body))

    def _list(
        self,
        what: str,
        kind: Kind,
        head: bytes,
        parse: Callable[[bytes], T],
        part: bytes = b"",
    ) -> list[T]:
        """All messages of a kind that contain a part, parsed."""
        found: list[T] = []
        for _ in range(TRIES):
            found, whole = [], True
            for message in self._ask(what, kind, _DUMP, head):
                whole = whole and not message.flags & _INTERRUPTED
                if part in message.body and len(found) < KEPT:
                    found.append(parse(message.body))
            if whole:
                break
        return found

    def _ask(self, what: str, kind: Kind, flags: int, body: bytes) -> Iterator[Message]:
        """Send a request and give all that answers it."""
        self._number += 1
        size = HEADER.size + len(body)
        self._sock.send(HEADER.pack(size, kind, _REQUEST | flags, self._number, 0) + body)
        for count, message in enumerate(self._received(what)):
            if count > ANSWERS:
                raise OSError(errno.EMSGSIZE, f"{what}: more than {ANSWERS} answers")
            if message.number != self._number:
                continue
            if message.kind in (Kind.ERROR, Kind.DONE):
                _check(what, message)
                return
            yield message

    def _received(self, what: str) -> Iterator[Message]:
        while True:
            try:
                data, (port, _) = self._sock.recvfrom(1 << 16)
            except TimeoutError:
                raise OSError(errno.ETIMEDOUT, f"{what}: no answer from the kernel") from None
            if port == 0:  # the kernel's
                yield from messages(data)


def _link(index: int, flags: int = 0, changed: int = 0) -> bytes:
    return LINK.pack(socket.AF_UNSPEC, 0, index, flags, changed)


def _check(what: str, end: Message) -> None:
    """Raise the `OSError` that the end of an answer tells of, if any."""
    code = -_CODE.unpack_from(end.body.ljust(_CODE.size, b"\0"))[0]
    if not code:
        return
    text = b""
    if end.kind == Kind.ERROR and end.flags & _HAS_TEXT:
        text = attributes(end.body[_CODE.size + HEADER.size :]).get(_TEXT, b"")
    said = text.rstrip(b"\0").decode(errors="replace") or os.strerror(code)
    raise OSError(code, f"{what}: {said}")
