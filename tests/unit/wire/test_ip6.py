"""Codec `ip6`: what is carried, what is put back, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.wire.datagram import DATA_FIXED
from rovy.wire.forward import header_size
from rovy.wire.ip6 import (
    DESTINATION,
    FIXED,
    HEADER,
    HOP_LIMIT,
    SAVED,
    SOURCE,
    check,
    checksum,
    expand,
    is_fc,
    pseudo_header,
    squeeze,
)
from tests.unit.wire.strategies import U16, exactly, mutations

ALICE = bytes.fromhex("fc87dee8b7eb1362f0e828d198ee6415")
BOB = bytes.fromhex("fc89b114f64b1d11c1d6db1b5701280f")
ECHO = bytes.fromhex("60000000000c3a40") + ALICE + BOB + bytes.fromhex("8000e94113120001726f7679")
CARRIED = bytes.fromhex("60000000000c3a408000e94113120001726f7679")
DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol" / "ip6.md"


def packet(start, next_header, hop_limit, source, destination, body):
    head = (6 << 28 | start).to_bytes(4, "big") + len(body).to_bytes(2, "big")
    return head + bytes((next_header, hop_limit)) + source + destination + body


ADDRESSES = exactly(16)
PACKETS = st.builds(
    packet,
    st.integers(0, (1 << 28) - 1),
    st.integers(0, 255),
    st.integers(0, 255),
    ADDRESSES,
    ADDRESSES,
    st.binary(max_size=100),
)


@given(PACKETS)
def test_round_trip(whole):
    check(whole)
    payload = squeeze(whole)
    assert len(payload) == len(whole) - SAVED
    ends = whole[SOURCE:DESTINATION], whole[DESTINATION:HEADER]
    assert expand(payload, *ends) == whole
    assert expand(memoryview(payload), *ends) == whole


def test_example_of_the_specification():
    assert squeeze(ECHO) == CARRIED
    assert expand(CARRIED, ALICE, BOB) == ECHO
    text = DOCUMENT.read_text().partition("## 7.")[2]
    lines = [line.split("  ") for line in text.splitlines() if line.startswith("    ")]
    printed = ["".join(part for part in line if hexadecimal(part)) for line in lines]
    assert bytes.fromhex("".join(printed)) == ECHO + CARRIED


def hexadecimal(text):
    words = text.split()
    return all(len(word) in (2, 32) and not word.strip("0123456789abcdef") for word in words)


@given(st.binary(max_size=80) | PACKETS.flatmap(mutations), ADDRESSES, ADDRESSES)
def test_hostile_packets_are_malformed(raw, source, destination):
    try:
        check(raw)
    except Malformed:
        assert len(raw) < HEADER or raw[0] >> 4 != 6 or raw[4:6] != size(raw, HEADER)
    else:
        assert expand(squeeze(raw), raw[SOURCE:DESTINATION], raw[DESTINATION:HEADER]) == raw


@given(st.binary(max_size=80) | PACKETS.map(squeeze).flatmap(mutations))
def test_hostile_payloads_are_malformed(raw):
    try:
        whole = expand(raw, ALICE, BOB)
    except Malformed:
        assert len(raw) < FIXED or raw[0] >> 4 != 6 or raw[4:6] != size(raw, FIXED)
    else:
        check(whole)
        assert squeeze(whole) == raw


def size(raw, before):
    return (len(raw) - before).to_bytes(2, "big")


def test_truncation_at_every_length():
    for length in range(len(ECHO)):
        with pytest.raises(Malformed):
            check(ECHO[:length])
    for length in range(len(CARRIED)):
        with pytest.raises(Malformed):
            expand(CARRIED[:length], ALICE, BOB)


def test_jumbograms_are_malformed():
    # RFC 2675: a payload length of 0, the true one in a hop-by-hop option.
    jumbo = packet(0, 0, 64, ALICE, BOB, bytes.fromhex("3a00c20400010008"))
    check(jumbo)
    with pytest.raises(Malformed):
        check(jumbo[:4] + bytes(2) + jumbo[6:])


@given(PACKETS, st.integers(1, 63))
def test_hop_limit_is_lowered_by_the_nodes_in_between(whole, between):
    whole = whole[:HOP_LIMIT] + b"\x40" + whole[HOP_LIMIT + 1 :]
    lowered = bytearray(squeeze(whole, between))
    assert lowered[HOP_LIMIT] == 64 - between
    lowered[HOP_LIMIT] = 64
    assert lowered == squeeze(whole)


def test_sizes_are_those_of_the_specification():
    udp_over_ip6 = 1500 - 48
    routed = udp_over_ip6 - DATA_FIXED - header_size(6)
    assert DATA_FIXED - SAVED == -3
    assert udp_over_ip6 - DATA_FIXED + SAVED == 1455
    assert routed - DATA_FIXED + SAVED == 1418
    assert 2 * DATA_FIXED + header_size(6) - SAVED == 34


def test_addresses_of_nodes():
    assert is_fc(ALICE)
    assert is_fc(memoryview(ALICE))
    assert not any(map(is_fc, (b"\xfd" + bytes(15), bytes(16), ALICE[:15], b"")))


@given(st.binary(max_size=2000) | st.lists(U16, max_size=8).map(lambda words: word_bytes(words)))
def test_checksum_is_the_sum_of_words(data):
    total = 0
    padded = data + b"\0" * (len(data) % 2)
    for at in range(0, len(padded), 2):
        total += padded[at] << 8 | padded[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    assert checksum(data) == total ^ 0xFFFF


def word_bytes(words):
    return b"".join(word.to_bytes(2, "big") for word in words)


def test_checksum_of_sums_that_are_zero():
    assert checksum(b"") == checksum(bytes(9)) == 0xFFFF
    assert (
        checksum(b"\xff\xff") == checksum(b"\xff\xff" * 100) == checksum(b"\x12\x34\xed\xcb") == 0
    )


def test_a_right_checksum_sums_to_zero():
    body = ECHO[HEADER:]
    assert checksum(pseudo_header(ALICE, BOB, len(body), 58) + body) == 0
