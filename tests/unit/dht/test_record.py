"""Signed records: bytes, places, signatures."""

from hashlib import blake2s

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.dht.const import EXPERIMENTAL, LOCATOR, MAX_BODY, MAX_NAME, NAME, RECORD_TTL, SERVICE
from rovy.dht.record import SignedRecord, is_record_type, place_of
from rovy.errors import Malformed, UsageError
from rovy.noise.xeddsa import sign
from tests.unit.dht.network import keys
from tests.unit.wire.strategies import mutations

PRIVATE, OTHER = keys(2)
NONCE = bytes(range(64))


def record(kind=NAME, sequence=0x010203040506, ttl=3600, name="näme", body=b"body"):
    return SignedRecord.sign(PRIVATE, kind, sequence, ttl, name, body, NONCE)


def forged(body, kind=NAME):
    """Signed properly, whatever it says."""
    return body + sign(PRIVATE, b"rovy-rec1", bytes((kind,)) + body, NONCE)


def test_layout():
    raw = record().raw
    assert raw[:-64] == (
        PRIVATE.peer_id.key
        + bytes.fromhex("010203040506 00000e10 05")
        + "näme".encode()
        + b"\x00\x04body"
    )


def test_place():
    said = b"rovy-dht1" + b"\x02" + PRIVATE.peer_id.key + "näme".encode()
    assert record().place == blake2s(said, digest_size=20).digest()
    assert record().place == place_of(NAME, PRIVATE.peer_id.key, "näme")


def test_places_of_different_things_differ():
    key = PRIVATE.peer_id.key
    places = {
        place_of(NAME, key, "a"),
        place_of(SERVICE, key, "a"),
        place_of(NAME, key, "b"),
        place_of(NAME, OTHER.peer_id.key, "a"),
    }
    assert len(places) == 4


@given(
    st.sampled_from((NAME, SERVICE, 128, 255)),
    st.integers(0, 2**48 - 1),
    st.integers(1, RECORD_TTL),
    st.text(max_size=15),
    st.binary(max_size=100),
)
def test_comes_back(kind, sequence, ttl, name, body):
    made = SignedRecord.sign(PRIVATE, kind, sequence, ttl, name, body, NONCE)
    assert SignedRecord.parse(kind, made.raw).verify() == made


@given(mutations(record().raw))
def test_no_bytes_do_harm(raw):
    try:
        found = SignedRecord.parse(NAME, raw)
    except Malformed:
        return
    assert found.raw == raw
    if raw != record().raw:
        with pytest.raises(Malformed):
            found.verify()


def test_the_type_is_signed():
    with pytest.raises(Malformed, match="signature"):
        SignedRecord.parse(SERVICE, record().raw).verify()


@pytest.mark.parametrize("kind", [0, LOCATOR, 4, 127, 256])
def test_other_types_are_no_records(kind):
    assert not is_record_type(kind)
    with pytest.raises(Malformed, match="type"):
        SignedRecord.parse(kind, record().raw)
    with pytest.raises(UsageError):
        record(kind)


def test_experimental_types_are_records():
    assert is_record_type(EXPERIMENTAL)
    assert is_record_type(255)


def test_longest():
    made = record(name="n" * MAX_NAME, body=bytes(MAX_BODY))
    assert SignedRecord.parse(NAME, made.raw).verify() == made
    assert len(made.raw) == 32 + 6 + 4 + 1 + 63 + 2 + 1024 + 64


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "n" * (MAX_NAME + 1)},
        {"name": "ä" * 32},
        {"body": bytes(MAX_BODY + 1)},
        {"ttl": 0},
        {"ttl": RECORD_TTL + 1},
        {"sequence": 2**48},
    ],
)
def test_what_has_no_room_is_our_fault(fields):
    with pytest.raises(UsageError):
        record(**fields)


@pytest.mark.parametrize(
    "body",
    [
        PRIVATE.peer_id.key + bytes(6) + bytes(4) + b"\0" + b"\0\0",
        PRIVATE.peer_id.key + bytes(6) + b"\0\x01\x51\x81" + b"\0" + b"\0\0",
        PRIVATE.peer_id.key + bytes(6) + b"\0\0\0\x01" + b"\x02\xc3\x28" + b"\0\0",
        PRIVATE.peer_id.key + bytes(6) + b"\0\0\0\x01" + b"\x40" + b"n" * 64 + b"\0\0",
        PRIVATE.peer_id.key + bytes(6) + b"\0\0\0\x01" + b"\0" + b"\0\x01",
        PRIVATE.peer_id.key + bytes(6) + b"\0\0\0\x01" + b"\0" + b"\0\0" + b"x",
        PRIVATE.peer_id.key + bytes(6) + b"\0\0\0\x01" + b"\x3f" + b"\0\0",
        bytes(32) + bytes(6) + b"\0\0\0\x01" + b"\0" + b"\0\0",
    ],
    ids=["ttl 0", "ttl", "utf-8", "name", "short", "long", "name beyond the end", "key"],
)
def test_malformed(body):
    with pytest.raises(Malformed):
        SignedRecord.parse(NAME, forged(body))
