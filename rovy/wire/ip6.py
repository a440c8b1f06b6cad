"""IPv6 packets, and codec `ip6`: a packet without its two addresses. docs/protocol/ip6.md

Both addresses follow from the keys of the session that carries the packet, so they are left out
and put back: 32 bytes saved, and a source that cannot be forged.
"""

from rovy.address.keys import ADDRESS_BYTES, ADDRESS_PREFIX
from rovy.errors import Malformed

LENGTH, NEXT_HEADER, HOP_LIMIT, SOURCE, DESTINATION, HEADER = 4, 6, 7, 8, 24, 40  # offsets
FIXED = SOURCE
"""Bytes of the header that are carried."""
SAVED = HEADER - FIXED
"""Bytes by which a payload is shorter than its packet."""
LEAST_MTU = 1280
"""Bytes of a packet that every route carries, in pieces where it must (RFC 8200 §5)."""
VERSION = 6
MULTICAST = 0xFF
"""First byte of multicast addresses."""

Bytes = bytes | bytearray | memoryview


def check(packet: Bytes) -> None:
    """Raise `Malformed` unless this is one whole IPv6 packet; jumbograms are none."""
    if len(packet) < HEADER:
        raise Malformed("IPv6: short")
    _check(packet, len(packet) - HEADER)


def squeeze(packet: bytes, between: int = 0) -> bytes:
    """The payload of codec `ip6` for a packet that passed `check`.

    Its hop limit, which must be larger, is lowered by the nodes in `between` the two ends.
    """
    if not between:
        return packet[:FIXED] + packet[HEADER:]
    limit = bytes((packet[HOP_LIMIT] - between,))
    return packet[:HOP_LIMIT] + limit + packet[HEADER:]


def expand(payload: Bytes, source: bytes, destination: bytes) -> bytes:
    """The packet again, with these addresses of 16 bytes. Raises `Malformed`."""
    if len(payload) < FIXED:
        raise Malformed("IPv6: short")
    _check(payload, len(payload) - FIXED)
    return b"".join((payload[:FIXED], source, destination, payload[FIXED:]))


def is_fc(address: Bytes) -> bool:
    """Whether 16 bytes are an address in fc00::/8."""
    return len(address) == ADDRESS_BYTES and address[0] == ADDRESS_PREFIX


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of data, pseudo-header included; odd ends are padded."""
    # 2^16 is 1 modulo 65535, so the ones' complement sum of all words is one remainder.
    number = int.from_bytes(data, "big") << (len(data) & 1) * 8
    return (0xFFFF - number % 0xFFFF) % 0xFFFF if number else 0xFFFF


def pseudo_header(source: bytes, destination: bytes, length: int, next_header: int) -> bytes:
    """40 bytes that upper-layer checksums cover as well (RFC 8200 §8.1)."""
    return b"".join(
        (source, destination, length.to_bytes(4, "big"), next_header.to_bytes(4, "big"))
    )


def _check(head: Bytes, length: int) -> None:
    if head[0] >> 4 != VERSION:
        raise Malformed("IPv6: version")
    if (head[LENGTH] << 8) | head[LENGTH + 1] != length:
        raise Malformed("IPv6: length")
