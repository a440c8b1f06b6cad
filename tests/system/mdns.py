"""Multicast DNS written by hand, as another program on the LAN speaks it. RFC 6762, RFC 6763"""

import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from testnet.namespace import inside
from testnet.netns import Host

GROUP, PORT = "224.0.0.251", 5353
TYPE = "_rovy._udp.local"
A, PTR, TXT, AAAA, SRV = 1, 12, 16, 28, 33
INTERNET, FLUSH = 1, 0x8000
HEADER, RECORD = struct.Struct(">6H"), struct.Struct(">HHIH")
RESPONSE = 0x8400
POINTER = 0xC0


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an answer; of PTR and SRV `value` is the name."""

    name: str
    kind: int
    ttl: int
    data: bytes
    value: str


class Wire:
    """A socket on port 5353 of a host, on one interface; a context manager."""

    def __init__(self, host: Host, interface: str) -> None:
        with inside(host.namespace):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            index = socket.if_nametoindex(interface)
        where = struct.pack("=4s4si", socket.inet_aton(GROUP), bytes(4), index)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("", PORT))
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, where)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, where)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, message: bytes) -> None:
        """To all on the link."""
        self._socket.sendto(message, (GROUP, PORT))

    def heard(self, seconds: float) -> list[bytes]:
        """What comes within a time."""
        found = []
        deadline = time.monotonic() + seconds
        while select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            found.append(self._socket.recv(9000))
        return found

    def records(self, seconds: float) -> list[Record]:
        """What is answered within a time."""
        return [record for message in self.heard(seconds) for record in records(message)]


def question(name: str, kind: int = PTR) -> bytes:
    """A query that all may answer to all."""
    return HEADER.pack(0, 0, 1, 0, 0, 0) + encode(name) + struct.pack(">HH", kind, INTERNET)


def announcement(
    instance: str, port: int, *hosts: str, txt: bytes = b"v=1", ttl: int = 120
) -> bytes:
    """An instance of the service as whoever offers it says it; `ttl` 0: goodbye."""
    name, server = f"{instance}.{TYPE}", f"host-{instance[-8:]}.local"
    found = [
        _record(TYPE, PTR, encode(name), ttl, INTERNET),
        _record(name, SRV, struct.pack(">HHH", 0, 0, port) + encode(server), ttl),
        _record(name, TXT, bytes([len(txt)]) + txt, ttl),
        *(_record(server, A, socket.inet_aton(host), ttl) for host in hosts),
    ]
    return HEADER.pack(0, RESPONSE, 0, len(found), 0, 0) + b"".join(found)


def encode(name: str) -> bytes:
    """A name without compression."""
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def records(message: bytes) -> Iterator[Record]:
    """All records of an answer; none of a query."""
    _, flags, questions, *counts = HEADER.unpack_from(message)
    if not flags & 0x8000:
        return
    at = HEADER.size
    for _ in range(questions):
        _, at = _name(message, at)
        at += 4
    for _ in range(sum(counts)):
        name, at = _name(message, at)
        kind, _, ttl, length = RECORD.unpack_from(message, at)
        at += RECORD.size
        skipped = {PTR: 0, SRV: 6}.get(kind)
        value = "" if skipped is None else _name(message, at + skipped)[0]
        yield Record(name, kind, ttl, message[at : at + length], value)
        at += length


def _record(name: str, kind: int, data: bytes, ttl: int, group: int = INTERNET | FLUSH) -> bytes:
    return encode(name) + RECORD.pack(kind, group, ttl, len(data)) + data


def _name(message: bytes, at: int) -> tuple[str, int]:
    """A name, and where it ends."""
    labels, end = [], 0
    while length := message[at]:
        if length >= POINTER:
            end = end or at + 2
            at = (length & ~POINTER) << 8 | message[at + 1]
        else:
            labels.append(message[at + 1 : at + 1 + length].decode())
            at += 1 + length
    return ".".join(labels), end or at + 1
