"""Where the upper layer of an IPv6 packet begins (RFC 8200 §4)."""

from typing import Final, NamedTuple

from rovy.errors import Malformed
from rovy.wire.ip6 import HEADER, NEXT_HEADER, Bytes

HOP_BY_HOP, TCP, UDP, ROUTING, FRAGMENT, AH, ICMPV6, DESTINATION_OPTIONS = (
    0, 6, 17, 43, 44, 51, 58, 60,
)  # fmt: skip
FRAGMENT_SIZE: Final = 8
MORE, OFFSET = 0x0001, 0xFFF8
MOST_HEADERS: Final = 8
"""Extension headers that are walked; a packet with more is malformed."""

_EXTENSIONS: Final = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION_OPTIONS))


class Upper(NamedTuple):
    """The upper layer of a packet."""

    protocol: int
    at: int
    """Offset of its first byte; of a later fragment, where the piece begins."""
    fragment: bytes = b""
    """Identification, 4 bytes, of a fragment that is not the whole packet."""
    first: bool = True
    """False for a fragment that does not begin with the upper layer's header."""


def upper(packet: Bytes) -> Upper:
    """The upper layer of a packet, or of its beginning. Raises `Malformed`."""
    if len(packet) < HEADER:
        raise Malformed("IPv6: short")
    protocol, at, fragment = packet[NEXT_HEADER], HEADER, b""
    for _ in range(MOST_HEADERS + 1):
        if protocol not in _EXTENSIONS:
            return Upper(protocol, at, fragment)
        if len(packet) < at + 8:
            raise Malformed("IPv6: extension header cut short")
        following, size = packet[at], _size(protocol, packet[at + 1])
        if protocol == FRAGMENT:
            word = (packet[at + 2] << 8) | packet[at + 3]
            if word & (OFFSET | MORE):
                fragment = bytes(packet[at + 4 : at + 8])
            if word & OFFSET:
                return Upper(following, at + size, fragment, first=False)
        protocol, at = following, at + size
    raise Malformed("IPv6: too many extension headers")


def _size(protocol: int, length: int) -> int:
    """Bytes of an extension header whose second byte is `length`."""
    if protocol == FRAGMENT:
        return FRAGMENT_SIZE
    return (length + 2) * 4 if protocol == AH else (length + 1) * 8
