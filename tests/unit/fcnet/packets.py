"""Packets made by scapy, an implementation that is not ours."""

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.packet import Raw

from rovy.address.keys import PeerID, address_text

OWN = bytes.fromhex("fc87dee8b7eb1362f0e828d198ee6415")
PEER_ID = PeerID.parse("bafzqaifuz5k7sq6d7bsl5dknbtzmqyfdyu3di5jt4brii4kn7dfn33mfaq")
PEER = PEER_ID.address
OTHER = bytes.fromhex("fc0102030405060708090a0b0c0d0e0f")


def ip6(source, destination, *layers, **fields):
    """A whole packet; lengths and checksums are scapy's."""
    whole = IPv6(src=address_text(source), dst=address_text(destination), **fields)
    for layer in layers:
        whole /= layer
    return bytes(whole)


def tcp(flags, sport, dport, payload=b"", **fields):
    """A TCP segment."""
    return TCP(flags=flags, sport=sport, dport=dport, **fields) / Raw(payload)


def udp(sport, dport, payload=b"x"):
    """A UDP datagram."""
    return UDP(sport=sport, dport=dport) / Raw(payload)


def ping(number=7, sequence=1, data=b"data"):
    """An echo request."""
    return ICMPv6EchoRequest(id=number, seq=sequence, data=data)


def pong(number=7, sequence=1, data=b"data"):
    """An echo reply."""
    return ICMPv6EchoReply(id=number, seq=sequence, data=data)


def fragments(packet, at, number=99):
    """Two fragments of a packet without extension headers, cut `at` bytes into its body."""
    whole = IPv6(packet)
    body = bytes(whole.payload)
    source, destination = packet[8:24], packet[24:40]
    return [
        ip6(source, destination, IPv6ExtHdrFragment(nh=whole.nh, id=number, m=1), Raw(body[:at])),
        ip6(
            source,
            destination,
            IPv6ExtHdrFragment(nh=whole.nh, id=number, offset=at // 8),
            Raw(body[at:]),
        ),
    ]
