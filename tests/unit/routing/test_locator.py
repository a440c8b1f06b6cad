"""Locators: bytes, signatures, what is left out of long ones."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rovy.address.keys import PrivateKey
from rovy.address.label import MAX_SLOT
from rovy.address.multiaddr import Multiaddr
from rovy.errors import Malformed, UsageError
from rovy.noise.xeddsa import sign
from rovy.routing.locator import (
    ANCHOR,
    DOMAIN,
    LEAST_SIZE,
    MAX_ANCHORS,
    MAX_ENDPOINT,
    MAX_ENDPOINTS,
    MAX_HOPS,
    MAX_LINKS,
    MAX_SIZE,
    MAX_TTL,
    Locator,
    LocatorLink,
)
from rovy.routing.record import MAX_SEQUENCE
from tests.unit.routing.graphs import peer
from tests.unit.wire.strategies import mutations

PRIVATE = PrivateKey.generate(random.Random(1).randbytes)
OWN = PRIVATE.peer_id.short
NONCE = bytes(range(64))
TTL, FLAGS, COUNT = 38, 40, 41  # offsets
SIGNATURE, LINK = 64, 13  # bytes
TEXTS = (
    "/ip4/192.0.2.1/udp/1312",
    "/ip6/2001:db8::1/udp/1",
    "/ip6zone/eth0/ip6/fe80::1/udp/65535",
    f"/dns4/example.org/udp/1312/rovy/{PRIVATE.peer_id}",
)
ADDRESSES = tuple(map(Multiaddr.parse, TEXTS))
LONG = Multiaddr.parse("/dns4/" + ".".join(["x" * 61] * 4) + f"/udp/1/rovy/{PRIVATE.peer_id}")

SLOTS = st.integers(1, MAX_SLOT)
LINKS = st.builds(
    LocatorLink, st.binary(min_size=8, max_size=8), SLOTS, SLOTS, st.integers(0, 0xFF)
)


def lists(most):
    return st.lists(LINKS, max_size=most, unique_by=lambda link: link.node).map(tuple)


PATHS = st.lists(lists(10), max_size=MAX_ANCHORS)
ENDS = st.lists(st.sampled_from(ADDRESSES), max_size=MAX_ENDPOINTS)


def link(number, **fields):
    """A link from, or to, another node."""
    usual = {"slot": number, "back": 300, "cost": 95}
    return LocatorLink(peer(number).short, **{**usual, **fields})


def path(length, start=1):
    """A path of so many links."""
    return tuple(map(link, range(start, start + length)))


def locator(anchors=(), links=(), endpoints=(), *, sequence=1_700_000_000_000, ttl=3600, flags=0):
    """A signed locator."""
    return Locator.sign(PRIVATE, sequence, ttl, flags, anchors, links, endpoints, NONCE)


def forged(body):
    """Signed properly by its node, whatever it says."""
    return bytes(body) + sign(PRIVATE, b"rovy-loc1", bytes(body), NONCE)


def said(made):
    """What a locator says."""
    return (
        made.key,
        made.sequence,
        made.ttl,
        made.flags,
        made.anchors,
        made.links,
        made.endpoints,
    )


def again(read):
    """A locator that says the same."""
    return Locator.sign(
        PRIVATE,
        read.sequence,
        read.ttl,
        read.flags,
        read.anchors,
        read.links,
        read.endpoints,
        NONCE,
    )


def test_layout():
    one = LocatorLink(bytes(range(8)), 0x0102, 0x0304, 5)
    two = LocatorLink(bytes(range(8, 16)), 0x0EFF, 1, 255)
    made = locator(
        [(one, two), ()], [two], ADDRESSES[:2], sequence=0x010203040506, ttl=0x0E10, flags=0x81
    )
    first, second = "0001020304050607 0102 0304 05", "08090a0b0c0d0e0f 0eff 0001 ff"
    assert made.raw[:-SIGNATURE] == PRIVATE.peer_id.key + bytes.fromhex(
        f"010203040506 0e10 81  02 02 {first} {second} 00  01 {second}"
        "02 09 04 c0000201 9102 0520  15 29 20010db8000000000000000000000001 9102 0001"
    )
    assert Locator.parse(made.raw) == made


def test_numbers_are_those_of_the_specification():
    assert (MAX_ANCHORS, MAX_HOPS, MAX_LINKS, MAX_ENDPOINTS) == (4, 64, 8, 8)
    assert (MAX_SIZE, MAX_ENDPOINT, MAX_TTL, ANCHOR) == (2000, 255, 7200, 1)
    assert DOMAIN == b"rovy-loc1"


def test_sizes():
    assert LEAST_SIZE == len(locator().raw) == 108
    usual = locator([path(5), path(6, 10), path(6, 20), path(7, 30)], path(8, 40), ADDRESSES[:1])
    assert len(usual.raw) == 108 + 4 + 24 * LINK + 8 * LINK + 10 < 700


def test_short_is_the_start_of_the_node_id():
    assert locator().short == OWN == PRIVATE.peer_id.node_id[:8]


@settings(max_examples=50)
@given(
    PATHS,
    lists(MAX_LINKS),
    ENDS,
    st.integers(0, MAX_SEQUENCE),
    st.integers(1, MAX_TTL),
    st.integers(0, 0xFF),
)
def test_what_is_signed_parses_and_verifies(anchors, links, ends, sequence, ttl, flags):
    made = locator(anchors, links, ends, sequence=sequence, ttl=ttl, flags=flags)
    read = Locator.parse(memoryview(made.raw)).verify()
    assert read == made
    wanted = (PRIVATE.peer_id, sequence, ttl, flags, tuple(anchors), links, tuple(ends))
    assert said(read) == wanted
    assert again(read) == made


@given(st.binary(max_size=MAX_SIZE + 10))
def test_no_bytes_crash_the_parser(data):
    with pytest.raises(Malformed):
        Locator.parse(data).verify()


@settings(max_examples=100)
@given(PATHS, lists(MAX_LINKS), ENDS, st.data())
def test_changed_bytes_are_malformed_or_mean_what_they_say(anchors, links, ends, data):
    body = locator(anchors, links, ends).raw[:-SIGNATURE]
    raw = body[:32] + data.draw(mutations(body[32:]))
    try:
        read = Locator.parse(raw + bytes(SIGNATURE))
    except Malformed:
        return
    assert read.raw == raw + bytes(SIGNATURE)
    assert said(Locator.parse(again(read).raw)) == said(read)


def test_every_flipped_bit_is_refused():
    raw = locator([path(2)], [link(5)], ADDRESSES[:1]).raw
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Malformed):
            Locator.parse(changed).verify()


@pytest.mark.parametrize("domain", [b"rovy-lsr1", b"rovy-loc"])
def test_a_signature_of_another_domain_is_refused(domain):
    body = locator([path(1)]).raw[:-SIGNATURE]
    read = Locator.parse(body + sign(PRIVATE, domain, body, NONCE))
    with pytest.raises(Malformed, match="signature"):
        read.verify()


def test_somebody_elses_signature_is_refused():
    other = PrivateKey.generate(random.Random(2).randbytes)
    body = locator().raw[:-SIGNATURE]
    read = Locator.parse(body + sign(other, DOMAIN, body, NONCE))
    with pytest.raises(Malformed, match="signature"):
        read.verify()


def test_every_cut_is_malformed():
    raw = locator([path(2), path(1, 5)], [link(9)], ADDRESSES).raw
    body = raw[:-SIGNATURE]
    for length in range(len(raw)):
        with pytest.raises(Malformed):
            Locator.parse(raw[:length])
    for length in range(len(body)):
        with pytest.raises(Malformed):
            Locator.parse(forged(body[:length]))


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("05 00 00 00 00 00 00 00", "count"),
        ("01 41" + "00" * 65 * LINK + "00 00", "count"),
        ("00 09" + "00" * 9 * LINK + "00", "count"),
        ("00 00 09" + "01 00" * 9, "count"),
        ("01 02" + "00" * LINK, "cut short"),
        ("00 00 01 20 04 c0000201", "cut short"),
        ("00 00 00 00", "left over"),
        ("00 00 01 00", "multiaddr"),
        ("00 00 01 0a 04 c0000201 9102 0520 00", "multiaddr"),
        ("00 00 01 01 ff", "multiaddr"),
    ],
    ids=[
        "paths",
        "hops",
        "links",
        "endpoints",
        "path",
        "endpoint",
        "bytes after",
        "empty endpoint",
        "bytes in an endpoint",
        "half a code",
    ],
)
def test_counts_and_ends(rest, why):
    head = locator().raw[:COUNT]
    with pytest.raises(Malformed, match=why):
        Locator.parse(forged(head + bytes.fromhex(rest)))


@pytest.mark.parametrize("ttl", [0, MAX_TTL + 1, 0xFFFF])
def test_lifetimes_that_are_none(ttl):
    raw = bytearray(locator().raw[:-SIGNATURE])
    raw[TTL:FLAGS] = ttl.to_bytes(2, "big")
    with pytest.raises(Malformed, match="ttl"):
        Locator.parse(forged(raw))


@pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32, bytes(31) + b"\x01"])
def test_keys_that_are_none(key):
    with pytest.raises(Malformed, match="key"):
        Locator.parse(key + locator().raw[32:])


def test_paths_in_a_circle():
    for nodes in ((1, 2, 1), (3, 3)):
        with pytest.raises(Malformed, match="circle"):
            locator([path(1, 9), tuple(map(link, nodes))])
    with pytest.raises(Malformed, match="circle"):
        locator([(link(1), LocatorLink(OWN, 1, 1, 0))])
    assert locator([path(3), path(3)]).anchors == (path(3), path(3))


def test_paths_in_a_circle_are_not_read():
    raw = bytearray(locator([path(3)]).raw[:-SIGNATURE])
    for node in (peer(1).short, OWN):
        raw[-2 - LINK : -2 - LINK + 8] = node
        with pytest.raises(Malformed, match="circle"):
            Locator.parse(forged(raw))


def test_links_twice_or_to_itself():
    for links in ([link(1), link(2), link(1, slot=9)], [LocatorLink(OWN, 1, 1, 0)]):
        with pytest.raises(Malformed, match="links"):
            locator((), links)
    raw = bytearray(locator((), path(2)).raw[:-SIGNATURE])
    raw[-1 - LINK : -1 - LINK + 8] = peer(1).short
    with pytest.raises(Malformed, match="links"):
        Locator.parse(forged(raw))


@pytest.mark.parametrize("slot", [0, MAX_SLOT + 1, 0xFFFF])
@pytest.mark.parametrize("offset", [8, 10])
def test_slots_that_are_none(slot, offset):
    raw = bytearray(locator([path(1)]).raw[:-SIGNATURE])
    raw[COUNT + 2 + offset : COUNT + 4 + offset] = slot.to_bytes(2, "big")
    with pytest.raises(Malformed, match="slot"):
        Locator.parse(forged(raw))


@pytest.mark.parametrize("fields", [{"slot": 0}, {"back": 3840}, {"cost": 256}, {"cost": -1}])
def test_links_out_of_range(fields):
    with pytest.raises(Malformed):
        link(1, **fields)


def test_links_to_no_short():
    with pytest.raises(Malformed):
        LocatorLink(bytes(7), 1, 1, 0)


@pytest.mark.parametrize(
    "numbers",
    [
        {"sequence": -1},
        {"sequence": 1 << 48},
        {"flags": 256},
        {"flags": -1},
        {"ttl": 0},
        {"ttl": MAX_TTL + 1},
    ],
)
def test_numbers_without_room(numbers):
    with pytest.raises(UsageError):
        locator(**numbers)


def test_more_than_there_may_be_is_left_out():
    paths = [path(1, 10 * number) for number in range(1, 7)]
    made = locator(paths, path(12), ADDRESSES * 3)
    assert made.anchors == tuple(paths[:4])
    assert made.links == path(8)
    assert made.endpoints == (ADDRESSES * 3)[:8]
    assert Locator.parse(made.raw).verify() == made


def test_what_no_locator_has_room_for_is_left_out():
    assert len(LONG.to_bytes()) > MAX_ENDPOINT
    made = locator([path(65), path(64), path(1)], (), [LONG, ADDRESSES[0]])
    assert made.anchors == (path(64), path(1))
    assert made.endpoints == ADDRESSES[:1]


def test_endpoints_are_left_out_first_then_paths_from_the_last_on():
    paths = [path(length) for length in (34, 35, 36, 30)]
    fits = 108 + 4 + 135 * LINK + LINK
    assert fits == 1880
    size = len(ADDRESSES[3].to_bytes()) + 1
    held = (MAX_SIZE - fits) // size
    made = locator(paths, path(1), [ADDRESSES[3]] * 8)
    assert (made.anchors, len(made.endpoints)) == (tuple(paths), held)
    assert MAX_SIZE - size < len(made.raw) == fits + held * size <= MAX_SIZE

    more = [*paths[:3], path(41)]
    made = locator(more, path(1), ADDRESSES)
    assert (made.anchors, made.endpoints) == (tuple(paths[:3]), ())
    assert Locator.parse(made.raw).verify() == made


def test_a_locator_is_as_long_as_it_may_be_and_no_longer():
    body = 108 + 4 + 8 * LINK
    hops = (MAX_SIZE - body) // LINK
    assert hops == 137
    exact = locator([path(64), path(64), path(9), ()], path(8))
    assert len(exact.raw) == body + hops * LINK > MAX_SIZE - LINK
    assert locator([path(64), path(64), path(10), ()], path(8)).anchors == (path(64),) * 2
    with pytest.raises(Malformed, match="length"):
        Locator.parse(bytes(MAX_SIZE + 1))


def test_hops_lead_from_the_anchor_to_the_node():
    made = locator([path(2), path(1, 7), ()], [link(5)])
    one, two, five, seven = (peer(number).short for number in (1, 2, 5, 7))
    assert list(made.hops) == [
        (one, two, link(1)),
        (two, OWN, link(2)),
        (seven, OWN, link(7)),
        (OWN, five, link(5)),
    ]
