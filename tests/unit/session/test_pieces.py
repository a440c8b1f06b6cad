"""Reassembly of pieces, and its bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.session.pieces import LIFE, MEMORY, Reassembler
from rovy.wire.piece import MAX_WHOLE, Piece, cut

WHOLE = bytes(range(256)) * 10


@given(st.binary(min_size=1, max_size=4000), st.randoms(use_true_random=False), st.data())
def test_pieces_join_in_any_order_and_twice(whole, random, data):
    pieces = cut(7, whole, data.draw(st.integers(30, 1200)))
    last = pieces.pop(random.randrange(len(pieces)))
    doubled = pieces * 2
    random.shuffle(doubled)
    held = Reassembler()
    assert [held.add(piece, 1.0) for piece in doubled] == [None] * len(doubled)
    assert held.add(last, 1.5) == whole
    assert held.held == held.dropped == 0


def test_payloads_with_different_ids_do_not_mix():
    held = Reassembler()
    first, second = cut(1, WHOLE, 1300), cut(2, WHOLE[::-1], 1300)
    assert held.add(first[0], 0.0) is held.add(second[1], 0.0) is None
    assert held.add(first[1], 0.0) == WHOLE
    assert held.add(second[0], 0.0) == WHOLE[::-1]


def test_a_payload_waits_two_seconds():
    for wait, done in ((LIFE - 0.01, True), (LIFE, False), (100.0, False)):
        held = Reassembler()
        first, second = cut(1, WHOLE, 1300)
        held.add(first, 10.0)
        assert (held.add(second, 10.0 + wait) == WHOLE) is done
        assert held.dropped == (not done)


def test_a_late_piece_does_not_prolong_the_wait():
    held = Reassembler()
    first, second, third = cut(1, WHOLE[:2000], 1000)
    held.add(first, 0.0)
    held.add(second, 1.9)
    assert held.add(third, 2.0) is None
    assert held.held == len(third.body)


def test_contradicting_counts_drop_the_payload():
    held = Reassembler()
    held.add(Piece(1, 0, 3, b"a"), 0.0)
    assert held.add(Piece(1, 1, 2, b"b"), 0.0) is None
    assert (held.held, held.dropped) == (0, 1)
    assert held.add(Piece(1, 1, 3, b"b"), 0.0) is None
    assert held.add(Piece(1, 2, 3, b"c"), 0.0) is None
    assert held.add(Piece(1, 0, 3, b"a"), 0.0) == b"abc"


def test_the_first_copy_of_a_piece_counts():
    held = Reassembler()
    held.add(Piece(1, 0, 2, b"true"), 0.0)
    held.add(Piece(1, 0, 2, b"other"), 0.0)
    assert held.add(Piece(1, 1, 2, b"!"), 0.0) == b"true!"


@pytest.mark.parametrize("size", [MAX_WHOLE, MAX_WHOLE + 1])
def test_a_payload_has_at_most_16_kilobytes(size):
    held = Reassembler()
    parts = [bytes(4096)] * 4 + [bytes(size - MAX_WHOLE)] * (size > MAX_WHOLE)
    results = [held.add(Piece(1, index, len(parts), part), 0.0) for index, part in enumerate(parts)]
    assert results[-1] == (bytes(MAX_WHOLE) if size == MAX_WHOLE else None)
    assert held.held == 0


def test_the_oldest_payload_gives_way_beyond_64_kilobytes():
    held = Reassembler()
    for number in range(9):
        held.add(Piece(number, 0, 2, bytes(8192)), 0.0)
        assert held.held <= MEMORY
    assert held.dropped == 1
    assert held.add(Piece(1, 1, 2, b"x"), 0.0) == bytes(8192) + b"x"
    assert held.add(Piece(0, 1, 2, b"x"), 0.0) is None


@given(
    st.lists(
        st.builds(
            lambda number, index, count, size: Piece(number, index % count, count, bytes(size)),
            st.integers(0, 20),
            st.integers(0, 254),
            st.integers(1, 255),
            st.integers(1, 9000),
        ),
        max_size=60,
    )
)
def test_whatever_comes_the_bounds_hold(pieces):
    held = Reassembler()
    for at, piece in enumerate(pieces):
        whole = held.add(piece, at * 0.1)
        assert whole is None or len(whole) <= MAX_WHOLE
        assert held.held <= MEMORY
    held.add(Piece(99, 0, 2, b"x"), 1000.0)
    assert held.held == 1
