"""What a refused packet is answered with: a closed port says so at once."""

from struct import Struct
from typing import Final

from rovy.errors import Malformed
from rovy.fcnet.headers import TCP, upper
from rovy.fcnet.icmp6 import Code, message, unreachable
from rovy.wire.ip6 import DESTINATION, HEADER, SOURCE, Bytes, checksum, pseudo_header

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
TCP_HEADER: Final = Struct(">HHIIBBHHH")
"""Ports, sequence and acknowledgement, header length, flags, window, checksum, urgent."""
_PLAIN: Final = 5 << 4  # header length without options


def refusal(packet: Bytes) -> bytes | None:
    """The packet that refuses `packet` in its destination's name; None where none may."""
    try:
        found = upper(packet)
    except Malformed:
        return None
    if found.protocol == TCP and found.first:
        return _reset(packet, found.at)
    return unreachable(Code.PORT, packet, bytes(packet[DESTINATION:HEADER]))


def _reset(packet: Bytes, at: int) -> bytes | None:
    """RFC 9293 §3.5.2, group 1: the connection does not exist."""
    if len(packet) < at + TCP_HEADER.size:
        return None
    source, destination, sequence, acked, offset, flags, *_ = TCP_HEADER.unpack_from(packet, at)
    if flags & RST:
        return None
    if flags & ACK:
        sequence, acked, answer = acked, 0, RST
    else:
        length = max(0, len(packet) - at - (offset >> 4) * 4)
        length += bool(flags & SYN) + bool(flags & FIN)
        sequence, acked, answer = 0, (sequence + length) & 0xFFFFFFFF, RST | ACK
    ours, theirs = bytes(packet[DESTINATION:HEADER]), bytes(packet[SOURCE:DESTINATION])
    fields = (destination, source, sequence, acked, _PLAIN, answer, 0)
    pseudo = pseudo_header(ours, theirs, TCP_HEADER.size, TCP)
    total = checksum(pseudo + TCP_HEADER.pack(*fields, 0, 0))
    return message(ours, theirs, TCP, TCP_HEADER.pack(*fields, total, 0))
