"""Requests of the DHT and their answers, as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.routing.locator import MAX_SIZE
from rovy.wire import dht
from rovy.wire.dht import (
    MAX_CONTACTS,
    MAX_LABEL,
    MAX_VALUE,
    NODES,
    PREFIX,
    REFUSED,
    STORED,
    VALUES,
    WHOLE,
    Find,
    Found,
    Named,
    Ping,
    Store,
    parse_found,
    parse_request,
    parse_stored,
)
from tests.unit.wire.strategies import U8, U16, U48, exactly, mutations

KEY = bytes(range(32))
TARGET = bytes(range(20))
LABEL = bytes((0xF0, 5, 9))
LABELS = st.binary(max_size=MAX_LABEL - 2).map(
    lambda tail: bytes((0xF1, 0x23)) + tail.translate(bytes(i % 239 + 1 for i in range(256)))
)
WAYS = st.one_of(st.tuples(st.just(b""), st.just(0)), st.tuples(LABELS, U8))
BRIEF = st.builds(lambda key, label, cost: Named(key, b"", label, cost), exactly(32), LABELS, U8)
WHOLES = st.builds(
    lambda raw, way: Named(b"", raw, *way), st.binary(min_size=1, max_size=700), WAYS
)
REQUESTS = st.one_of(
    st.builds(Ping, U48),
    st.builds(
        Find, exactly(20), st.sampled_from((WHOLE, PREFIX)), st.sampled_from((NODES, VALUES)), U16
    ),
    st.builds(Store, U8, st.binary(min_size=1, max_size=300)),
)
FOUND = st.builds(
    Found,
    st.lists(st.tuples(U8, st.binary(min_size=1, max_size=300)), max_size=4).map(tuple),
    st.lists(BRIEF | WHOLES, max_size=10).map(tuple),
)


def test_numbers_are_those_of_the_specification():
    assert (dht.PING, dht.FIND, dht.STORE) == (0, 1, 2)
    assert (NODES, VALUES) == (0, 1)
    assert (STORED, dht.FAR, dht.OLD, dht.QUOTA, REFUSED) == (0, 1, 2, 3, 4)
    assert MAX_VALUE == MAX_SIZE


def test_layouts_of_requests():
    assert Ping(0x010203040506).emit() == bytes.fromhex("00 010203040506")
    assert Find(TARGET, PREFIX, VALUES, 0x0708).emit() == b"\x01" + TARGET + b"\x78\x01\x07\x08"
    assert Store(2, b"abc").emit() == b"\x02\x02abc"


def test_layout_of_an_answer():
    brief = Named(KEY, b"", LABEL, 90)
    whole = Named(b"", b"locator", b"")
    both = Named(b"", b"locator", LABEL, 91)
    raw = Found(((1, b"value"),), (brief, whole, both)).emit()
    assert raw == (
        b"\x01"
        + b"\x01\x00\x05value"
        + (b"\x02" + KEY + b"\x03" + LABEL + b"\x5a")
        + b"\x01\x00\x07locator"
        + (b"\x03\x00\x07locator" + b"\x03" + LABEL + b"\x5b")
    )
    assert parse_found(raw) == Found(((1, b"value"),), (brief, whole, both))


def test_the_shortest_answer_is_one_byte():
    assert Found((), ()).emit() == b"\0"
    assert parse_found(b"\0") == Found((), ())


@given(REQUESTS)
def test_requests_come_back(request):
    assert parse_request(request.emit()) == request


@given(FOUND)
def test_answers_come_back(found):
    assert parse_found(found.emit()) == found


@given(st.data())
def test_no_request_does_harm(data):
    raw = data.draw(REQUESTS.flatmap(lambda request: mutations(request.emit())))
    try:
        assert parse_request(raw).emit() == raw
    except Malformed:
        pass


@given(st.data())
def test_no_answer_does_harm(data):
    raw = data.draw(FOUND.flatmap(lambda found: mutations(found.emit())))
    try:
        found = parse_found(raw)
    except Malformed:
        return
    assert found.emit() == raw
    assert len(found.contacts) <= MAX_CONTACTS


@given(st.binary(max_size=200))
def test_noise_does_no_harm(raw):
    for parse in (parse_request, parse_found, parse_stored):
        try:
            parse(raw)
        except Malformed:
            pass


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x03",
        Ping(7).emit()[:-1],
        Ping(7).emit() + b"\0",
        Find(TARGET, WHOLE, NODES, 700).emit()[:-1],
        Find(TARGET, WHOLE, NODES, 700).emit() + b"\0",
        Find(TARGET, 121, NODES, 700).emit(),
        Find(TARGET, WHOLE, 2, 700).emit(),
        b"\x02\x01",
        b"\x02\x01" + bytes(MAX_VALUE + 1),
    ],
    ids=["empty", "type", "ping-", "ping+", "find-", "find+", "bits", "want", "store-", "store+"],
)
def test_malformed_requests(raw):
    with pytest.raises(Malformed):
        parse_request(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x05",
        b"\x01",
        b"\x01\x01\x00\x00",
        b"\x01\x01\x07\xd1" + bytes(2001),
        b"\x00\x00" + KEY,
        b"\x00\x04" + KEY,
        b"\x00\x02" + KEY,
        b"\x00\x02" + KEY + b"\x00\x00",
        b"\x00\x02" + KEY + b"\x03" + LABEL,
        b"\x00\x02" + KEY + b"\x01\x05\x00",
        b"\x00\x02" + KEY + b"\x02\xf0\x00\x00",
        b"\x00\x02" + KEY + b"\x21\xf0\x05" + b"\x01" * 31 + b"\x00",
        b"\x00\x01\x00\x00",
        b"\x00\x01\x07\xd1" + bytes(2001),
        b"\x00\x01\x00\x09locator",
        b"\x00\x01\x00",
    ],
    ids=[
        *("empty", "five values", "no value", "value of 0", "value too long", "flags 0", "flags 4"),
        *("no label", "empty label", "no cost", "narrow label", "slot 0", "label too long"),
        *("locator of 0", "locator too long", "locator cut", "length cut"),
    ],
)
def test_malformed_answers(raw):
    with pytest.raises(Malformed):
        parse_found(raw)


def test_more_contacts_than_fit_are_malformed():
    brief = Named(KEY, b"", LABEL, 90)
    assert len(parse_found(Found((), (brief,) * MAX_CONTACTS).emit()).contacts) == MAX_CONTACTS
    with pytest.raises(Malformed, match="too many"):
        parse_found(Found((), (brief,) * (MAX_CONTACTS + 1)).emit())


def test_statuses():
    assert [parse_stored(bytes((status,))) for status in range(5)] == [0, 1, 2, 3, 4]
    assert parse_stored(b"\xff") == REFUSED
    with pytest.raises(Malformed):
        parse_stored(b"")
    with pytest.raises(Malformed):
        parse_stored(b"\0\0")
