"""The messages that keep maps alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.routing.map import NEAREST
from rovy.routing.record import MAX_SIZE
from rovy.routing.record import SHORT as RECORD_SHORT
from rovy.wire import control, flood
from rovy.wire.flood import (
    INFINITE,
    MAX_LISTED,
    MAX_RECORDS,
    SHORT,
    Listing,
    Records,
    Summary,
    Wanted,
    parse_listing,
    parse_records,
    parse_summary,
    parse_wanted,
)
from rovy.wire.piece import MAX_WHOLE
from tests.unit.wire.strategies import mutations

ONE, TWO = bytes(range(8)), bytes(range(8, 16))
DIGEST = bytes(range(0x20, 0x30))


def test_numbers_are_those_of_the_specification():
    kinds = flood.RECORDS, flood.SUMMARY, flood.LISTING, flood.WANTED
    assert kinds == (8, 9, 10, 11)
    assert (SHORT, flood.DIGEST, INFINITE) == (RECORD_SHORT, 16, 0xFFFFFFFF)
    assert (MAX_LISTED, MAX_RECORDS) == (512, 8192)


def test_layouts():
    records = Records((b"abc", b"d" * 300))
    assert records.emit() == b"\x08\x00\x03abc\x01\x2c" + b"d" * 300
    summary = Summary(0x01020304, 0x0506, DIGEST)
    assert summary.emit() == bytes.fromhex("09 01020304 0506") + DIGEST
    listing = Listing(((ONE, 0x010203040506), (TWO, 0)))
    assert listing.emit() == b"\x0a" + ONE + bytes.fromhex("010203040506") + TWO + bytes(6)
    assert Wanted((ONE, TWO)).emit() == b"\x0b" + ONE + TWO


def test_the_longest_messages_fit_into_pieces():
    """A map holds twice as many as are wanted."""
    assert 2 * NEAREST <= MAX_LISTED
    longest = max(1 + 14 * MAX_LISTED, 1 + 8 * MAX_LISTED, 1 + MAX_RECORDS, 1 + 2 + MAX_SIZE)
    assert longest < MAX_WHOLE


@pytest.mark.parametrize("message", [Records(()), Listing(()), Wanted(())])
def test_lists_may_be_empty(message):
    assert len(message.emit()) == 1
    assert control.parse(message.emit()) == message


def test_lists_have_an_end():
    for kind, entry, parse in ((10, ONE + bytes(6), parse_listing), (11, ONE, parse_wanted)):
        whole = bytes((kind,)) + entry * MAX_LISTED
        assert parse(whole).emit() == whole
        with pytest.raises(Malformed, match="length"):
            parse(whole + entry)


@pytest.mark.parametrize("extra", [*range(1, 14)])
def test_half_an_entry_is_malformed(extra):
    with pytest.raises(Malformed, match="length"):
        parse_listing(b"\x0a" + bytes(14 + extra))
    if extra % 8:
        with pytest.raises(Malformed, match="length"):
            parse_wanted(b"\x0b" + bytes(8 + extra))


@pytest.mark.parametrize(
    "body",
    [
        b"\0",
        b"\0\0",
        b"\0\3ab",
        b"\0\1a\0",
        b"\0\1a\0\2b",
        b"\xff\xff" + bytes(65534),
        b"\0\0\0\1a",
    ],
    ids=["half a length", "empty", "short", "half at the end", "short end", "long", "empty first"],
)
def test_records_cut_anywhere_are_malformed(body):
    with pytest.raises(Malformed):
        parse_records(b"\x08" + body)


def test_a_summary_may_have_more_behind_it():
    whole = Summary(5, 6, DIGEST).emit()
    assert len(whole) == 23
    assert parse_summary(whole + b"later") == Summary(5, 6, DIGEST)
    for length in range(1, 23):
        with pytest.raises(Malformed, match="short"):
            parse_summary(whole[:length])


@given(st.integers(8, 11), st.data())
def test_hostile_bytes_are_malformed_or_come_back(kind, data):
    base = bytes((kind,)) + data.draw(st.binary(max_size=120))
    raw = data.draw(mutations(base))
    try:
        message = control.parse(raw)
    except Malformed:
        return
    if isinstance(message, Records | Listing | Wanted):
        assert message.emit() == raw
    elif isinstance(message, Summary):
        assert message.emit() == raw[:23]
