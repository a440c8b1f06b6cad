"""Batches in: what comes of every datagram, hostile ones included."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.address.label import Label
from rovy.address.path import Routed
from rovy.dataplane.types import (
    FORWARD_CODEC,
    HARD_LIMIT,
    Confirmed,
    Drop,
    Exhausted,
    Handshake,
    NoticeReceived,
    PathSeen,
    Received,
    Refused,
)
from rovy.wire.datagram import DATA_FIXED, Type
from rovy.wire.forward import emit_header
from rovy.wire.notice import Code
from tests.dataplanes import address, direct, feed, hello, key, open_session, split

PEERS = (1, 2, 3)


class Pair:
    """Node 0 with peers 1, 2, 3, each of which has a data plane of its own."""

    def __init__(self, factory, mtu=9000):
        self.here = factory()
        self.peers = {}
        for number in PEERS:
            mine, theirs = 100 + number, 200 + number
            open_session(
                self.here,
                number,
                direct(number),
                mine=mine,
                theirs=theirs,
                receive=mine,
                send=theirs,
                mtu=mtu,
            )
            self.here.set_slot(number, number)
            peer = self.peers[number] = factory()
            open_session(
                peer,
                1,
                direct(0),
                mine=theirs,
                theirs=mine,
                receive=theirs,
                send=mine,
            )
            peer.set_slot(1, 1)

    def from_peer(self, number, codec, payload):
        [run] = self.peers[number].seal(1, codec, [payload], 1.0).runs
        return bytes(run.data)

    def forward(self, number, label, inner):
        """A forward packet from a peer to be switched here along `label`."""
        return self.from_peer(number, FORWARD_CODEC, emit_header(label.data) + inner)

    def feed(self, datagrams, source=1, now=1.0):
        return feed(self.here, datagrams, direct(source), now)


def of_kind(output, kind):
    return [event for event in output.events if isinstance(event, kind)]


def accounted(output):
    """Packets that came of something other than a drop."""
    switched = sum(-(-len(run.data) // run.size) for run in output.runs)
    return switched + len(of_kind(output, Received | Handshake | NoticeReceived))


def test_a_batch_of_several_sessions(dataplane):
    pair = Pair(dataplane)
    batch = [pair.from_peer(number, 9, bytes((number,)) * 50) for number in (1, 2, 1, 3, 3)]
    out = pair.feed(batch)
    seen = of_kind(out, PathSeen)
    assert [(e.session, e.payload[0]) for e in of_kind(out, Received)] == [
        (1, 1),
        (2, 2),
        (1, 1),
        (3, 3),
        (3, 3),
    ]
    assert {event.session for event in seen} == {2, 3}  # they came by the path of 1
    assert out.events[0] == Received(1, 101, 9, b"\1" * 50, direct(1), DATA_FIXED + 50)
    assert all(event.size == DATA_FIXED + 50 for event in of_kind(out, Received))
    assert pair.here.drops() == {}


def test_every_reason_is_counted_by_its_name(dataplane):
    pair = Pair(dataplane, mtu=400)
    open_session(pair.here, 4, direct(4), mine=104, theirs=204, receive=104, send=204)
    stranger = dataplane()
    open_session(stranger, 1, direct(0), mine=204, theirs=104, receive=204, send=104)
    pair.here.set_direct(3, None, 0)
    good = pair.from_peer(1, 9, b"once")
    pair.feed([good])
    spoilt = bytearray(pair.from_peer(1, 9, b"spoilt"))
    spoilt[-1] ^= 1
    cases = {
        Drop.SHORT: [bytes((Type.DATA,)) + bytes(DATA_FIXED - 2), pair.forward(1, Label(), b"")],
        Drop.TYPE: [b"\0" * 64, b"\6" * 64, b"\xff"],
        Drop.BARE_NOTICE: [bytes((Type.NOTICE,)) + bytes(40)],
        Drop.INDEX: [bytes((Type.DATA,)) + bytes(60)],
        Drop.AUTH: [bytes(spoilt)],
        Drop.REPLAY: [good],
        Drop.HEADER: [
            pair.from_peer(1, FORWARD_CODEC, b""),
            pair.from_peer(1, FORWARD_CODEC, b"\0\x07abcdef"),
            pair.from_peer(1, FORWARD_CODEC, b"\2\1abcdef" + hello(1)),
            pair.from_peer(1, FORWARD_CODEC, b"\2\2\0\xff" + bytes(4) + hello(1)),
        ],
        Drop.LABEL: [pair.from_peer(1, FORWARD_CODEC, emit_header(b"\1" * 65) + hello(1))],
        Drop.UNKNOWN_SLOT: [
            pair.forward(1, Label.of(77), hello(1)),
            pair.from_peer(1, FORWARD_CODEC, b"\0\1\0" + bytes(5) + hello(1)),
            pair.from_peer(1, FORWARD_CODEC, b"\0\1\xff" + bytes(5) + hello(1)),
            pair.from_peer(1, FORWARD_CODEC, b"\0\1\xf1" + bytes(5) + hello(1)),
        ],
        Drop.LINK_DOWN: [pair.forward(1, Label.of(3), hello(1))],
        Drop.TOO_BIG: [pair.forward(1, Label.of(2), hello(1, 400))],
        Drop.U_TURN: [pair.forward(1, Label.of(1), hello(1))],
    }
    for drop, datagrams in cases.items():
        before = Counter(pair.here.drops())
        for datagram in datagrams:
            out = pair.feed([datagram])
            assert not of_kind(out, Received | Handshake | NoticeReceived), drop
            assert not out.runs, drop
        assert Counter(pair.here.drops()) - before == {drop: len(datagrams)}, drop
    [run] = stranger.seal(1, FORWARD_CODEC, [emit_header(b"\1") + hello(1)], 1.0).runs
    pair.feed([bytes(run.data)], source=4)
    assert pair.here.drops()[Drop.NO_PEERING] == 1
    pair.here.set_slot(1, None)
    pair.here.set_slot(300, 1)
    pair.feed([pair.forward(1, Label.of(2), hello(1))])
    assert pair.here.drops()[Drop.TOO_NARROW] == 1


def test_a_forward_packet_inside_an_upper_session_is_dropped(dataplane):
    pair = Pair(dataplane)
    inner = pair.from_peer(2, FORWARD_CODEC, emit_header(b"\3") + hello(1))
    out = pair.feed([pair.forward(1, Label(), inner)])
    assert not out.runs
    assert not of_kind(out, Received)
    assert pair.here.drops() == {Drop.CODEC: 1}


def test_what_arrives_by_a_label(dataplane):
    """At its end a packet is data of a session, a handshake, or a notice."""
    pair = Pair(dataplane)
    back = Routed(Label.of(1))
    pair.here.add_path(2, back)
    data = pair.from_peer(2, 9, b"hidden")
    notice = bytes((Type.NOTICE,)) + bytes(27)
    out = pair.feed([pair.forward(1, Label(), data)])
    [event] = out.events
    assert (event.session, event.payload, event.path) == (2, b"hidden", back)
    out = pair.feed([pair.forward(1, Label(), hello(5)), pair.forward(1, Label(), hello(6))])
    assert out.events == [Handshake(hello(5), back), Handshake(hello(6), back)]
    out = pair.feed([pair.forward(1, Label(), notice)])
    assert out.events == [NoticeReceived(notice, back)]
    pair.feed([pair.forward(1, Label(), bytes((Type.DATA,)) + bytes(DATA_FIXED))])
    pair.feed([pair.forward(1, Label(), b"\x09" + bytes(60))])
    assert pair.here.drops() == {Drop.INDEX: 1, Drop.TYPE: 1}
    assert pair.here.path_traffic(2, back).packets_received == 1


@given(st.lists(st.binary(max_size=120), min_size=1, max_size=8), st.integers(1, 200))
def test_random_bytes(dataplane, chunks, size):
    plane = dataplane()
    data = bytearray(b"".join(chunks))
    out = plane.receive(data, len(data), size, direct(1), 1.0)
    packets = -(-len(data) // size)
    assert sum(plane.drops().values()) + accounted(out) == packets


@pytest.mark.parametrize("seed", range(8))
def test_mangled_batches_are_accounted_for(dataplane, seed):
    """Whatever is flipped, cut, repeated or mixed: every packet is counted exactly once."""
    random = Random(seed)
    pair = Pair(dataplane, mtu=300)
    originals, fed, came = [], 0, 0
    for _ in range(60):
        fresh = [make(pair, random) for _ in range(random.randint(1, 6))]
        originals += fresh
        batch = [mangle(random.choice((d, random.choice(originals))), random) for d in fresh]
        for part in [batch] if random.random() < 0.5 else [[each] for each in batch]:
            size = len(part[0])
            data = bytearray(b"".join(part))
            slack = random.choice((0, 0, 7))  # a buffer is longer than what was read into it
            out = pair.here.receive(data + bytearray(slack), len(data), size, direct(1), 1.0)
            fed += -(-len(data) // size)
            came += accounted(out)
            assert len(of_kind(out, Refused)) <= 4
    assert sum(pair.here.drops().values()) + came == fed
    assert 0 < pair.here.forwarded()[0] <= came


def make(pair, random):
    number = random.choice(PEERS)
    kind = random.randrange(4)
    inner = random.choice((hello(7, 100), pair.from_peer(number, 9, bytes(70))))
    if kind == 0:
        return pair.from_peer(number, random.choice((0, 9)), random.randbytes(100))
    if kind == 1:
        return pair.forward(number, Label.of(random.randint(1, 5)), inner)
    if kind == 2:
        return pair.from_peer(number, FORWARD_CODEC, random.randbytes(random.randint(0, 400)))
    return hello(random.getrandbits(64), 100)


def mangle(datagram, random):
    raw = bytearray(datagram)
    kind = random.randrange(5)
    if kind == 0:
        raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
    elif kind == 1:
        raw = raw[: random.randint(1, len(raw))]
    elif kind == 2:
        raw += random.randbytes(random.randint(1, 9))
    return bytes(raw)


def test_single_bits(dataplane):
    """No bit of a datagram may be wrong, and none of the failures spoils the real one."""
    pair = Pair(dataplane)
    good = pair.from_peer(1, 9, b"payload")
    for bit in range(8 * len(good)):
        raw = bytearray(good)
        raw[bit // 8] ^= 1 << bit % 8
        out = pair.feed([bytes(raw)])
        assert not of_kind(out, Received)
    drops = pair.here.drops()
    assert sum(drops.values()) == 8 * len(good)
    assert set(drops) == {Drop.AUTH, Drop.INDEX, Drop.TYPE, Drop.BARE_NOTICE}
    assert of_kind(pair.feed([good]), Received)


def test_every_length_of_a_datagram(dataplane):
    pair = Pair(dataplane)
    good = pair.from_peer(1, 9, b"payload")
    for length in range(1, len(good)):
        out = pair.feed([good[:length]])
        assert out.events == []
    short = DATA_FIXED - 1
    assert pair.here.drops() == {Drop.SHORT: short, Drop.AUTH: len(good) - 1 - short}


def test_an_empty_batch(dataplane):
    plane = dataplane()
    out = plane.receive(bytearray(64), 0, 64, direct(1), 1.0)
    assert (out.runs, out.events, plane.drops()) == ([], [], {})


def test_runs_keep_order_and_sizes(dataplane):
    """Neighbours that go the same way from the same peering are one run of one size."""
    pair = Pair(dataplane)
    order = [2, 2, 3, 2, 3, 3, 3]
    batch = [pair.forward(1, Label.of(slot), hello(n, 80)) for n, slot in enumerate(order)]
    batch.append(pair.forward(1, Label.of(3), hello(7, 64)))  # the last may be shorter
    out = pair.feed(batch)
    assert [run.path for run in out.runs] == [direct(n) for n in (2, 3, 2, 3)]
    assert [len(split(run)) for run in out.runs] == [2, 1, 1, 4]
    opened = []
    for run in out.runs:
        peer = pair.peers[2 if run.path == direct(2) else 3]
        for datagram in split(run):
            [event] = feed(peer, [datagram], direct(0)).events
            opened.append(int.from_bytes(event.datagram[1:], "big"))
    assert opened == list(range(8))
    assert pair.here.forwarded() == (8, sum(map(len, batch)))


def test_a_dropped_packet_splits_no_buffer(dataplane):
    pair = Pair(dataplane)
    batch = [pair.forward(1, Label.of(slot), hello(1)) for slot in (2, 9, 2, 2)]
    out = pair.feed(batch)
    assert [len(split(run)) for run in out.runs] == [1, 2]


def test_one_batch_from_two_peerings_makes_a_run_for_each(dataplane):
    """What queues in fair turns is told apart by where it came from."""
    pair = Pair(dataplane)
    batch = [pair.forward(number, Label.of(3), hello(1)) for number in (1, 1, 2, 2, 1)]
    out = pair.feed(batch)
    assert [(run.ingress, len(split(run))) for run in out.runs] == [(1, 2), (2, 2), (1, 1)]


def test_few_refusals_of_a_batch_are_told(dataplane):
    pair = Pair(dataplane)
    batch = [pair.forward(1, Label.of(9), hello(n)) for n in range(20)]
    out = pair.feed(batch)
    assert len(of_kind(out, Refused)) == 4
    assert pair.here.drops() == {Drop.UNKNOWN_SLOT: 20}
    assert len(of_kind(pair.feed([pair.forward(1, Label.of(9), hello(1))]), Refused)) == 1


def test_a_refusal_says_what_a_notice_needs(dataplane):
    pair = Pair(dataplane)
    label = bytes((1, 5, 77, 6))
    raw = bytes((2, 4)) + label + bytes(2) + hello(3)
    [refused] = of_kind(pair.feed([pair.from_peer(1, FORWARD_CODEC, raw)]), Refused)
    assert refused == Refused(Code.UNKNOWN_SLOT, 0, 1, bytes((1, 5)), hello(3)[:24])


def test_the_first_packet_confirms_a_key(dataplane):
    plane, peer = dataplane(), dataplane()
    open_session(plane, 1, direct(1), mine=1, theirs=2, receive=1, send=2, confirmed=False)
    open_session(peer, 1, direct(0), mine=2, theirs=1, receive=2, send=1)
    first, second = (bytes(peer.seal(1, 9, [b"x"], 1.0).runs[0].data) for _ in range(2))
    spoilt = bytearray(first)
    spoilt[20] ^= 1
    assert feed(plane, [bytes(spoilt)], direct(1)).events == []
    events = feed(plane, [first], direct(1)).events
    assert events[0] == Confirmed(1, 1, direct(1))
    assert isinstance(events[1], Received)
    assert [type(e) for e in feed(plane, [second], direct(1)).events] == [Received]


def test_a_key_confirmed_by_hand_tells_nothing(dataplane):
    plane, peer = dataplane(), dataplane()
    open_session(plane, 1, direct(1), mine=1, theirs=2, receive=1, send=2, confirmed=False)
    open_session(peer, 1, direct(0), mine=2, theirs=1, receive=2, send=1)
    plane.confirm_opener(1)
    datagram = bytes(peer.seal(1, 9, [b"x"], 1.0).runs[0].data)
    assert [type(e) for e in feed(plane, [datagram], direct(1)).events] == [Received]


def test_only_the_newest_packet_shows_a_new_path(dataplane):
    pair = Pair(dataplane)
    old, new = (pair.from_peer(1, 9, b"x") for _ in range(2))
    out = pair.feed([new], source=50)
    assert of_kind(out, PathSeen) == [PathSeen(1, direct(50), len(new))]
    out = pair.feed([old], source=51)
    assert of_kind(out, PathSeen) == []
    assert len(of_kind(out, Received)) == 1
    assert of_kind(pair.feed([new], source=52), PathSeen) == []
    pair.here.add_path(1, direct(50))
    assert of_kind(pair.feed([pair.from_peer(1, 9, b"x")], source=50), PathSeen) == []
    pair.here.remove_path(1, direct(50))
    assert of_kind(pair.feed([pair.from_peer(1, 9, b"x")], source=50), PathSeen) != []


def test_keys_are_wiped_by_who_is_handed_them(dataplane):
    plane = dataplane()
    plane.add_session(1, address(1))
    receiving, sealing = key(5), key(6)
    plane.add_opener(1, 9, receiving, confirmed=True)
    plane.set_sealer(1, 8, sealing, FORWARD_CODEC)
    assert receiving == sealing == bytes(32)


def test_a_key_without_counters_left_seals_no_more(dataplane, monkeypatch):
    pair = Pair(dataplane)
    limit = {"pure": "rovy.dataplane.sealer.HARD_LIMIT"}
    monkeypatch.setattr(limit["pure"], 5)
    out = pair.here.seal(1, 9, [b"x"] * 7, 1.0)
    assert [len(split(run)) for run in out.runs] == [5]
    assert of_kind(out, Exhausted) == [Exhausted(1)]
    assert pair.here.drops() == {Drop.EXHAUSTED: 2}
    pair.here.seal(2, 9, [b"x"] * 5, 1.0)
    out = pair.feed([pair.forward(1, Label.of(2), hello(1))])
    assert [event.code for event in of_kind(out, Refused)] == [Code.LINK_DOWN]
    assert HARD_LIMIT < 1 << 56
