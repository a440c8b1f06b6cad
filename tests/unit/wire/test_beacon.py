"""The messages about anchors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.routing import beacon as routing
from rovy.routing.record import SHORT as RECORD_SHORT
from rovy.wire import beacon
from rovy.wire.beacon import (
    DIGEST,
    MAX_BEACON,
    MAX_OFFERED,
    READERS,
    SHORT,
    Asked,
    BeaconMessage,
    Gone,
    Offered,
    Withdrawn,
)
from rovy.wire.piece import MAX_WHOLE
from tests.unit.wire.strategies import U48, exactly, mutations

ONE, TWO = bytes(range(8)), bytes(range(8, 16))
KEY, OTHER, SIGNATURE = b"k" * 32, b"o" * 32, b"s" * 64
MESSAGES = st.one_of(
    st.builds(BeaconMessage, st.binary(min_size=1, max_size=300)),
    st.builds(Withdrawn, exactly(SHORT)),
    st.builds(Gone, exactly(32), exactly(32), U48, exactly(64)),
    st.builds(
        Offered, st.lists(st.tuples(exactly(SHORT), exactly(DIGEST)), max_size=20).map(tuple)
    ),
    st.builds(Asked, st.lists(exactly(SHORT), max_size=20).map(tuple)),
)


def parse(raw):
    """As whoever receives it reads it."""
    return READERS[raw[0]](raw)


def test_numbers_are_those_of_the_specification():
    kinds = beacon.BEACON, beacon.WITHDRAWN, beacon.GONE, beacon.OFFERED, beacon.ASKED
    assert kinds == (12, 13, 14, 15, 16) == tuple(READERS)
    assert (SHORT, DIGEST, MAX_OFFERED) == (RECORD_SHORT, 8, 64)
    assert routing.LEAST_SIZE + (routing.MAX_HOPS - 1) * 103 == MAX_BEACON


def test_layouts():
    assert BeaconMessage(b"abc").emit() == b"\x0cabc"
    assert Withdrawn(ONE).emit() == b"\x0d" + ONE
    gone = Gone(KEY, OTHER, 0x010203040506, SIGNATURE)
    assert gone.emit() == b"\x0e" + KEY + OTHER + bytes.fromhex("010203040506") + SIGNATURE
    assert Offered(((ONE, TWO), (TWO, ONE))).emit() == b"\x0f" + ONE + TWO + TWO + ONE
    assert Asked((ONE, TWO)).emit() == b"\x10" + ONE + TWO


@given(MESSAGES)
def test_what_is_emitted_parses(message):
    assert parse(message.emit()) == message


@given(MESSAGES, st.data())
def test_hostile_bytes_are_malformed_or_come_back(message, data):
    kind = message.emit()[0]
    raw = bytes((kind,)) + data.draw(mutations(message.emit()))[1:]
    try:
        read = parse(raw)
    except Malformed:
        return
    assert raw.startswith(read.emit())
    if not isinstance(read, Withdrawn | Gone):
        assert read.emit() == raw


def test_lists_may_be_empty_and_have_an_end():
    assert parse(b"\x0f") == Offered(())
    assert parse(b"\x10") == Asked(())
    for kind, entry in ((15, ONE + TWO), (16, ONE)):
        whole = bytes((kind,)) + entry * MAX_OFFERED
        assert parse(whole).emit() == whole
        for wrong in (whole + entry, whole + b"\0", whole[:-1]):
            with pytest.raises(Malformed, match="length"):
                parse(wrong)


@pytest.mark.parametrize(("kind", "size"), [(13, 9), (14, 135)])
def test_messages_of_one_size_may_have_more_behind_them(kind, size):
    whole = bytes((kind,)) + bytes(range(size - 1))
    assert parse(whole + b"later").emit() == whole
    for length in range(1, size):
        with pytest.raises(Malformed, match="short"):
            parse(whole[:length])


def test_beacons_have_an_end():
    assert len(parse(b"\x0c" + bytes(MAX_BEACON)).beacon) == MAX_BEACON < MAX_WHOLE
    for length in (0, MAX_BEACON + 1):
        with pytest.raises(Malformed, match="length"):
            parse(b"\x0c" + bytes(length))
