"""Neighbours of one TCP stream, for the kernel to take as the long segment they were cut from.

A TUN device opened with `IFF_VNET_HDR` has a header before each packet (linux/virtio_net.h), which
says how long the segments were. Their checksums are left out: the session authenticated each byte.
"""

from collections.abc import Iterator, Sequence
from struct import Struct

from rovy.fcnet.headers import TCP
from rovy.fcnet.refusal import ACK
from rovy.wire.ip6 import DESTINATION, HEADER, LENGTH, NEXT_HEADER, SOURCE, checksum, pseudo_header

VNET = Struct("=BBHHHH")
"""Flags, kind, length of all headers, of each segment; where to sum up from, where to put it."""
PLAIN = bytes(VNET.size)
"""Of a packet that is whole."""
MOST, SEGMENTS = 65000, 64
"""Bytes of a long segment, below the longest packet, and those it is made of."""
PSH = 0x08
Packet = bytes | memoryview
Likeness = tuple[object, ...]
_NEEDS_CHECKSUM, _TCP6 = 1, 4
_HEADERS = Struct(">I3x37sIIBBH2x")
"""Version and flow; hop limit to ports; sequence, acknowledgement, offset, flags, window.

Left out are the length and protocol after the first, and the checksum at the end.
"""
_FLAGS, _CHECKSUM, _URGENT = HEADER + 13, HEADER + 16, HEADER + 18


def runs(packets: Sequence[Packet]) -> Iterator[Sequence[Packet]]:
    """The packets in their order, those together that `parts` makes one write of."""
    run: list[Packet] = []
    alike: Likeness = ()
    size = following = room = 0
    for packet in packets:
        likeness, sequence, start = _segment(packet)
        length = len(packet) - start
        if run and (likeness != alike or sequence != following or length > min(size, room)):
            yield run
            run = []
        if not run:
            alike, size, room = likeness, length, MOST - start
        run.append(packet)
        following, room = (sequence + length) & 0xFFFFFFFF, room - length
        last = not likeness or length < size or packet[_FLAGS] & PSH
        if last or len(run) == SEGMENTS:
            yield run
            run = []
    if run:
        yield run


def parts(run: Sequence[Packet]) -> list[Packet | bytearray]:
    """What to write for a run: a header, and the packet or long segment."""
    first = run[0]
    if len(run) == 1:
        return [PLAIN, first]
    _, _, start = _segment(first)
    bodies = [memoryview(packet)[start:] for packet in run]
    length = start - HEADER + sum(map(len, bodies))
    head = bytearray(first[:start])
    head[LENGTH : LENGTH + 2] = length.to_bytes(2, "big")
    head[_FLAGS] = run[-1][_FLAGS]
    ends = bytes(first[SOURCE:DESTINATION]), bytes(first[DESTINATION:HEADER])
    partial = 0xFFFF - checksum(pseudo_header(*ends, length, TCP))
    head[_CHECKSUM:_URGENT] = partial.to_bytes(2, "big")
    checked = HEADER, _CHECKSUM - HEADER
    header = VNET.pack(_NEEDS_CHECKSUM, _TCP6, start, len(bodies[0]), *checked)
    return [header, head, *bodies]


def _segment(packet: Packet) -> tuple[Likeness, int, int]:
    """(what neighbours have in common, sequence number, where the payload begins).

    Nothing in common where no neighbour may follow.
    """
    if len(packet) <= _URGENT or packet[NEXT_HEADER] != TCP:
        return (), 0, 0
    flow, ends, sequence, acked, offset, flags, window = _HEADERS.unpack_from(packet)
    start = HEADER + (offset >> 4) * 4
    if flags & ~PSH != ACK or not _URGENT + 2 <= start < len(packet):
        return (), 0, 0
    return (flow, ends, acked, offset, window, packet[_URGENT:start]), sequence, start
