"""IPv6 packets for tests, layer by layer; `test_packets` holds them against another's."""

import json
from pathlib import Path
from struct import pack
from typing import NamedTuple

from rovy.address.keys import PeerID
from rovy.fcnet.headers import DESTINATION_OPTIONS, FRAGMENT, ICMPV6, MORE, TCP, UDP
from rovy.fcnet.icmp6 import ECHO_REPLY, ECHO_REQUEST
from rovy.fcnet.refusal import TCP_HEADER
from rovy.wire.ip6 import checksum, pseudo_header

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "ip6.json").read_text())
OWN = bytes.fromhex("fc87dee8b7eb1362f0e828d198ee6415")
PEER_ID = PeerID.parse("bafzqaifuz5k7sq6d7bsl5dknbtzmqyfdyu3di5jt4brii4kn7dfn33mfaq")
PEER = PEER_ID.address
OTHER = bytes.fromhex("fc0102030405060708090a0b0c0d0e0f")
NOTHING = 59
"""No next header."""
PARAMETER_PROBLEM, LISTENERS, NEIGHBOUR = 4, 131, 135
"""Types of ICMPv6: the third of errors, a multicast listener report, a neighbour solicitation."""
_WORD = bytes(4)
_FLAGS = "FSRPAUEC"


class Layer(NamedTuple):
    """An upper layer, or an extension header."""

    protocol: int
    raw: bytes
    sum_at: int | None = None
    """Offset of the checksum, which covers what follows too; None in an extension header."""


def ip6(source, destination, *layers, nh=None):
    """A whole packet of layers and plain bytes; `nh`: what the header says comes next."""
    body, protocol = b"", NOTHING
    for layer in reversed(layers):
        if isinstance(layer, bytes):
            body = layer + body
        elif layer.sum_at is None:
            body, protocol = bytes((protocol,)) + layer.raw[1:] + body, layer.protocol
        else:
            body, protocol = _summed(source, destination, layer, layer.raw + body), layer.protocol
    head = pack(">IHBB", 6 << 28, len(body), protocol if nh is None else nh, 64)
    return head + source + destination + body


def _summed(source, destination, layer, body):
    total = checksum(pseudo_header(source, destination, len(body), layer.protocol) + body)
    if layer.protocol == UDP:
        total = total or 0xFFFF
    return body[: layer.sum_at] + total.to_bytes(2, "big") + body[layer.sum_at + 2 :]


def tcp(flags, sport, dport, payload=b"", *, seq=0, ack=0, window=8192, options=b""):
    """A TCP segment; options are whole words."""
    offset = TCP_HEADER.size + len(options) << 2
    bits = sum(1 << _FLAGS.index(flag) for flag in flags)
    header = TCP_HEADER.pack(sport, dport, seq, ack, offset, bits, window, 0, 0)
    return Layer(TCP, header + options + payload, 16)


def udp(sport, dport, payload=b"x"):
    """A UDP datagram."""
    return Layer(UDP, pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload, 6)


def icmp(kind, code=0, rest=_WORD):
    """A message of ICMPv6; an error is followed by what it quotes."""
    return Layer(ICMPV6, bytes((kind, code, 0, 0)) + rest, 2)


def ping(number=7, sequence=1, data=b"data"):
    """An echo request."""
    return icmp(ECHO_REQUEST, rest=pack(">HH", number, sequence) + data)


def pong(number=7, sequence=1, data=b"data"):
    """An echo reply."""
    return icmp(ECHO_REPLY, rest=pack(">HH", number, sequence) + data)


def solicitation(target=bytes(16)):
    """Who has this address?"""
    return icmp(NEIGHBOUR, rest=_WORD + target)


def extension(protocol, rest):
    """An extension header: its bytes after the first, which says what follows."""
    return Layer(protocol, b"\0" + rest)


def options():
    """Destination options, none but padding."""
    return extension(DESTINATION_OPTIONS, bytes.fromhex("00010400000000"))


def fragments(packet, at, number=99):
    """Two fragments of a packet without extension headers, cut `at` bytes into its body."""
    source, destination, body = packet[8:24], packet[24:40], packet[40:]
    parts = []
    for word, part in ((MORE, body[:at]), (at, body[at:])):
        header = pack(">BBHI", packet[6], 0, word, number)
        parts.append(ip6(source, destination, header + part, nh=FRAGMENT))
    return parts
