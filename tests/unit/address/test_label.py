"""Route labels: entries, reversal, and the ways to rewrite a route."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rovy.address.label import (
    MAX_LABEL,
    MAX_SLOT,
    SMALL,
    Label,
    back_label,
    decode_entry,
    encode_entry,
    entry_width,
    narrowest,
)
from rovy.errors import Malformed, UsageError

SLOTS = st.one_of(st.integers(1, SMALL), st.integers(SMALL + 1, MAX_SLOT), st.just(MAX_SLOT))
ENTRIES = st.one_of(SLOTS, SLOTS.map(lambda slot: (slot, 2)))
LABELS = st.lists(ENTRIES, max_size=12).map(lambda entries: Label.of(*entries))
EXAMPLE = "/rovyrt/7c-37-e5-3a-0f-b2-28"


def test_every_slot_round_trips_in_every_width():
    for slot in range(1, MAX_SLOT + 1):
        for width in (1, 2) if slot <= SMALL else (2,):
            entry = encode_entry(slot, width)
            assert len(entry) == entry_width(entry[0]) == width
            assert decode_entry(entry, 0) == (slot, width)
        assert len(encode_entry(slot)) == narrowest(slot)


def test_every_pair_of_bytes():
    seen = 0
    for number in range(1 << 16):
        pair = number.to_bytes(2, "big")
        try:
            slot, width = decode_entry(pair, 0)
        except Malformed:
            assert pair[0] in (0x00, 0xFF) or pair == b"\xf0\x00"
        else:
            assert encode_entry(slot, width) == pair[:width]
            seen += 1
    assert seen == SMALL * 256 + MAX_SLOT


@pytest.mark.parametrize(
    ("slot", "width", "entry"),
    [
        (1, None, "01"),
        (239, None, "ef"),
        (240, None, "f0f0"),
        (1, 2, "f001"),
        (255, None, "f0ff"),
        (256, None, "f100"),
        (3839, None, "feff"),
    ],
)
def test_entries(slot, width, entry):
    assert encode_entry(slot, width).hex() == entry


@pytest.mark.parametrize(
    ("slot", "width"), [(0, None), (-1, None), (3840, None), (240, 1), (1, 0), (1, 3), (0, 2)]
)
def test_no_such_entry(slot, width):
    with pytest.raises(Malformed):
        encode_entry(slot, width)


@pytest.mark.parametrize("first", [0x00, 0xFF])
def test_no_entry_begins_so(first):
    with pytest.raises(Malformed):
        entry_width(first)


@pytest.mark.parametrize("at", [-1, 2, 3])
def test_no_entry_there(at):
    with pytest.raises(Malformed):
        decode_entry(b"\x01\xf0", at)
    with pytest.raises(Malformed, match="cut"):
        decode_entry(b"\x01\xf0", 1)


def test_text_of_the_example():
    label = Label.parse(EXAMPLE)
    assert str(label) == EXAMPLE
    assert label.slots == (0x7C, 0x37, 0xE5, 0x3A, 0x0F, 0xB2, 0x28)
    assert label.hops == 7
    assert label.first == 0x7C
    assert label.rest == bytes.fromhex("37e53a0fb228")
    assert label.prefixes[0] == Label.of(0x7C)
    assert label.prefixes[-1] == label
    assert Label.parse(EXAMPLE.replace("e5", "E5")) == label


def test_mixed_widths():
    label = Label.parse("/rovyrt/f1-00-37-f0-05")
    assert label.slots == (256, 0x37, 5)
    assert label.widths == (2, 1, 2)
    assert label.rest == b"\x37\xf0\x05"
    assert [str(prefix) for prefix in label.prefixes] == [
        "/rovyrt/f1-00",
        "/rovyrt/f1-00-37",
        "/rovyrt/f1-00-37-f0-05",
    ]
    assert Label.of(256, 0x37, (5, 2)) == label


def test_the_empty_label_is_the_node_itself():
    for label in (Label(), Label.of(), Label.parse("/rovyrt/"), Label.parse("/rovyrt")):
        assert label == Label(b"")
        assert str(label) == "/rovyrt/"
        assert (label.slots, label.hops, label.rest, label.prefixes) == ((), 0, b"", ())
        with pytest.raises(UsageError):
            _ = label.first


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "rovyrt/01",
        "/rovyrt/01/",
        "/rovyrt//",
        "/rovyrt//01",
        "/rovyrt/1",
        "/rovyrt/001",
        "/rovyrt/0102",
        "/rovyrt/01-",
        "/rovyrt/-01",
        "/rovyrt/01 02",
        "/rovyrt/01\n",
        "/rovyrt\n",
        "/rovyrt/00",
        "/rovyrt/ff-01",
        "/rovyrt/f0",
        "/rovyrt/01-fe",
        "/rovyrt/f0-00",
        "/rovyrt/٠١",
        "/rovyrt/" + "-".join(["01"] * 256),
        "/rovyrt/" + "01-" * 100_000,
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_not_a_label(text):
    with pytest.raises(Malformed):
        Label.parse(text)


def test_the_longest_label():
    label = Label(b"\x01" * MAX_LABEL)
    assert Label.parse(str(label)) == label
    with pytest.raises(Malformed):
        label.join(Label.of(1))
    with pytest.raises(Malformed):
        label.widen(0)
    with pytest.raises(Malformed):
        back_label(1, label.data)


@given(st.text("/rovyt0123456789abcdefF-", max_size=40).map(lambda t: "/rovyrt/" + t) | st.text())
def test_hostile_text_is_malformed_or_read(text):
    try:
        label = Label.parse(text)
    except Malformed:
        return
    assert str(label).rstrip("/") == text.lower().rstrip("/")


@given(st.binary(max_size=300), SLOTS)
def test_hostile_bytes_are_malformed_or_read(data, own):
    for read in (Label, lambda carried: back_label(own, carried)):
        try:
            label = read(data)
        except Malformed:
            continue
        assert b"".join(label.entries) == label.data
        assert len(label.slots) == len(label.widths)


@given(LABELS)
def test_text_round_trips(label):
    assert Label.parse(str(label)) == label
    assert Label.of(*zip(label.slots, label.widths, strict=True)) == label
    assert hash(Label(label.data)) == hash(label)


@given(LABELS)
def test_prefixes_are_every_node_on_the_way(label):
    assert [prefix.slots for prefix in label.prefixes] == [
        label.slots[:hops] for hops in range(1, label.hops + 1)
    ]
    assert all(label.startswith(prefix) for prefix in label.prefixes)
    assert label.startswith(Label())


def test_bytes_in_common_are_no_common_hops():
    assert not Label.of(0x37, 256).startswith(Label.of(0x37, 257))
    assert not Label.parse("/rovyrt/f1-00").startswith(Label.parse("/rovyrt/f1-01"))
    assert Label.of(1, (2, 2), 3).startswith(Label.of((1, 2), 2))


@given(LABELS, st.data())
def test_widening_keeps_the_route(label, data):
    if not label.hops:
        with pytest.raises(Malformed):
            label.widen(0)
        return
    index = data.draw(st.integers(0, label.hops - 1))
    wide = label.widen(index)
    assert wide.same_route(label)
    assert wide.widths == (*label.widths[:index], 2, *label.widths[index + 1 :])
    assert wide.widen(index) == wide


@given(LABELS, LABELS)
def test_joining_widens_where_the_arrival_slot_is_unknown(label, other):
    joined = label.join(other)
    assert joined.slots == label.slots + other.slots
    if label.hops and other.hops:
        assert joined.widths[label.hops] == 2
        assert label.join(other, arrival=SMALL).data == label.data + other.data
        assert label.join(other, arrival=SMALL + 1) == joined
    else:
        assert joined.data == label.data + other.data


@given(LABELS, ENTRIES, ENTRIES, LABELS)
def test_cancelling_takes_a_u_turn_out(before, there, back, after):
    whole = Label(before.data + Label.of(there, back).data + after.data)
    cut = whole.cancel(before.hops)
    assert cut.slots == before.slots + after.slots
    kept = before.widths + after.widths
    assert all(new >= old for new, old in zip(cut.widths, kept, strict=True))


def test_cancelling_leaves_room_for_the_arrival_slot():
    wide_arrival = Label.of(1, (2, 2), 3, 4, 5)
    assert wide_arrival.cancel(1) == Label.of(1, (4, 2), 5)
    assert Label.of(1, 2, 3, 4, 5).cancel(1) == Label.of(1, 4, 5)
    assert Label.of((1, 2), 2, 3, 4).cancel(0) == Label.of(3, 4)
    assert Label.of(1, (2, 2), 3).cancel(1) == Label.of(1)


@pytest.mark.parametrize("index", [-1, 1, 2, 100])
def test_no_such_entry_to_rewrite(index):
    label = Label.of(1, 2)
    with pytest.raises(Malformed):
        label.cancel(index)
    if index != 1:
        with pytest.raises(Malformed):
            label.widen(index)


def test_labels_are_values():
    assert Label.of(1) == Label(b"\x01")
    assert Label.of(1) != Label.of((1, 2))
    assert Label.of(1).same_route(Label.of((1, 2)))
    assert {Label.of(1): "x"}[Label(b"\x01")] == "x"
    with pytest.raises(AttributeError):
        Label.of(1).data = b""


# Reversal, on random walks through random networks.


def forward(carried, pos, arrival):
    """What a forwarder does: the entry's slot, the label as it leaves, the new position."""
    slot, width = decode_entry(carried, pos)
    entry = encode_entry(arrival, width)
    return slot, carried[:pos] + entry[::-1] + carried[pos + width :], pos + width


def walk(rng):
    """Slots along a random walk: at each peering the slot to leave by, the slot arrived by."""
    slot = rng.choice((lambda: rng.randint(1, SMALL), lambda: rng.randint(1, MAX_SLOT)))
    return [(slot(), slot()) for _ in range(rng.randint(1, 12))]


def label_of_walk(hops, rng):
    entries = [hops[0][0]]
    for (_, arrived), (leave, _) in pairwise(hops):
        needed = max(narrowest(arrived), narrowest(leave))
        entries.append((leave, max(needed, rng.choice((1, 1, 2)))))
    return Label.of(*entries)


def carry(label, arrivals):
    """Send along; the slots that each forwarder left by, and the label as it arrives."""
    carried, pos, left = label.rest, 0, [label.first]
    for arrival in arrivals[:-1]:
        slot, carried, pos = forward(carried, pos, arrival)
        left.append(slot)
    assert pos == len(carried)
    return left, carried


@pytest.mark.parametrize("seed", range(60))
def test_the_reply_takes_the_same_way_back(seed):
    rng = random.Random(seed)
    for _ in range(20):
        hops = walk(rng)
        label = label_of_walk(hops, rng)
        out, arrived = [leave for leave, _ in hops], [arrive for _, arrive in hops]

        left, carried = carry(label, arrived)
        assert left == out
        back = back_label(arrived[-1], carried, width=rng.choice((None, 2)))
        assert list(back.slots) == arrived[::-1]

        left, carried = carry(back, out[::-1])
        assert left == arrived[::-1]
        assert back_label(out[0], carried).same_route(label)
        assert back_label(out[0], carried, width=label.widths[0]) == label


@pytest.mark.parametrize("seed", range(20))
def test_any_node_on_the_way_can_answer(seed):
    rng = random.Random(seed)
    hops = walk(rng)
    label = label_of_walk(hops, rng)
    carried, pos = label.rest, 0
    for index, (_, arrival) in enumerate(hops):
        back = back_label(arrival, carried[:pos])
        assert list(back.slots) == [slot for _, slot in hops[index::-1]]
        source = back_label(label.first, carry(back, [slot for slot, _ in hops[index::-1]])[1])
        assert label.startswith(source)
        if index + 1 < len(hops):
            _, carried, pos = forward(carried, pos, arrival)


@given(SLOTS, st.binary(max_size=20))
@settings(max_examples=50)
def test_back_label_is_the_reversed_bytes(own, carried):
    try:
        label = back_label(own, carried, width=2)
    except Malformed:
        return
    assert label.data == encode_entry(own, 2) + carried[::-1]
