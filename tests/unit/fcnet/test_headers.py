"""The way to the upper layer, past extension headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.fcnet.headers import FRAGMENT, HOP_BY_HOP, MOST_HEADERS, ROUTING, TCP, UDP, Upper, upper
from tests.unit.fcnet.packets import OTHER, OWN, PEER, extension, fragments, ip6, options, tcp, udp
from tests.unit.wire.strategies import mutations

EXTENSIONS = [
    extension(HOP_BY_HOP, bytes((1, 1, 12)) + bytes(12)),
    extension(ROUTING, bytes((4, 0, 0)) + bytes(4) + PEER + OTHER),
    options(),
    extension(FRAGMENT, bytes((0, 0, 0, 0, 0, 0, 5))),
]


@given(st.lists(st.sampled_from(EXTENSIONS), max_size=5))
def test_extension_headers_are_passed_over(extensions):
    packet = ip6(PEER, OWN, *extensions, udp(1, 2, b"payload"))
    assert upper(packet) == upper(memoryview(packet)) == Upper(UDP, len(packet) - 8 - 7)


def test_authentication_headers_count_in_words_of_four_bytes():
    # RFC 4302 §2.2: 12 bytes and an ICV of 12, so a length field of 4.
    header = bytes((UDP, 4)) + bytes(22)
    assert upper(ip6(PEER, OWN, header + bytes(8), nh=51)) == Upper(UDP, 64)


def test_fragments():
    first, later = fragments(ip6(PEER, OWN, tcp("S", 1, 2, b"x" * 40)), 32)
    assert upper(first) == Upper(TCP, 48, bytes((0, 0, 0, 99)))
    assert upper(later) == Upper(TCP, 48, bytes((0, 0, 0, 99)), first=False)


def test_the_walk_is_bounded():
    headers = [options() for _ in range(MOST_HEADERS + 1)]
    assert upper(ip6(PEER, OWN, *headers[1:], udp(1, 2))).protocol == UDP
    with pytest.raises(Malformed, match="too many"):
        upper(ip6(PEER, OWN, *headers, udp(1, 2)))


def test_truncation_at_every_length():
    packet = ip6(PEER, OTHER, *EXTENSIONS)
    for length in range(len(packet)):
        with pytest.raises(Malformed):
            upper(packet[:length])


WHOLE = ip6(PEER, OWN, *EXTENSIONS, tcp("S", 1, 2))


@given(st.binary(max_size=120) | mutations(WHOLE))
def test_hostile_packets_are_malformed(raw):
    try:
        found = upper(raw)
    except Malformed:
        return
    assert found.at >= 40
    assert len(found.fragment) in (0, 4)
