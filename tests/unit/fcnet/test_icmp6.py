"""ICMPv6 errors, against scapy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6MLReport,
    ICMPv6ND_NS,
    ICMPv6ND_Redirect,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6ExtHdrDestOpt,
)
from scapy.packet import Raw

from rovy.fcnet.headers import ICMPV6
from rovy.fcnet.icmp6 import MOST_QUOTED, Code, time_exceeded, too_big, unreachable
from rovy.wire.ip6 import LEAST_MTU, check, checksum, pseudo_header
from tests.unit.fcnet.packets import OTHER, OWN, PEER, fragments, ip6, ping, pong, tcp, udp
from tests.unit.wire.strategies import mutations

SIZES = st.integers(0, 20) | st.integers(1150, 1300) | st.just(40_000)
CAUSES = st.builds(
    lambda size, fill: ip6(OWN, PEER, udp(1, 2, fill * size)),
    SIZES,
    st.binary(min_size=1, max_size=1),
)


def quoted(packet):
    return Raw(packet[:MOST_QUOTED])


@given(CAUSES, st.sampled_from(Code))
def test_unreachable_is_scapys(cause, code):
    expected = ip6(OWN, OWN, ICMPv6DestUnreach(code=code), quoted(cause))
    assert unreachable(code, cause, OWN) == expected
    assert unreachable(code, memoryview(cause), OWN) == expected


@given(CAUSES, st.integers(LEAST_MTU, 65535))
def test_too_big_is_scapys(cause, mtu):
    assert too_big(mtu, cause, OWN) == ip6(OWN, OWN, ICMPv6PacketTooBig(mtu=mtu), quoted(cause))


@given(CAUSES)
def test_time_exceeded_is_scapys_and_comes_from_the_hop(cause):
    expected = ip6(OTHER, OWN, ICMPv6TimeExceeded(code=0), quoted(cause))
    assert time_exceeded(cause, OTHER) == expected
    assert len(expected) <= LEAST_MTU


def test_as_much_as_fits_is_quoted():
    assert len(unreachable(Code.PORT, ip6(OWN, PEER, udp(1, 2, bytes(5000))), OWN)) == LEAST_MTU
    short = ip6(OWN, PEER, udp(1, 2))
    assert unreachable(Code.PORT, short, OWN).endswith(short)


def all_of(packet):
    return (
        unreachable(Code.NO_ROUTE, packet, OWN),
        too_big(LEAST_MTU, packet, OWN),
        time_exceeded(packet, OWN),
    )


@pytest.mark.parametrize(
    "layers",
    [
        (ICMPv6DestUnreach(code=0), Raw(bytes(48))),
        (ICMPv6PacketTooBig(), Raw(bytes(48))),
        (ICMPv6TimeExceeded(), Raw(bytes(48))),
        (ICMPv6ParamProblem(), Raw(bytes(48))),
        (ICMPv6ND_Redirect(),),
        (IPv6ExtHdrDestOpt(), ICMPv6DestUnreach(code=0), Raw(bytes(48))),
    ],
)
def test_no_error_about_errors_and_redirects(layers):
    assert all_of(ip6(OWN, PEER, *layers)) == (None, None, None)


@pytest.mark.parametrize("layer", [ping(), pong(), ICMPv6ND_NS(), ICMPv6MLReport()])
def test_errors_about_other_icmp(layer):
    assert None not in all_of(ip6(OWN, PEER, layer))


@pytest.mark.parametrize("source", [bytes(16), b"\xff\x02" + bytes(14)])
def test_no_error_to_whom_it_could_not_reach(source):
    assert all_of(ip6(source, PEER, udp(1, 2))) == (None, None, None)


def test_only_too_big_about_multicast():
    packet = ip6(OWN, b"\xff\x0e" + bytes(13) + b"\1", udp(1, 2))
    assert [bool(error) for error in all_of(packet)] == [False, True, False]


def test_errors_about_fragments():
    # No error is longer than 1280 bytes, so no later fragment is part of one.
    for fragment in fragments(ip6(OWN, PEER, ping(data=bytes(80))), 40):
        assert None not in all_of(fragment)
    error = ip6(OWN, PEER, ICMPv6DestUnreach(code=0), Raw(bytes(80)))
    assert all_of(fragments(error, 40)[0]) == (None, None, None)


@given(st.binary(max_size=100) | mutations(ip6(OWN, PEER, IPv6ExtHdrDestOpt(), tcp("S", 1, 2))))
def test_hostile_causes_get_a_right_error_or_none(raw):
    for error in filter(None, all_of(raw)):
        check(error)
        assert error[24:40] == raw[8:24]
        assert checksum(pseudo_header(OWN, raw[8:24], len(error) - 40, ICMPV6) + error[40:]) == 0
