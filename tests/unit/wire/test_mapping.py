"""Maps on request: bytes, and how much of one is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rovy.address.label import MAX_SLOT
from rovy.errors import Malformed
from rovy.wire.mapping import (
    MAX_NODES,
    MOST,
    MapAnswer,
    MapLink,
    emit_ask,
    emit_map,
    parse_ask,
)
from rovy.wire.piece import MAX_WHOLE
from tests.unit.wire.strategies import SLOTS, U8, U16, mutations

ONE, TWO, THREE = (bytes(range(start, start + 8)) for start in (0, 8, 16))
LINK = 9  # bytes
SHORTS = [number.to_bytes(8, "big") for number in range(40)]
LINKS = st.builds(
    lambda ends, *rest: MapLink(*ends, *rest),
    st.lists(st.sampled_from(SHORTS), min_size=2, max_size=2, unique=True),
    SLOTS,
    SLOTS,
    U8,
    U16,
)


def link(near, far, slot=1):
    """A link between two nodes."""
    return MapLink(near, far, slot, 300, 95, 1400)


def star(count):
    """Links to so many nodes."""
    return [link(ONE, number.to_bytes(8, "little")) for number in range(1, count + 1)]


def test_numbers_are_those_of_the_specification():
    assert (MAX_NODES, MOST) == (255, 8192)
    assert MOST < MAX_WHOLE


def test_layout():
    links = [
        MapLink(ONE, TWO, 0x0102, 0x0304, 5, 0x0607),
        MapLink(THREE, TWO, 0x0EFF, 1, 255, 65535),
    ]
    raw = emit_map(ONE, links, MOST)
    assert raw == b"\x03" + ONE + TWO + THREE + bytes.fromhex(
        "00 01 0102 0304 05 0607  02 01 0eff 0001 ff ffff"
    )
    assert MapAnswer.parse(raw) == MapAnswer(tuple(links))


def test_layout_of_the_question():
    assert emit_ask(0x0102) == b"\x01\x02"
    assert emit_ask() == b"\x20\x00"
    assert parse_ask(b"\x01\x02") == 0x0102
    for wrong in (b"", b"\x01", bytes(3)):
        with pytest.raises(Malformed, match="length"):
            parse_ask(wrong)


def test_the_answering_node_comes_first_even_alone():
    assert emit_map(TWO, [], MOST) == b"\x01" + TWO
    assert emit_map(TWO, [link(ONE, TWO)], 0) == b"\x01" + TWO
    assert MapAnswer.parse(b"\x01" + TWO) == MapAnswer(())
    assert emit_map(TWO, [link(ONE, TWO)], MOST)[:17] == b"\x02" + TWO + ONE


@pytest.mark.parametrize("most", [0, 9, 26, 27, 28, 44, 45, 100, 1000])
def test_as_many_links_as_there_is_room_for(most):
    raw = emit_map(ONE, star(100), most)
    held = MapAnswer.parse(raw).links
    assert held == tuple(star(100)[: len(held)])
    assert len(raw) == 9 + (LINK + 8) * len(held) <= max(most, 9)
    assert len(raw) + LINK + 8 > most


def test_links_end_at_255_nodes():
    raw = emit_map(ONE, [*star(300), link(ONE, TWO)], MOST)
    assert raw[0] == 255
    assert len(MapAnswer.parse(raw).links) == 254


def test_no_answer_is_longer_than_8192_bytes():
    pairs = [link(SHORTS[a], SHORTS[b]) for a in range(40) for b in range(40) if a != b]
    raw = emit_map(SHORTS[0], pairs, 0xFFFF)
    assert MOST - LINK < len(raw) <= MOST
    assert MapAnswer.parse(raw).links == tuple(pairs[: len(MapAnswer.parse(raw).links)])
    longer = raw + raw[-LINK:]
    assert len(longer) > MOST
    with pytest.raises(Malformed, match="too long"):
        MapAnswer.parse(longer)


@settings(max_examples=50)
@given(st.lists(LINKS, max_size=30))
def test_what_is_told_parses(links):
    assert MapAnswer.parse(emit_map(SHORTS[0], links, MOST)) == MapAnswer(tuple(links))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b"\0", "empty"),
        (b"\x02" + ONE + TWO[:-1], "length"),
        (b"\x01" + ONE + bytes(LINK - 1), "length"),
        (b"\x02" + ONE + TWO + bytes.fromhex("0002 0001 0001 00 0000"), "nowhere"),
        (b"\x02" + ONE + TWO + bytes.fromhex("ff01 0001 0001 00 0000"), "nowhere"),
        (b"\x02" + ONE + TWO + bytes.fromhex("0101 0001 0001 00 0000"), "nowhere"),
        (b"\x02" + ONE + ONE + bytes.fromhex("0001 0001 0001 00 0000"), "twice"),
        (b"\x02" + ONE + TWO + bytes.fromhex("0001 0000 0001 00 0000"), "slot"),
        (b"\x02" + ONE + TWO + bytes.fromhex("0001 0001 0f00 00 0000"), "slot"),
    ],
    ids=[
        "nothing",
        "no node",
        "half a node",
        "half a link",
        "far end",
        "near end",
        "to itself",
        "one node twice",
        "slot 0",
        "slot 3840",
    ],
)
def test_what_is_malformed(raw, why):
    with pytest.raises(Malformed, match=why):
        MapAnswer.parse(raw)


@settings(max_examples=200)
@given(st.lists(LINKS, min_size=1, max_size=10), st.data())
def test_hostile_bytes_are_malformed_or_mean_what_they_say(links, data):
    raw = data.draw(mutations(emit_map(SHORTS[0], links, MOST)))
    try:
        answer = MapAnswer.parse(raw)
    except Malformed:
        return
    assert len(answer.links) == (len(raw) - 1 - 8 * raw[0]) // LINK
    for each in answer.links:
        assert each.near != each.far
        assert 1 <= min(each.slot, each.back) <= max(each.slot, each.back) <= MAX_SLOT
    assert MapAnswer.parse(emit_map(raw[1:9], answer.links, MOST)) == answer


@given(st.binary(max_size=200))
def test_any_bytes_are_malformed_or_an_answer(raw):
    for parse in (MapAnswer.parse, parse_ask):
        try:
            parse(raw)
        except Malformed:
            continue
        assert len(raw) == 2 or raw[0] > 0
