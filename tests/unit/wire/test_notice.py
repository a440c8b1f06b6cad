"""Notices and traces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.wire.forward import QUOTE
from rovy.wire.notice import (
    MAX_TRACE_LABEL,
    NONCE,
    REFUSALS,
    TRACE_SIZE,
    Code,
    Notice,
    TraceAnswer,
    trace_nonce,
)
from tests.unit.wire.strategies import U16, exactly, mutations

NOTICES = st.one_of(
    st.builds(Notice, st.sampled_from(sorted(REFUSALS)), U16, exactly(QUOTE)),
    st.builds(
        Notice,
        st.sampled_from((Code.TRACE_REQUEST, Code.TRACE_ANSWER)),
        st.just(0),
        st.binary(max_size=200),
    ),
)
ANSWERS = st.builds(
    TraceAnswer,
    exactly(NONCE),
    exactly(32),
    exactly(64),
    st.binary(max_size=MAX_TRACE_LABEL),
)


@given(NOTICES)
def test_notice_round_trip(notice):
    assert Notice.parse(notice.emit()) == notice


@given(ANSWERS)
def test_trace_answer_round_trip(answer):
    body = answer.emit()
    assert TraceAnswer.parse(body) == answer
    assert len(body) <= TRACE_SIZE


@given(st.data())
def test_hostile_notices_are_malformed(data):
    raw = data.draw(mutations(data.draw(NOTICES).emit()) | st.binary(max_size=60))
    try:
        notice = Notice.parse(raw)
    except Malformed:
        return
    assert notice.emit() == raw


@given(st.data())
def test_hostile_traces_are_malformed(data):
    raw = data.draw(mutations(data.draw(ANSWERS).emit()) | st.binary(max_size=200))
    try:
        assert TraceAnswer.parse(raw).emit() == raw
    except Malformed:
        pass
    try:
        assert trace_nonce(raw) == raw[:NONCE]
    except Malformed:
        assert len(raw) < TRACE_SIZE


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_refusals_quote_24_bytes(code):
    for length in range(QUOTE + 10):
        raw = bytes((5, code, 0, 0)) + bytes(length)
        if length == QUOTE:
            assert Notice.parse(raw) == Notice(code, 0, bytes(QUOTE))
        else:
            with pytest.raises(Malformed):
                Notice.parse(raw)


def test_truncation_at_every_length():
    answer = TraceAnswer(bytes(NONCE), bytes(32), bytes(64), b"\x01\x02").emit()
    for length in range(len(answer)):
        with pytest.raises(Malformed):
            TraceAnswer.parse(answer[:length])
    for length in range(4):
        with pytest.raises(Malformed):
            Notice.parse(bytes((5, Code.TRACE_ANSWER, 0, 0))[:length])
    for length in range(TRACE_SIZE):
        with pytest.raises(Malformed):
            trace_nonce(bytes(length))


@pytest.mark.parametrize("code", [0, *range(8, 256)])
def test_unknown_codes_are_refused(code):
    with pytest.raises(Malformed):
        Notice.parse(bytes((5, code, 0, 0)) + bytes(QUOTE))


def test_numbers_are_those_of_the_specification():
    assert list(Code) == list(range(1, 8))
    assert {code.name for code in REFUSALS} == {
        "UNKNOWN_SLOT",
        "LINK_DOWN",
        "TOO_BIG",
        "TOO_NARROW",
        "U_TURN",
    }
    assert TRACE_SIZE == 177
