"""Datagrams on a wire of the lab: seen, and sent with any source."""

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from testnet.namespace import inside

ETHERNET, UDP_HEADER = 14, 8
PROTOCOL = 9
"""Where an IPv4 header has the protocol."""
IPV4, ALL = 0x0800, 0x0003
BUFFER = 1 << 24


@dataclass(frozen=True, slots=True)
class Seen:
    """An IPv4 datagram on the wire."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    payload: bytes
    outgoing: bool
    """From the host that looks."""


class Tap:
    """All UDP datagrams over IPv4 of an interface, from now on; a context manager."""

    def __init__(self, host, interface):
        with inside(host.namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._socket.bind((interface, ALL))
        self._socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def seen(self):
        """What came by since the last call."""
        found = []
        while True:
            try:
                frame, (_, protocol, kind, *_) = self._socket.recvfrom(65536)
            except BlockingIOError:
                return found
            if protocol == IPV4 and frame[ETHERNET + PROTOCOL] == socket.IPPROTO_UDP:
                found.append(parse(frame[ETHERNET:], kind == socket.PACKET_OUTGOING))


def parse(packet, outgoing):
    """The UDP datagram in an IPv4 packet."""
    header = (packet[0] & 0x0F) * 4
    source, destination = (str(IPv4Address(packet[at : at + 4])) for at in (12, 16))
    source_port, destination_port, length = struct.unpack_from("!HHH", packet, header)
    payload = packet[header + UDP_HEADER : header + length]
    return Seen(source, source_port, destination, destination_port, payload, outgoing)


def inject(host, source, source_port, destination, destination_port, payload):
    """Send a datagram from a host, whatever source it claims."""
    with inside(host.namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    length = UDP_HEADER + len(payload)
    ip = struct.pack("!BxHHHBBxx", 0x45, 20 + length, 0, 0x4000, 64, socket.IPPROTO_UDP) + ends
    udp = struct.pack("!HHHxx", source_port, destination_port, length)
    with sock:
        sock.sendto(ip + udp + payload, (destination, 0))
