"""Forward headers, and labels switched in place hop by hop."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.address.label import (
    MAX_SLOT,
    SMALL,
    Label,
    back_label,
    decode_entry,
    encode_entry,
    narrowest,
)
from rovy.errors import Malformed
from rovy.wire.forward import (
    LABEL,
    LEN,
    POS,
    ForwardHeader,
    emit_header,
    entry_slot,
    header_size,
    overwrite,
)
from tests.unit.wire.strategies import ENTRIES, SLOTS, mutations

HEADERS = st.binary(max_size=255).flatmap(
    lambda label: st.builds(ForwardHeader, st.integers(0, len(label)), st.just(label))
)
WALKS = st.lists(st.tuples(SLOTS, SLOTS, st.booleans()), min_size=1, max_size=10)
"""Node by node: the slot to leave by, the slot the next node has for it, a wider entry or not."""


@given(HEADERS, st.binary(max_size=10))
def test_header_round_trip(header, inner):
    raw = header.emit()
    assert len(raw) == header.size == header_size(len(header.label))
    assert ForwardHeader.parse(raw + inner) == header
    assert ForwardHeader.parse(memoryview(raw + inner)) == header


def test_header_is_padded_with_zeros_to_eight_bytes():
    for length in range(256):
        raw = emit_header(b"\x01" * length)
        assert len(raw) % 8 == 0
        assert len(raw) - (2 + length) in range(8)
        assert raw == bytes((0, length)) + b"\x01" * length + bytes(len(raw) - length - 2)


@given(st.data())
def test_hostile_headers_are_malformed(data):
    raw = data.draw(mutations(data.draw(HEADERS).emit()) | st.binary(max_size=40))
    try:
        header = ForwardHeader.parse(raw)
    except Malformed:
        return
    assert header.pos <= len(header.label)
    assert len(raw) >= header.size
    assert header.emit()[: LABEL + len(header.label)] == raw[: LABEL + len(header.label)]


@pytest.mark.parametrize("length", [0, 1, 6, 7, 64, 255])
def test_truncation_at_every_length(length):
    whole = emit_header(b"\x01" * length)
    for size in range(len(whole)):
        with pytest.raises(Malformed):
            ForwardHeader.parse(whole[:size])
    for pos in range(length + 1, 256):
        with pytest.raises(Malformed):
            ForwardHeader.parse(bytes((pos,)) + whole[1:])


def test_entry_slot_agrees_with_the_label_on_every_pair_of_bytes():
    for number in range(1 << 16):
        pair = number.to_bytes(2, "big")
        for end in (1, 2):
            try:
                expected = decode_entry(pair[:end], 0)
            except Malformed:
                expected = (0, 0)
            assert entry_slot(pair, 0, end) == expected


def test_overwrite_is_read_backwards_as_the_slot():
    for slot in range(1, MAX_SLOT + 1):
        for width in (1, 2):
            packet = bytearray(b"\x55" * 4)
            fits = overwrite(packet, 1, width, slot)
            assert fits == (width == 2 or slot <= SMALL)
            if fits:
                assert bytes(packet[1 : 1 + width])[::-1] == encode_entry(slot, width)
            untouched = packet[:1] + packet[1 + width :] if fits else packet
            assert untouched == b"\x55" * len(untouched)


@given(WALKS, SLOTS)
def test_a_walk_forward_and_back(steps, first_arrival):
    """Forward over every node, back along the reversed label, and forward again."""
    hops, label = walk_of(steps, first_arrival)
    packet = bytearray(emit_header(label.rest))
    travel(packet, hops)
    back = back_label(hops[-1][1], carried(packet))
    assert list(back.slots) == [arrival for _, arrival in reversed(hops)]
    reply = bytearray(emit_header(back.rest))
    travel(reply, [(arrival, left) for left, arrival in reversed(hops)])
    again = back_label(hops[0][0], carried(reply), width=label.widths[0])
    assert again.slots == label.slots
    assert again.data[label.widths[0] :] == label.rest


@given(WALKS, SLOTS, st.data())
def test_a_refusal_finds_its_way_back_from_any_node(steps, first_arrival, data):
    hops, label = walk_of(steps, first_arrival)
    at = data.draw(st.integers(1, len(hops)))
    packet = bytearray(emit_header(label.rest))
    travel(packet, hops[:at])
    back = back_label(hops[at - 1][1], bytes(packet[LABEL : LABEL + packet[POS]]))
    assert list(back.slots) == [arrival for _, arrival in reversed(hops[:at])]
    reply = bytearray(emit_header(back.rest))
    travel(reply, [(arrival, left) for left, arrival in reversed(hops[:at])])
    told = back_label(hops[0][0], carried(reply))
    assert label.startswith(told)
    assert told.hops == at


@given(st.lists(ENTRIES, min_size=1, max_size=10), st.data())
def test_entries_are_read_where_they_begin(entries, data):
    label = Label.of(*entries)
    at = 0
    for slot, width in zip(label.slots, label.widths, strict=True):
        assert entry_slot(label.data, at, len(label.data)) == (slot, width)
        at += width


def walk_of(steps, first_arrival):
    """The hops as (slot left by, slot arrived by), and the label of its first node."""
    leaves = [step[0] for step in steps]
    arrivals = [first_arrival, *(step[1] for step in steps[1:])]
    hops = list(zip(leaves, arrivals, strict=True))
    entries = [(leaves[0], narrowest(leaves[0]))]
    for number, step in enumerate(steps[1:], 1):
        least = max(narrowest(leaves[number]), narrowest(arrivals[number - 1]))
        entries.append((leaves[number], 2 if step[2] else least))
    return hops, Label.of(*entries)


def travel(packet, hops):
    """Send a packet along hops, as forwarders do; the first is its sender's."""
    end = LABEL + packet[LEN]
    for (_, arrived), (leave, _) in pairwise(hops):
        at = LABEL + packet[POS]
        slot, width = entry_slot(packet, at, end)
        assert slot == leave
        assert overwrite(packet, at, width, arrived)
        packet[POS] += width


def carried(packet):
    assert packet[POS] == packet[LEN]
    return bytes(packet[LABEL : LABEL + packet[LEN]])
