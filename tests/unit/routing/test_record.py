"""Link records: bytes, canonical form, signatures."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rovy.address.keys import PrivateKey
from rovy.address.label import MAX_SLOT
from rovy.errors import Malformed, UsageError
from rovy.noise.xeddsa import sign
from rovy.routing.record import (
    LEAF,
    LEAST_SIZE,
    MAX_LINKS,
    MAX_SEQUENCE,
    MAX_SIZE,
    TRUNC,
    WILLING,
    LinkEntry,
    LinkRecord,
)
from tests.unit.routing.graphs import peer

PRIVATE = PrivateKey.generate(random.Random(1).randbytes)
NONCE = bytes(range(64))
FLAGS, COUNT, LINKS = 38, 39, 40  # offsets
SIGNATURE = 64

SLOTS = st.integers(1, MAX_SLOT)
ENTRIES = st.builds(
    LinkEntry,
    st.binary(min_size=8, max_size=8),
    SLOTS,
    SLOTS,
    st.integers(0, 0xFF),
    st.integers(0, 0xFFFF),
)
SETS = st.lists(ENTRIES, max_size=MAX_LINKS, unique_by=lambda link: link.peer)


def entry(number, **fields):
    """A link to another node."""
    usual = {"slot": number, "peer_slot": 7, "cost": 95, "mtu": 1400}
    return LinkEntry(peer(number).short, **{**usual, **fields})


def record(*links, sequence=1_700_000_000_000, flags=0):
    """A signed record."""
    return LinkRecord.sign(PRIVATE, sequence, flags, links, NONCE)


def forged(raw):
    """The same, signed properly by its node whatever it says."""
    body = bytes(raw[:-SIGNATURE])
    return body + sign(PRIVATE, b"rovy-lsr1", body, NONCE)


def test_layout():
    link = LinkEntry(bytes(range(8)), 0x0102, 0x0304, 5, 0x0607)
    raw = record(link, sequence=0x010203040506, flags=WILLING).raw
    key = PRIVATE.peer_id.key
    assert raw[:-SIGNATURE] == key + bytes.fromhex(
        "010203040506 04 01 0001020304050607 0102 0304 05 0607"
    )
    assert len(raw) == LEAST_SIZE + 15


def test_sizes():
    assert LEAST_SIZE == len(record().raw) == 104
    assert MAX_SIZE == len(record(*map(entry, range(1, 49))).raw) == 824


def test_short_is_the_start_of_the_node_id():
    made = record()
    assert made.short == PRIVATE.peer_id.short == PRIVATE.peer_id.node_id[:8]
    assert made.short == PRIVATE.peer_id.address[1:9]


@settings(max_examples=50)
@given(SETS, st.integers(0, MAX_SEQUENCE), st.integers(0, 0xFF))
def test_what_is_signed_parses_and_verifies(links, sequence, flags):
    made = record(*links, sequence=sequence, flags=flags)
    read = LinkRecord.parse(memoryview(made.raw)).verify()
    assert read == made
    assert (read.key, read.sequence, read.flags) == (PRIVATE.peer_id, sequence, flags)
    assert sorted(links, key=lambda link: link.peer) == list(read.links)


@given(st.binary(max_size=MAX_SIZE + 10))
def test_no_bytes_crash_the_parser(data):
    with pytest.raises(Malformed):
        LinkRecord.parse(data).verify()


@settings(max_examples=50)
@given(SETS, st.data())
def test_changed_bytes_parse_to_the_same_bytes_or_not_at_all(links, data):
    raw = bytearray(record(*links).raw)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = LinkRecord.parse(raw)
    except Malformed:
        return
    assert read.raw == raw
    again = read.key.key + read.sequence.to_bytes(6, "big") + bytes((read.flags, len(read.links)))
    assert again + b"".join(link.emit() for link in read.links) == raw[:-SIGNATURE]
    with pytest.raises(Malformed):
        read.verify()


def test_every_flipped_bit_is_refused():
    raw = record(entry(1), entry(2)).raw
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Malformed):
            LinkRecord.parse(changed).verify()


def test_somebody_elses_signature_is_refused():
    other = PrivateKey.generate(random.Random(2).randbytes)
    body = record(entry(1)).raw[:-SIGNATURE]
    read = LinkRecord.parse(body + sign(other, b"rovy-lsr1", body, NONCE))
    with pytest.raises(Malformed):
        read.verify()


def test_a_signature_of_another_domain_is_refused():
    body = record(entry(1)).raw[:-SIGNATURE]
    read = LinkRecord.parse(body + sign(PRIVATE, b"rovy-bcn1", body, NONCE))
    with pytest.raises(Malformed):
        read.verify()


def test_unknown_flags_are_kept():
    made = record(flags=0xF8 | TRUNC)
    read = LinkRecord.parse(made.raw).verify()
    assert read.flags == 0xF9
    assert not read.flags & LEAF


@pytest.mark.parametrize("size", [0, 1, LEAST_SIZE - 1])
def test_too_short(size):
    with pytest.raises(Malformed, match="short"):
        LinkRecord.parse(record().raw[:size])


@pytest.mark.parametrize("change", [-1, 1])
def test_lengths_must_agree(change):
    raw = bytearray(record(entry(1), entry(2)).raw)
    raw[COUNT] += change
    with pytest.raises(Malformed, match="length"):
        LinkRecord.parse(forged(raw))
    with pytest.raises(Malformed, match="length"):
        LinkRecord.parse(record(entry(1)).raw + b"\0")


def test_too_many_links():
    raw = (
        record(*map(entry, range(1, 49))).raw[:-SIGNATURE]
        + LinkEntry(b"\xff" * 8, 1, 1, 0, 0).emit()
    )
    raw = bytearray(raw + bytes(SIGNATURE))
    raw[COUNT] = 49
    with pytest.raises(Malformed, match="length"):
        LinkRecord.parse(forged(raw))
    with pytest.raises(UsageError):
        record(*map(entry, range(1, 50)))


def test_one_set_has_one_spelling():
    first, second = sorted(map(entry, (1, 2)), key=lambda link: link.peer)
    raw = record(first, second).raw
    assert record(second, first).raw == raw
    swapped = raw[:LINKS] + second.emit() + first.emit() + raw[-SIGNATURE:]
    with pytest.raises(Malformed, match="order"):
        LinkRecord.parse(forged(swapped))


def test_a_link_twice():
    with pytest.raises(Malformed, match="order"):
        record(entry(1), entry(1, slot=9))
    raw = record(entry(1), entry(2)).raw
    twice = raw[:LINKS] + 2 * raw[LINKS : LINKS + 15] + raw[-SIGNATURE:]
    with pytest.raises(Malformed, match="order"):
        LinkRecord.parse(forged(twice))


def test_a_link_to_itself():
    itself = LinkEntry(PRIVATE.peer_id.short, 1, 2, 0, 1400)
    with pytest.raises(Malformed, match="itself"):
        record(itself)
    raw = record(entry(1)).raw
    with pytest.raises(Malformed, match="itself"):
        LinkRecord.parse(forged(raw[:LINKS] + itself.emit() + raw[-SIGNATURE:]))


@pytest.mark.parametrize("offset", [8, 10])
@pytest.mark.parametrize("slot", [0, MAX_SLOT + 1, 0xFFFF])
def test_slots_out_of_range(offset, slot):
    raw = bytearray(record(entry(1)).raw)
    raw[LINKS + offset : LINKS + offset + 2] = slot.to_bytes(2, "big")
    with pytest.raises(Malformed, match="slot"):
        LinkRecord.parse(forged(raw))


@pytest.mark.parametrize(
    "fields",
    [{"slot": 0}, {"peer_slot": 3840}, {"cost": 256}, {"cost": -1}, {"mtu": 65536}, {"mtu": -1}],
)
def test_entries_out_of_range(fields):
    with pytest.raises(Malformed):
        entry(1, **fields)


def test_entries_to_no_short():
    with pytest.raises(Malformed):
        LinkEntry(bytes(7), 1, 1, 0, 1400)


@pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32, bytes(31) + b"\x01"])
def test_keys_that_are_none(key):
    with pytest.raises(Malformed, match="key"):
        LinkRecord.parse(key + record().raw[32:])


@pytest.mark.parametrize("numbers", [{"sequence": -1}, {"sequence": 1 << 48}, {"flags": 256}])
def test_numbers_without_room(numbers):
    with pytest.raises(UsageError):
        record(**numbers)
