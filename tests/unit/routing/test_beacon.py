"""Beacons: bytes, and that nobody can say what the nodes on the way did not sign."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rovy.address.label import MAX_SLOT
from rovy.errors import Malformed, UsageError
from rovy.noise import xeddsa
from rovy.routing.beacon import (
    DOMAIN,
    LEAST_SIZE,
    MAX_HOPS,
    WILLING,
    Beacon,
    Step,
    Verified,
)
from tests.unit.routing.beacons import beacon, extend, keys, peer

HEAD, HOP = 40, 103
SEQUENCE, FLAGS, COUNT = 32, 38, 39  # offsets
KEY, SLOT, NEXT_SLOT, COST, MTU, SIGNATURE = 0, 32, 34, 36, 37, 39  # within a hop


def numbering(near, far):
    return near + far + 1


def verify(made, receiver, verified=None):
    """Whether a receiver believes it."""
    try:
        Beacon.parse(made if isinstance(made, bytes) else made.raw).verify(
            peer(receiver), verified or Verified()
        )
    except Malformed:
        return False
    return True


def put(raw, at, value):
    return raw[:at] + value + raw[at + len(value) :]


def hops(raw):
    return [raw[at : at + HOP] for at in range(HEAD, len(raw), HOP)]


def joined(raw, *parts):
    """The head of a beacon with these hops."""
    return raw[:COUNT] + bytes((len(parts),)) + b"".join(parts)


def test_layout():
    made = beacon(0, 1, 2, sequence=0x010203040506, flags=WILLING, q=7, mtu=0x0809)
    head = peer(0).key + bytes.fromhex("010203040506 01 02")
    first = peer(0).key + bytes.fromhex("0002 0002 07 0809") + made.hops[0].signature
    second = peer(1).key + bytes.fromhex("0004 0004 07 0809") + made.hops[1].signature
    assert made.raw == head + first + second
    assert (len(head), len(first), LEAST_SIZE) == (HEAD, HOP, HEAD + HOP)
    signed = head[:39] + bytes.fromhex("0002 0002 07 0809") + peer(1).key
    xeddsa.verify(peer(0).key, DOMAIN, signed, made.hops[0].signature)
    signed = head[:39] + made.hops[0].signature + second[32:39] + peer(2).key
    xeddsa.verify(peer(1).key, DOMAIN, signed, made.hops[1].signature)


@settings(max_examples=30)
@given(
    st.integers(1, 5),
    st.integers(0, 2**48 - 1),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 65535),
)
def test_what_is_signed_parses_and_verifies(length, sequence, flags, q, mtu):
    made = beacon(*range(length + 1), sequence=sequence, flags=flags, q=q, mtu=mtu)
    read = Beacon.parse(memoryview(made.raw))
    assert read == made
    assert read.verify(peer(length), Verified()) is read
    assert (read.anchor, read.sequence, read.flags) == (peer(0), sequence, flags)
    assert [hop.node for hop in read.hops] == [peer(number) for number in range(length)]


def test_the_longest_one():
    made = beacon(*range(MAX_HOPS + 1))
    assert verify(made, MAX_HOPS)
    with pytest.raises(UsageError):
        extend(made, MAX_HOPS, MAX_HOPS + 1, numbering)
    raw = put(made.raw + made.raw[-HOP:], COUNT, bytes((MAX_HOPS + 1,)))
    with pytest.raises(Malformed, match="length"):
        Beacon.parse(raw)


@given(st.binary(max_size=500))
def test_no_bytes_crash_the_parser(data):
    with pytest.raises(Malformed):
        Beacon.parse(data).verify(peer(9), Verified())


MADE = beacon(0, 1, 2, 3)


@settings(max_examples=150)
@given(st.integers(0, len(MADE.raw) - 1), st.integers(1, 255))
def test_every_changed_byte_is_refused(at, change):
    raw = put(MADE.raw, at, bytes((MADE.raw[at] ^ change,)))
    verified = Verified()
    assert verify(MADE, 3, verified)
    assert not verify(raw, 3)
    assert not verify(raw, 3, verified)


@given(st.integers(0, len(MADE.raw) - 1))
def test_every_part_is_refused(length):
    assert not verify(MADE.raw[:length], 3)


def test_a_foreign_receiver_is_refused():
    assert verify(MADE, 3)
    assert not verify(MADE, 4)


def test_a_path_cannot_be_shortened():
    """Node 3 and node 2 would both like to be nearer to the anchor."""
    long = beacon(0, 1, 2, 3, 4)
    first, second, third, fourth = hops(long.raw)
    assert verify(long, 4)
    for fewer in ([first, fourth], [first, third, fourth], [first, second, fourth], [first]):
        assert not verify(joined(long.raw, *fewer), 4)
    # Node 3 signs anew, but nobody before it named it.
    for kept in (1, 2):
        short = Beacon.parse(joined(long.raw, *hops(long.raw)[:kept]))
        assert not verify(extend(short, 3, 4, numbering), 4)


def test_a_neighbour_cannot_be_claimed():
    """Node 5 heard what node 1 said to node 2."""
    overheard = beacon(0, 1, 2)
    assert not verify(extend(overheard, 5, 3, numbering), 3)
    assert not verify(extend(Beacon.parse(overheard.raw), 1, 3, numbering), 3)


def test_the_next_node_cannot_be_replaced():
    first, _, third = hops(MADE.raw)
    other = hops(beacon(0, 7, 2, 3).raw)[1]
    assert not verify(joined(MADE.raw, first, other, third), 3)


def test_hops_of_other_beacons_do_not_fit():
    for other in (beacon(0, 1, 2, 3, sequence=5), beacon(0, 1, 2, 3, q=3), beacon(9, 1, 2, 3)):
        for index in range(3):
            parts = hops(MADE.raw)
            parts[index] = hops(other.raw)[index]
            assert not verify(joined(MADE.raw, *parts), 3)


@pytest.mark.parametrize("at", [SLOT, NEXT_SLOT, COST, MTU])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_links_cannot_be_made_better(at, index):
    offset = HEAD + index * HOP + at
    assert not verify(put(MADE.raw, offset, b"\0\1" if at != COST else b"\0"), 3)


@pytest.mark.parametrize("at", [SEQUENCE, FLAGS])
def test_neither_sequence_nor_flags_can_be_changed(at):
    assert not verify(put(MADE.raw, at, b"\1\2"), 3)


def test_it_begins_at_its_anchor():
    with pytest.raises(Malformed, match="anchor"):
        Beacon.parse(put(MADE.raw, 0, peer(5).key))
    with pytest.raises(Malformed, match="anchor"):
        Beacon.parse(put(MADE.raw, HEAD, peer(5).key))


def test_no_node_comes_twice():
    first, second, third = hops(MADE.raw)
    with pytest.raises(Malformed, match="circle"):
        Beacon.parse(joined(MADE.raw, first, second, third, second))


@pytest.mark.parametrize("slot", [0, MAX_SLOT + 1])
@pytest.mark.parametrize("at", [SLOT, NEXT_SLOT])
def test_slots_out_of_range(at, slot):
    with pytest.raises(Malformed, match="slot"):
        Beacon.parse(put(MADE.raw, HEAD + HOP + at, slot.to_bytes(2, "big")))


@pytest.mark.parametrize("fields", [(0, 1, 0, 0), (1, 0, 0, 0), (1, 1, 256, 0), (1, 1, 0, 65536)])
def test_steps_out_of_range(fields):
    with pytest.raises(Malformed):
        Step(*fields)


@pytest.mark.parametrize("change", [-1, 1])
def test_lengths_must_agree(change):
    with pytest.raises(Malformed, match="length"):
        Beacon.parse(put(MADE.raw, COUNT, bytes((3 + change,))))
    with pytest.raises(Malformed, match=r"length|short"):
        Beacon.parse(joined(MADE.raw))


@pytest.mark.parametrize("numbers", [(-1, 0), (1 << 48, 0), (0, 256), (0, -1)])
def test_numbers_without_room(numbers):
    with pytest.raises(UsageError):
        Beacon.begin(peer(0), *numbers)


def test_the_anchor_alone_can_be_checked():
    """By the anchor, of which the rest need not be true any more."""
    forged = put(MADE.raw, HEAD + HOP + COST, b"\0")
    assert Beacon.parse(forged).verify_anchor(peer(9)).sequence == MADE.sequence
    with pytest.raises(Malformed):
        Beacon.parse(put(MADE.raw, FLAGS, b"\7")).verify_anchor(peer(9))
    one = beacon(0, 1)
    assert one.verify_anchor(peer(1)) is one
    with pytest.raises(Malformed):
        one.verify_anchor(peer(2))


# Signatures are checked once


def test_only_new_hops_are_checked():
    verified, made = Verified(), beacon(0, 1, 2, 3)
    assert made.unverified(peer(3), verified) == 3
    made.verify(peer(3), verified)
    assert made.unverified(peer(3), verified) == 0
    # The same way to another receiver, and one that leaves it at its last hop but one.
    assert beacon(0, 1, 2, 4).unverified(peer(4), verified) == 1
    assert beacon(0, 1, 5, 3).unverified(peer(3), verified) == 2
    assert beacon(0, 1, 2, 3, sequence=4).unverified(peer(3), verified) == 3


def test_what_does_not_verify_is_not_remembered():
    verified = Verified()
    forged = put(MADE.raw, HEAD + HOP + COST, b"\0")
    assert not verify(forged, 3, verified)
    assert Beacon.parse(forged).unverified(peer(3), verified) == 2


def test_what_is_remembered_is_bounded():
    verified = Verified(most=4)
    old, used = beacon(0, 1), beacon(2, 1)
    for made in (old, used):
        made.verify(peer(1), verified)
    for number in range(3, 6):
        beacon(number, 1).verify(peer(1), verified)
        assert used.unverified(peer(1), verified) == 0
    assert len(verified._known) == 4
    assert old.unverified(peer(1), verified) == 1


def test_signatures_of_another_domain_are_refused():
    made = beacon(0, 1)
    signed = made.raw[:39] + made.hops[0].step.emit() + peer(1).key
    other = xeddsa.sign(keys()[0], b"rovy-gone1", signed, bytes(64))
    assert not verify(put(made.raw, HEAD + SIGNATURE, other), 1)
    right = xeddsa.sign(keys()[0], DOMAIN, signed, bytes(64))
    assert verify(put(made.raw, HEAD + SIGNATURE, right), 1)
