"""Refusals: what a system without the port would say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6ExtHdrDestOpt
from scapy.packet import Raw

from rovy.fcnet.headers import TCP
from rovy.fcnet.refusal import refusal
from rovy.wire.ip6 import check, checksum, pseudo_header
from tests.unit.fcnet.packets import OWN, PEER, fragments, ip6, ping, tcp, udp
from tests.unit.wire.strategies import U16, U32, mutations

FLAGS = st.lists(st.sampled_from("SFPAUEC"), unique=True).map("".join)


@given(FLAGS, U16, U16, U32, U32, st.binary(max_size=40), st.booleans())
def test_resets_are_those_of_rfc_9293(flags, sport, dport, seq, ack, data, options):
    settings = {"options": [("MSS", 1400)]} if options else {}
    segment = tcp(flags, sport, dport, data, seq=seq, ack=ack, **settings)
    if "A" in flags:
        answer = tcp("R", dport, sport, seq=ack, ack=0, window=0)
    else:
        length = len(data) + ("S" in flags) + ("F" in flags)
        answer = tcp("RA", dport, sport, seq=0, ack=(seq + length) % 2**32, window=0)
    assert refusal(ip6(PEER, OWN, segment)) == ip6(OWN, PEER, answer)


def test_resets_are_made_past_extension_headers():
    packet = ip6(PEER, OWN, IPv6ExtHdrDestOpt(), tcp("S", 1, 2, seq=5))
    assert refusal(packet) == ip6(OWN, PEER, tcp("RA", 2, 1, seq=0, ack=6, window=0))


def test_no_reset_about_a_reset():
    assert refusal(ip6(PEER, OWN, tcp("R", 1, 2))) is None
    assert refusal(ip6(PEER, OWN, tcp("RA", 1, 2))) is None


@pytest.mark.parametrize(
    ("layer", "fields"), [(udp(1, 2), {}), (ping(), {}), (Raw(b"what is this?"), {"nh": 132})]
)
def test_all_else_hears_of_an_unreachable_port(layer, fields):
    packet = ip6(PEER, OWN, layer, **fields)
    assert refusal(packet) == ip6(OWN, PEER, ICMPv6DestUnreach(code=4), Raw(packet))


def test_no_refusal_of_an_error():
    assert (
        refusal(ip6(PEER, OWN, ICMPv6DestUnreach(code=0), Raw(ip6(OWN, PEER, udp(1, 2))))) is None
    )


def test_later_fragments_of_tcp_get_no_reset():
    later = fragments(ip6(PEER, OWN, tcp("S", 1, 2, b"x" * 40)), 32)[1]
    assert refusal(later) == ip6(OWN, PEER, ICMPv6DestUnreach(code=4), Raw(later))


@given(st.binary(max_size=100) | mutations(ip6(PEER, OWN, tcp("S", 1, 2, b"data"))))
def test_hostile_packets_get_a_right_refusal_or_none(raw):
    answer = refusal(raw)
    if answer is not None:
        check(answer)
        ours, theirs, protocol = answer[8:24], answer[24:40], answer[6]
        assert (ours, theirs) == (raw[24:40], raw[8:24])
        assert protocol == TCP or answer[40:42] == b"\1\4"
        pseudo = pseudo_header(ours, theirs, len(answer) - 40, protocol)
        assert checksum(pseudo + answer[40:]) == 0
