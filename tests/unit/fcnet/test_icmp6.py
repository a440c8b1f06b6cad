"""ICMPv6 errors, against those that another implementation makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.fcnet.headers import ICMPV6
from rovy.fcnet.icmp6 import (
    REDIRECT,
    TIME_EXCEEDED,
    TOO_BIG,
    UNREACHABLE,
    Code,
    time_exceeded,
    too_big,
    unreachable,
)
from rovy.wire.ip6 import LEAST_MTU, check, checksum, pseudo_header
from tests.unit.fcnet.packets import (
    LISTENERS,
    OWN,
    PARAMETER_PROBLEM,
    PEER,
    VECTORS,
    fragments,
    icmp,
    ip6,
    options,
    ping,
    pong,
    solicitation,
    tcp,
    udp,
)
from tests.unit.wire.strategies import mutations

MAKERS = {
    "unreachable": unreachable,
    "too_big": too_big,
    "time_exceeded": lambda value, cause, source: time_exceeded(cause, source),
}


@pytest.mark.parametrize("case", VECTORS["errors"], ids=lambda case: case["error"])
def test_errors_are_those_of_the_rfc(case):
    size, fill = case["cause"]["size"], case["cause"]["fill"]
    cause = ip6(OWN, PEER, udp(1, 2, bytes((fill,)) * size))
    expected = bytes.fromhex(case["head"]) + cause[: case["quoted"]]
    for given_as in (cause, memoryview(cause)):
        made = MAKERS[case["error"]](case["value"], given_as, bytes.fromhex(case["source"]))
        assert made == expected
    assert len(expected) <= LEAST_MTU


def test_the_vectors_have_every_code():
    codes = {case["value"] for case in VECTORS["errors"] if case["error"] == "unreachable"}
    assert codes == set(Code)


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
        (icmp(UNREACHABLE), bytes(48)),
        (icmp(TOO_BIG), bytes(48)),
        (icmp(TIME_EXCEEDED), bytes(48)),
        (icmp(PARAMETER_PROBLEM), bytes(48)),
        (icmp(REDIRECT, rest=bytes(36)),),
        (options(), icmp(UNREACHABLE), bytes(48)),
    ],
)
def test_no_error_about_errors_and_redirects(layers):
    assert all_of(ip6(OWN, PEER, *layers)) == (None, None, None)


@pytest.mark.parametrize("layer", [ping(), pong(), solicitation(), icmp(LISTENERS, rest=bytes(20))])
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
    error = ip6(OWN, PEER, icmp(UNREACHABLE), bytes(80))
    assert all_of(fragments(error, 40)[0]) == (None, None, None)


@given(st.binary(max_size=100) | mutations(ip6(OWN, PEER, options(), tcp("S", 1, 2))))
def test_hostile_causes_get_a_right_error_or_none(raw):
    for error in filter(None, all_of(raw)):
        check(error)
        assert error[24:40] == raw[8:24]
        assert checksum(pseudo_header(OWN, raw[8:24], len(error) - 40, ICMPV6) + error[40:]) == 0
