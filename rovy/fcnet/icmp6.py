"""ICMPv6 errors (RFC 4443), made for the node's own system. docs/protocol/ip6.md §6

Each builder gives a whole IPv6 packet to the sender of `packet`, or None where RFC 4443 §2.4(e)
forbids an error. How many leave in a second is the caller's business.
"""

from enum import IntEnum
from typing import Final

from rovy.errors import Malformed
from rovy.fcnet.headers import ICMPV6, upper
from rovy.wire.ip6 import (
    DESTINATION,
    HEADER,
    LEAST_MTU,
    MULTICAST,
    SOURCE,
    VERSION,
    Bytes,
    checksum,
    pseudo_header,
)

UNREACHABLE, TOO_BIG, TIME_EXCEEDED = 1, 2, 3
FIRST_INFORMATIONAL, ECHO_REQUEST, ECHO_REPLY, REDIRECT = 128, 128, 129, 137
ICMP_HEADER: Final = 8
MOST_QUOTED: Final = LEAST_MTU - HEADER - ICMP_HEADER
HOP_LIMIT: Final = 64
UNSPECIFIED: Final = bytes(16)


class Code(IntEnum):
    """Why a destination is unreachable."""

    NO_ROUTE = 0
    """Nobody with that address was found, or no way to it; also outside fc00::/8."""
    ADMIN = 1
    """Configuration forbids it, or the other node does not carry IPv6."""
    ADDRESS = 3
    """The node is known, and does not answer."""
    PORT = 4
    """The firewall refuses the packet."""
    POLICY = 5
    """The source is not the node's own address."""


def unreachable(code: Code, packet: Bytes, source: bytes) -> bytes | None:
    """Destination unreachable, from the address `source` of 16 bytes."""
    return _error(UNREACHABLE, code, 0, packet, source)


def too_big(mtu: int, packet: Bytes, source: bytes) -> bytes | None:
    """Packet too big; `mtu` is the longest packet that fits, bytes, at least 1280."""
    return _error(TOO_BIG, 0, mtu, packet, source)


def time_exceeded(packet: Bytes, source: bytes, between: int = 0) -> bytes | None:
    """Time exceeded: the hop limit ended at the node with the address `source`.

    `between`: nodes between here and there, by which the error's own hop limit has sunk.
    """
    return _error(TIME_EXCEEDED, 0, 0, packet, source, HOP_LIMIT - between)


def message(
    source: bytes, destination: bytes, next_header: int, body: bytes, hop_limit: int = HOP_LIMIT
) -> bytes:
    """An IPv6 packet of our own making around a body whose checksum is in it."""
    head = (VERSION << 28).to_bytes(4, "big") + len(body).to_bytes(2, "big")
    return b"".join((head, bytes((next_header, hop_limit)), source, destination, body))


def _error(
    kind: int, code: int, word: int, packet: Bytes, source: bytes, hop_limit: int = HOP_LIMIT
) -> bytes | None:
    if not _may_answer(kind, packet):
        return None
    quote = bytes(packet[:MOST_QUOTED])
    to, rest = quote[SOURCE:DESTINATION], word.to_bytes(4, "big") + quote
    head = bytes((kind, code))
    pseudo = pseudo_header(source, to, len(head) + 2 + len(rest), ICMPV6)
    total = checksum(b"".join((pseudo, head, b"\0\0", rest)))
    body = b"".join((head, total.to_bytes(2, "big"), rest))
    return message(source, to, ICMPV6, body, hop_limit)


def _may_answer(kind: int, packet: Bytes) -> bool:
    """RFC 4443 §2.4(e). Later fragments are answered: no error is long enough to be one."""
    try:
        found = upper(packet)
    except Malformed:
        return False
    if packet[SOURCE] == MULTICAST or packet[SOURCE:DESTINATION] == UNSPECIFIED:
        return False
    if packet[DESTINATION] == MULTICAST and kind != TOO_BIG:
        return False
    if found.protocol != ICMPV6 or not found.first:
        return True
    cause = packet[found.at] if found.at < len(packet) else 0
    return cause >= FIRST_INFORMATIONAL and cause != REDIRECT
