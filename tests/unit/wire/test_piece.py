"""Cutting into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.wire.piece import HEADER, MAX_WHOLE, Piece, cut
from tests.unit.wire.strategies import U32, mutations

PIECES = st.integers(1, 255).flatmap(
    lambda count: st.builds(
        Piece, U32, st.integers(0, count - 1), st.just(count), st.binary(min_size=1, max_size=60)
    )
)


@given(PIECES)
def test_round_trip(piece):
    assert Piece.parse(piece.emit()) == piece


@given(st.data())
def test_hostile_bytes_are_malformed(data):
    raw = data.draw(mutations(data.draw(PIECES).emit()) | st.binary(max_size=40))
    try:
        piece = Piece.parse(raw)
    except Malformed:
        return
    assert piece.emit() == raw
    assert piece.index < piece.count


def test_truncation_at_every_length():
    whole = Piece(1, 0, 1, b"x").emit()
    assert len(whole) == HEADER + 1 == 7
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            Piece.parse(whole[:length])


@pytest.mark.parametrize(("index", "count"), [(0, 0), (1, 1), (5, 3), (255, 255)])
def test_index_past_the_count(index, count):
    with pytest.raises(Malformed):
        Piece.parse(bytes((0, 0, 0, 1, index, count)) + b"x")


@given(U32, st.binary(min_size=1, max_size=3000), st.integers(0, 200))
def test_cut_parts_fit_and_join(number, whole, room):
    try:
        pieces = cut(number, whole, room)
    except ValueError:
        assert room <= HEADER or len(whole) > 255 * (room - HEADER)
        return
    assert b"".join(piece.body for piece in pieces) == whole
    assert [piece.index for piece in pieces] == list(range(len(pieces)))
    for piece in pieces:
        raw = piece.emit()
        assert len(raw) <= room
        assert Piece.parse(raw) == piece
        assert (piece.id, piece.count) == (number, len(pieces))


def test_longest():
    assert len(cut(1, bytes(MAX_WHOLE), 1200)) == -(-MAX_WHOLE // 1194)
    with pytest.raises(ValueError, match="16385 bytes"):
        cut(1, bytes(MAX_WHOLE + 1), 1200)
    assert len(cut(1, bytes(2550), 16)) == 255
    with pytest.raises(ValueError, match="2551 bytes"):
        cut(1, bytes(2551), 16)
