"""Handshake payloads and their options."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.wire.payload import (
    ANSWER,
    CODECS,
    MAX_CODECS,
    MAX_NAME,
    PADDING,
    RECEIVE_MTU,
    REQUEST,
    TIMESTAMP,
    VERSION,
    Early,
    Payload,
    emit_table,
    is_name,
    parse_table,
)
from tests.unit.wire.strategies import (
    HELLO_PAYLOADS,
    RESPONSE_PAYLOADS,
    TABLES,
    mutations,
)

STAMP = bytes(range(TIMESTAMP))
SMALL = Payload(("forward",), 1280, timestamp=STAMP)


def option(kind, value, size=None):
    return bytes((kind,)) + (len(value) if size is None else size).to_bytes(2, "big") + value


MTU = option(RECEIVE_MTU, b"\x05\x00")
TABLE = option(CODECS, b"\x07forward")


def response(*options, version=VERSION):
    return Payload.parse(bytes((version,)) + b"".join(options), hello=False)


@given(HELLO_PAYLOADS, st.integers(0, 1200))
def test_hello_round_trip(payload, size):
    assert Payload.parse(payload.emit(size), hello=True) == payload


@given(RESPONSE_PAYLOADS, st.integers(0, 1200))
def test_response_round_trip(payload, size):
    assert Payload.parse(payload.emit(size), hello=False) == payload


@given(HELLO_PAYLOADS, st.integers(0, 1200))
def test_padding_never_exceeds_the_size_asked_for(payload, size):
    plain, padded = payload.emit(), payload.emit(size)
    if len(plain) > size:
        assert padded == plain
    else:
        assert size - 2 <= len(padded) <= size
        assert set(padded[len(plain) + 3 :]) <= {0}


@given(st.data(), st.booleans())
def test_hostile_bytes_are_malformed(data, hello):
    whole = data.draw(HELLO_PAYLOADS if hello else RESPONSE_PAYLOADS).emit(60)
    raw = data.draw(mutations(whole) | st.binary(max_size=80))
    try:
        payload = Payload.parse(raw, hello=hello)
    except Malformed:
        return
    if payload.version == VERSION:
        assert Payload.parse(payload.emit(), hello=hello) == payload


@pytest.mark.parametrize("size", [0, 100])
def test_truncation_at_every_length(size):
    payload = Payload(("forward", "piece"), 1500, timestamp=STAMP, request=Early("dht", b"find"))
    whole = payload.emit(size)
    complete = {len(whole), len(payload.emit())}
    for length in range(len(whole)):
        try:
            parsed = Payload.parse(whole[:length], hello=True)
        except Malformed:
            continue
        # What remains may be whole options: then it reads, with the later ones missing.
        assert parsed in (payload, Payload(payload.codecs, payload.mtu, timestamp=STAMP))
    assert Payload.parse(whole, hello=True) == payload
    assert len(complete) == 1 + (size > 0)


def test_of_a_foreign_version_nothing_else_is_read():
    for version in set(range(256)) - {VERSION}:
        foreign = Payload.parse(STAMP + bytes((version,)) + b"\xff\xff", hello=True)
        assert foreign == Payload((), 0, version, STAMP)


def test_unknown_options_are_passed_over():
    for kind in range(PADDING + 1, 256):
        assert response(option(kind, b"later"), TABLE, MTU) == Payload(("forward",), 1280)


@pytest.mark.parametrize(
    "options",
    [
        (),
        (TABLE,),
        (MTU,),
        (TABLE, MTU, MTU),
        (TABLE, MTU, option(200, b""), option(200, b"")),
        (TABLE, MTU, option(PADDING, b""), option(PADDING, b"")),
        (TABLE, MTU, b"\x05"),
        (TABLE, MTU, b"\x05\x00"),
        (TABLE, MTU, option(PADDING, b"", size=1)),
        (TABLE, option(RECEIVE_MTU, b"\x05")),
        (TABLE, option(RECEIVE_MTU, b"\x00\x05\x00")),
        (TABLE, MTU, option(ANSWER, b"")),
        (TABLE, MTU, option(REQUEST, b"")),
        (TABLE, MTU, option(REQUEST, b"\x00body")),
        (TABLE, MTU, option(REQUEST, b"\x05dht")),
        (TABLE, MTU, option(REQUEST, b"\x03d t")),
    ],
)
def test_refused_options(options):
    with pytest.raises(Malformed):
        response(*options)


@given(TABLES)
def test_table_round_trip(names):
    assert parse_table(emit_table(names)) == names


@given(st.binary(max_size=100))
def test_hostile_tables_are_malformed(raw):
    try:
        names = parse_table(raw)
    except Malformed:
        return
    assert emit_table(names) == raw


def test_table_bounds():
    names = tuple(f"codec-{number}" for number in range(MAX_CODECS))
    assert parse_table(emit_table(names)) == names
    for wrong in (
        emit_table((*names, "one-more")),
        emit_table(("ip6", "ip6")),
        b"\x00",
        b"\x21" + b"x" * (MAX_NAME + 1),
        b"\x04ip6",
        b"\x03ip\xff",
        b"\x03ip\x00",
    ):
        with pytest.raises(Malformed):
            parse_table(wrong)
    assert parse_table(b"\x20" + b"x" * MAX_NAME) == ("x" * MAX_NAME,)


def test_names_are_visible_ascii():
    for byte in range(256):
        assert is_name(bytes((byte,))) == (0x21 <= byte <= 0x7E)
    assert not is_name(b"")
