"""Refusals: what a system without the port would say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.fcnet.headers import TCP
from rovy.fcnet.icmp6 import UNREACHABLE
from rovy.fcnet.refusal import refusal
from rovy.wire.ip6 import check, checksum, pseudo_header
from tests.unit.fcnet.packets import OWN, PEER, VECTORS, icmp, ip6, tcp, udp
from tests.unit.wire.strategies import mutations


@pytest.mark.parametrize("case", VECTORS["refusals"], ids=lambda case: case["name"])
def test_refusals_are_those_of_the_rfcs(case):
    assert refusal(bytes.fromhex(case["packet"])).hex() == case["answer"]


def test_no_reset_about_a_reset():
    assert refusal(ip6(PEER, OWN, tcp("R", 1, 2))) is None
    assert refusal(ip6(PEER, OWN, tcp("RA", 1, 2))) is None


def test_no_refusal_of_an_error():
    about = ip6(OWN, PEER, udp(1, 2))
    assert refusal(ip6(PEER, OWN, icmp(UNREACHABLE), about)) is None


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
