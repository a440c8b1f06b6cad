"""The fixed parts of datagrams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.wire.datagram import (
    COOKIE_SIZE,
    COUNTER_MASK,
    DATA,
    DATA_FIXED,
    DATA_HEADER,
    HELLO_FIXED,
    MAC,
    MAX_HANDSHAKE,
    NONCE,
    RESPONSE_FIXED,
    SEALED_COOKIE,
    CookieReply,
    Hello,
    Response,
    Type,
    data_header,
    nonce,
)
from tests.unit.wire.strategies import U32, exactly, mutations

HELLO_NOISE = HELLO_FIXED - 8 - 2 * MAC
RESPONSE_NOISE = RESPONSE_FIXED - 12 - 2 * MAC
HELLOS = st.builds(
    Hello, U32, st.binary(min_size=HELLO_NOISE, max_size=300), exactly(MAC), exactly(MAC)
)
RESPONSES = st.builds(
    Response, U32, U32, st.binary(min_size=RESPONSE_NOISE, max_size=300), exactly(MAC), exactly(MAC)
)
COOKIES = st.builds(CookieReply, U32, exactly(NONCE), exactly(SEALED_COOKIE))
FORMATS = [(Hello, HELLOS), (Response, RESPONSES), (CookieReply, COOKIES)]
BY_NAME = pytest.mark.parametrize(
    ("kind", "values"), FORMATS, ids=lambda value: getattr(value, "__name__", "")
)


@BY_NAME
@given(data=st.data())
def test_what_is_emitted_parses_to_the_same(kind, values, data):
    value = data.draw(values)
    assert kind.parse(value.emit()) == value


@BY_NAME
@given(data=st.data())
def test_what_parses_emits_the_same_bytes(kind, values, data):
    raw = data.draw(mutations(data.draw(values).emit()))
    try:
        value = kind.parse(raw)
    except Malformed:
        return
    assert value.emit() == raw


@BY_NAME
@given(raw=st.binary(max_size=200), first=st.integers(0, 5))
def test_hostile_bytes_are_malformed(kind, values, raw, first):
    for candidate in (raw, bytes((first, 0, 0, 0)) + raw):
        try:
            value = kind.parse(candidate)
        except Malformed:
            continue
        assert value.emit() == candidate


@pytest.mark.parametrize(
    ("kind", "first", "shortest", "longest"),
    [
        (Hello, 1, HELLO_FIXED, MAX_HANDSHAKE),
        (Response, 2, RESPONSE_FIXED, MAX_HANDSHAKE),
        (CookieReply, 3, COOKIE_SIZE, COOKIE_SIZE),
    ],
)
def test_every_length(kind, first, shortest, longest):
    for length in range(MAX_HANDSHAKE + 30):
        raw = (bytes((first,)) + bytes(length))[:length]
        if shortest <= length <= longest:
            assert len(kind.parse(raw).emit()) == length
        else:
            with pytest.raises(Malformed):
                kind.parse(raw)


@pytest.mark.parametrize(
    "value",
    [
        Hello(7, bytes(HELLO_NOISE), bytes(MAC), bytes(MAC)),
        Response(7, 8, bytes(RESPONSE_NOISE), bytes(MAC), bytes(MAC)),
        CookieReply(7, bytes(NONCE), bytes(SEALED_COOKIE)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_type_and_reserved_bytes(value):
    for at in range(4):
        for byte in range(1, 256):
            raw = bytearray(value.emit())
            if raw[at] == byte:
                continue
            raw[at] = byte
            with pytest.raises(Malformed):
                type(value).parse(bytes(raw))


def test_sizes_are_those_of_the_specification():
    assert (HELLO_FIXED, RESPONSE_FIXED, COOKIE_SIZE) == (136, 92, 64)
    assert (DATA_HEADER, DATA_FIXED) == (12, 29)
    assert MAX_HANDSHAKE == 1280 - 40 - 8 - DATA_FIXED - 72


@given(HELLOS, RESPONSES)
def test_mac1_covers_all_before_it(hello, response):
    assert hello.signed() == hello.emit()[: -2 * MAC]
    assert response.signed() == response.emit()[: -2 * MAC]


@given(st.integers(0, COUNTER_MASK), U32)
def test_data_header(counter, receiver):
    header = data_header(counter, receiver)
    assert len(header) == DATA_HEADER
    assert header[0] == Type.DATA
    assert int.from_bytes(header[1:8], "big") == counter
    assert DATA.unpack(header) == (Type.DATA << 56 | counter, receiver)


@given(st.integers(0, COUNTER_MASK))
def test_nonce_is_the_one_of_noise(counter):
    assert nonce(counter) == bytes(4) + counter.to_bytes(8, "little")
