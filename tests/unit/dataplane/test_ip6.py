"""IPv6 packets between an interface and sessions: out, over nodes in between, and in again."""

from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.address.label import Label, narrowest
from rovy.address.path import Routed
from rovy.dataplane.types import (
    Drop,
    Exhausted,
    Held,
    PacketHeld,
    PathDown,
    PathSeen,
    Received,
    Watch,
)
from rovy.wire.datagram import DATA_FIXED
from rovy.wire.forward import header_size
from rovy.wire.ip6 import FIXED, HOP_LIMIT, LEAST_MTU, SAVED, squeeze
from tests.dataplanes import IMPLEMENTATIONS, address, direct, feed, key, open_session, split

IP6 = 3
"""Index of `ip6` in every node's table."""
LINK_MTU = 1452
A, B = 1, 2
PLAIN = 100
"""Bytes of a packet that fits anywhere."""


class Nodes:
    """Nodes 1, 2, 3 … in a row, and sessions between those that are not neighbours."""

    def __init__(self, factory, count=2, slots=lambda node, peer: peer):
        self.planes = {}
        self.slots = slots
        for node in range(1, count + 1):
            plane = self.planes[node] = factory()
            plane.set_own(address(node), IP6)
            for peer in (node - 1, node + 1):
                if 1 <= peer <= count:
                    self.open(node, peer, direct(peer))
                    plane.set_slot(slots(node, peer), peer)
        self.written = {node: [] for node in self.planes}
        """IPv6 packets that came to a node's interface."""
        self.events = {node: [] for node in self.planes}
        self.sizes = []
        """Of all datagrams that left, in order."""

    def open(self, node, peer, path, mtu=LINK_MTU):
        """A node's end of a session."""
        plane = self.planes[node]
        numbers = {
            "mine": node * 1000 + peer,
            "theirs": peer * 1000 + node,
            "receive": node * 1000 + peer,
            "send": peer * 1000 + node,
        }
        open_session(plane, peer, path, mtu=mtu, **numbers)
        plane.set_ip6(peer, IP6)

    def route(self, mtu=LINK_MTU):
        """A session between the first node and the last over all those in between; the last."""
        last = len(self.planes)
        for walk in (range(1, last + 1), range(last, 0, -1)):
            path = Routed(self.label(walk))
            self.open(walk[0], walk[-1], path, mtu)
            self.planes[walk[0]].set_direct(walk[-1], None, 0)
        return last

    def label(self, walk):
        entries = [self.slots(walk[0], walk[1])]
        for before, at, after in zip(walk, walk[1:], walk[2:], strict=False):
            leave, arrival = self.slots(at, after), self.slots(at, before)
            entries.append((leave, max(narrowest(leave), narrowest(arrival))))
        return Label.of(*entries)

    def transmit(self, node, *packets):
        """What the first call gives; what follows from it happens too."""
        out = self.planes[node].transmit(list(packets), 1.0)
        waiting = deque([(node, out)])
        while waiting:
            source, output = waiting.popleft()
            self.written[source] += output.packets
            self.events[source] += output.events
            for run in output.runs:
                target = next(n for n in self.planes if direct(n) == run.path)
                self.sizes += map(len, split(run))
                arrived = feed(self.planes[target], split(run), direct(source))
                waiting.append((target, arrived))
        return out


def packet(size=PLAIN, source=A, to=B, *, hop=64, filler=0):
    """An IPv6 packet of that many bytes, from one node's address to another's."""
    body = bytes((filler,)) * (size - 40)
    head = bytes.fromhex("6000beef") + len(body).to_bytes(2, "big") + bytes((17, hop))
    return head + address(source) + address(to) + body


def lowered(whole, hops):
    """The same after so many nodes in between."""
    return whole[:HOP_LIMIT] + bytes((whole[HOP_LIMIT] - hops,)) + whole[HOP_LIMIT + 1 :]


def changed(whole, at, value):
    return whole[:at] + value + whole[at + len(value) :]


def held(out):
    return [event for event in out.events if isinstance(event, PacketHeld)]


# Out and in


@pytest.mark.parametrize("size", [40, 41, 100, 1280, LINK_MTU + 3])
def test_a_direct_packet_is_three_bytes_shorter_on_the_wire(dataplane, size):
    nodes, sent = Nodes(dataplane), packet(size)
    out = nodes.transmit(A, sent)
    assert nodes.written[B] == [sent]
    assert nodes.sizes == [size - 3]
    assert out.used == {B}
    assert [run.path for run in out.runs] == [direct(B)]


@pytest.mark.parametrize("between", [1, 2, 5, 6])
def test_a_routed_packet_is_thirty_four_bytes_longer(dataplane, between):
    """With up to six nodes in between, and each lowers the hop limit by one."""
    nodes = Nodes(dataplane, between + 2)
    last = nodes.route()
    sent = packet(to=last)
    out = nodes.transmit(A, sent)
    assert nodes.written[last] == [lowered(sent, between)]
    assert set(nodes.sizes) == {PLAIN + 34}
    assert len(nodes.sizes) == between + 1
    assert out.used == {last}


def test_seven_nodes_in_between_cost_eight_bytes_more(dataplane):
    nodes = Nodes(dataplane, 9)
    nodes.transmit(A, packet(to=nodes.route()))
    assert set(nodes.sizes) == {PLAIN + 42}
    assert len(nodes.written[9]) == 1


def test_wide_slots_on_the_way(dataplane):
    nodes = Nodes(dataplane, 4, slots=lambda node, peer: 200 + 300 * node + peer)
    sent = packet(to=nodes.route())
    nodes.transmit(A, sent)
    assert nodes.written[4] == [lowered(sent, 2)]
    back = packet(source=4, to=A)
    nodes.transmit(4, back)
    assert nodes.written[A] == [lowered(back, 2)]


def test_all_of_the_header_but_the_hop_limit_arrives_as_it_was(dataplane):
    nodes = Nodes(dataplane, 3)
    sent = changed(packet(to=nodes.route()), 0, b"\x6f\xab\xcd\xef")
    nodes.transmit(A, sent)
    assert nodes.written[3] == [lowered(sent, 1)]


# Addresses


def test_addresses_are_those_of_the_session_whatever_is_sent(dataplane):
    """The sender seals what it likes: the source is it, the destination is the receiver."""
    nodes = Nodes(dataplane)
    for filler in (address(7), address(B), bytes(16)):
        forged = squeeze(packet()) + filler
        forged = changed(forged, 4, (len(forged) - FIXED).to_bytes(2, "big"))
        [run] = nodes.planes[A].seal(B, IP6, [forged], 1.0).runs
        [got] = feed(nodes.planes[B], split(run), direct(A)).packets
        assert got == forged[:FIXED] + address(A) + address(B) + forged[FIXED:]


def test_a_packet_that_came_by_an_unknown_path_is_its_sessions_all_the_same(dataplane):
    nodes = Nodes(dataplane)
    [run] = nodes.planes[A].transmit([packet()], 1.0).runs
    out = feed(nodes.planes[B], split(run), direct(77))
    assert out.packets == [packet()]
    assert [type(event) for event in out.events] == [PathSeen]


def test_a_replayed_packet_is_written_once(dataplane):
    nodes = Nodes(dataplane)
    [run] = nodes.planes[A].transmit([packet()], 1.0).runs
    assert len(feed(nodes.planes[B], split(run) * 3, direct(A)).packets) == 1
    assert nodes.planes[B].drops() == {Drop.REPLAY: 2}


def test_sessions_that_ended_take_no_packets(dataplane):
    nodes = Nodes(dataplane)
    nodes.planes[A].remove_session(B)
    [event] = nodes.transmit(A, packet()).events
    assert event == PacketHeld(Held.NO_SESSION, 0, packet())
    nodes.open(A, B, direct(B))
    assert nodes.transmit(A, packet()).runs


# What is dropped

MULTICAST, LINK_LOCAL = bytes.fromhex("ff02" + "00" * 14), bytes.fromhex("fe80" + "00" * 14)
SITE_LOCAL = bytes.fromhex("febf" + "ff" * 14)
DROPPED = {
    "empty": (b"", Drop.IP6),
    "39 bytes": (packet()[:39], Drop.IP6),
    "version 4": (changed(packet(), 0, b"\x40"), Drop.IP6),
    "a byte missing": (packet()[:-1], Drop.IP6),
    "a byte more": (packet() + b"\0", Drop.IP6),
    "jumbogram": (changed(packet(), 4, bytes(2)), Drop.IP6),
    "to all": (changed(packet(), 24, MULTICAST), Drop.IP6_MULTICAST),
    "to all from nowhere": (changed(packet(), 8, bytes(16) + MULTICAST), Drop.IP6_MULTICAST),
    "to link": (changed(packet(), 24, LINK_LOCAL), Drop.IP6_LINK_LOCAL),
    "from link": (changed(packet(), 8, LINK_LOCAL), Drop.IP6_LINK_LOCAL),
    "end of link": (changed(packet(), 8, SITE_LOCAL), Drop.IP6_LINK_LOCAL),
    "from a peer": (changed(packet(), 8, address(B)), Drop.IP6_SOURCE),
    "from nowhere": (changed(packet(), 8, bytes(16)), Drop.IP6_SOURCE),
    "nearly ours": (changed(packet(), 23, b"\xff"), Drop.IP6_SOURCE),
    "to fd00": (changed(packet(), 24, b"\xfd"), Drop.IP6_DESTINATION),
    "to fec0": (changed(packet(), 24, b"\xfe\xc0"), Drop.IP6_DESTINATION),
    "to 2001": (changed(packet(), 24, b"\x20\x01"), Drop.IP6_DESTINATION),
}


@pytest.mark.parametrize("name", DROPPED)
def test_what_is_not_carried_is_counted_by_its_name(dataplane, name):
    nodes, (bad, reason) = Nodes(dataplane), DROPPED[name]
    out = nodes.transmit(A, bad)
    assert (out.runs, out.events, out.packets, out.used) == ([], [], [], set())
    assert nodes.planes[A].drops() == {reason: 1}


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        squeeze(packet())[: FIXED - 1],
        squeeze(packet())[:-1],
        squeeze(packet()) + b"\0",
        changed(squeeze(packet()), 0, b"\x45"),
        changed(squeeze(packet()), 4, b"\xff\xff"),
    ],
    ids=["empty", "7 bytes", "a byte missing", "a byte more", "version 4", "a long length"],
)
def test_malformed_payloads_are_counted(dataplane, bad):
    nodes = Nodes(dataplane)
    [run] = nodes.planes[A].seal(B, IP6, [bad], 1.0).runs
    out = feed(nodes.planes[B], split(run), direct(A))
    assert (out.packets, out.events, out.used) == ([], [], set())
    out = nodes.planes[B].expand(A, bad)
    assert (out.packets, out.used) == ([], set())
    assert nodes.planes[B].drops() == {Drop.IP6: 2}


def test_a_header_alone_is_a_packet(dataplane):
    nodes = Nodes(dataplane)
    nodes.transmit(A, packet(40))
    assert nodes.written[B] == [packet(40)]


def test_who_takes_no_ip6_gets_it_as_any_other_codec(dataplane):
    nodes = Nodes(dataplane)
    nodes.planes[B].set_own(address(B), 0)
    nodes.transmit(A, packet())
    [event] = nodes.events[B]
    assert isinstance(event, Received)
    assert (event.codec, event.payload) == (IP6, squeeze(packet()))
    assert nodes.written[B] == []


def test_another_index_of_the_codec(dataplane):
    nodes = Nodes(dataplane)
    nodes.planes[B].set_own(address(B), 9)
    nodes.planes[A].set_ip6(B, 9)
    nodes.transmit(A, packet())
    assert nodes.written[B] == [packet()]


# What is held


def test_without_a_session_a_packet_is_handed_back(dataplane):
    nodes = Nodes(dataplane)
    stranger = packet(to=99)
    assert nodes.transmit(A, stranger).events == [PacketHeld(Held.NO_SESSION, 0, stranger)]
    assert nodes.planes[A].drops() == {}


@pytest.mark.parametrize("what", ["key", "path"])
def test_a_session_without_key_or_path_is_none_yet(dataplane, what):
    nodes = Nodes(dataplane)
    if what == "key":
        nodes.planes[A].clear_sealer(B)
    else:
        nodes.planes[A].set_path(B, None, 0)
    assert nodes.transmit(A, packet()).events == [PacketHeld(Held.NO_SESSION, 0, packet())]
    assert nodes.planes[A].drops() == {}


def test_a_peer_that_takes_no_ip6(dataplane):
    nodes = Nodes(dataplane)
    nodes.planes[A].set_ip6(B, 0)
    [event] = nodes.transmit(A, packet()).events
    assert (event.why, event.session, event.packet) == (Held.NO_IP6, B, packet())


def test_the_longest_packet_of_a_path_passes_and_a_longer_one_does_not(dataplane):
    nodes = Nodes(dataplane)
    room = LINK_MTU - DATA_FIXED + SAVED
    assert room == LINK_MTU + 3
    assert nodes.transmit(A, packet(room)).runs
    [event] = nodes.transmit(A, packet(room + 1)).events
    assert event == PacketHeld(Held.TOO_BIG, B, packet(room + 1), room)


def test_the_longest_packet_of_a_route(dataplane):
    nodes = Nodes(dataplane, 3)
    inner = LINK_MTU - DATA_FIXED - header_size(1)
    last = nodes.route(inner)
    assert nodes.transmit(A, packet(1418, to=last)).runs
    assert len(nodes.written[last]) == 1
    assert max(nodes.sizes) == LINK_MTU
    [event] = nodes.transmit(A, packet(1419, to=last)).events
    assert (event.why, event.mtu) == (Held.TOO_BIG, 1418)


@pytest.mark.parametrize("mtu", [1100, 1232, 1276])
def test_where_1280_bytes_do_not_fit_they_go_in_pieces(dataplane, mtu):
    nodes = Nodes(dataplane)
    nodes.planes[A].set_path(B, direct(B), mtu)
    assert nodes.transmit(A, packet(mtu + 3)).runs
    for size in (mtu + 4, LEAST_MTU):
        [event] = nodes.transmit(A, packet(size)).events
        assert (event.why, event.session, event.packet) == (Held.PIECES, B, packet(size))
    [event] = nodes.transmit(A, packet(LEAST_MTU + 1)).events
    assert (event.why, event.mtu) == (Held.TOO_BIG, LEAST_MTU)


@pytest.mark.parametrize("hop", [0, 1, 2, 3])
def test_the_hop_limit_ends_at_the_nodes_in_between(dataplane, hop):
    nodes = Nodes(dataplane, 4)
    last = nodes.route()
    sent = packet(to=last, hop=hop)
    out = nodes.transmit(A, sent)
    if hop == 3:
        assert nodes.written[last] == [lowered(sent, 2)]
    else:
        [event] = out.events
        assert (event.why, event.session, event.packet) == (Held.EXPIRED, last, sent)
        assert not out.runs


def test_to_a_neighbour_every_hop_limit_but_0_does(dataplane):
    nodes = Nodes(dataplane)
    nodes.transmit(A, packet(hop=1))
    assert nodes.written[B] == [packet(hop=1)]
    [event] = held(nodes.transmit(A, packet(hop=0)))
    assert event.why is Held.EXPIRED


def test_hop_limits_count_anew_on_another_path(dataplane):
    nodes = Nodes(dataplane, 4)
    last, sent = nodes.route(), packet(to=4, hop=2)
    assert held(nodes.transmit(A, sent))
    nodes.planes[A].set_path(last, direct(4), LINK_MTU)
    nodes.planes[4].add_path(A, direct(A))
    nodes.transmit(A, sent)
    assert nodes.written[4] == [sent]


def test_an_expired_packet_is_that_before_it_is_too_long(dataplane):
    nodes = Nodes(dataplane, 3)
    [event] = nodes.transmit(A, packet(3000, to=nodes.route(), hop=1)).events
    assert event.why is Held.EXPIRED


def test_the_rest_of_a_batch_leaves(dataplane):
    nodes = Nodes(dataplane)
    good = [packet(filler=n) for n in range(3)]
    bad = [packet(to=99), packet(3000), b"", changed(packet(), 8, bytes(16))]
    out = nodes.transmit(A, good[0], bad[0], bad[1], good[1], bad[2], bad[3], good[2])
    assert nodes.written[B] == good
    assert [event.why for event in held(out)] == [Held.NO_SESSION, Held.TOO_BIG]
    assert nodes.planes[A].drops() == {Drop.IP6: 1, Drop.IP6_SOURCE: 1}


def test_a_route_whose_first_hop_is_down(dataplane):
    nodes = Nodes(dataplane, 3)
    last = nodes.route()
    nodes.planes[A].set_direct(2, None, 0)
    out = nodes.transmit(A, *[packet(to=last)] * 3)
    path = Routed(nodes.label(range(1, 4)))
    assert [e for e in out.events if isinstance(e, PathDown)] == [PathDown(last, path)]
    assert nodes.planes[A].drops() == {Drop.LINK_DOWN: 3}
    assert out.runs == []


def test_a_key_without_counters_left_seals_no_packets(dataplane, monkeypatch):
    monkeypatch.setattr("rovy.dataplane.sealer.HARD_LIMIT", 3)
    nodes = Nodes(dataplane)
    out = nodes.transmit(A, *[packet()] * 5)
    assert len(nodes.written[B]) == 3
    assert [e for e in out.events if isinstance(e, Exhausted)] == [Exhausted(B)]
    assert nodes.planes[A].drops() == {Drop.EXHAUSTED: 2}


# Batches


def test_order_is_kept_within_a_session(dataplane):
    nodes = Nodes(dataplane, 3)
    batch = [packet(source=2, to=(1, 3)[n % 2], filler=n) for n in range(40)]
    out = nodes.transmit(2, *batch)
    assert nodes.written[1] == batch[::2]
    assert nodes.written[3] == batch[1::2]
    assert [run.path for run in out.runs] == [direct(1), direct(3)]
    assert out.used == {1, 3}


def test_neighbours_of_one_size_make_one_run(dataplane):
    nodes = Nodes(dataplane)
    sizes = [200] * 5 + [300, 200, 200]
    out = nodes.transmit(A, *map(packet, sizes))
    assert [(run.size, len(split(run))) for run in out.runs] == [(197, 5), (297, 1), (197, 2)]
    assert all(run.ingress == 0 for run in out.runs)


def test_no_run_is_longer_than_the_largest_datagram(dataplane):
    nodes = Nodes(dataplane)
    out = nodes.transmit(A, *[packet(1400)] * 64)
    assert all(len(run.data) <= 65507 for run in out.runs)
    assert len(nodes.written[B]) == 64


def test_an_empty_batch(dataplane):
    out = Nodes(dataplane).transmit(A)
    assert (out.runs, out.events, out.packets, out.used) == ([], [], [], set())


def test_packets_start_the_clock_for_silence_and_are_counted(dataplane):
    nodes = Nodes(dataplane)
    plane = nodes.planes[A]
    out = plane.transmit([packet()] * 2, 7.0)
    assert [event for event in out.events if isinstance(event, Watch)] == [Watch(B)]
    assert plane.waiting(B) == 7.0
    assert plane.traffic(B).packets_sent == 2
    assert plane.traffic(B).bytes_sent == 2 * (PLAIN - 3)
    assert plane.path_traffic(B, direct(B)).packets_sent == 2
    assert plane.recent(B, 7.0) == (B * 1000 + A, 0, 2)
    nodes.transmit(B, packet(source=B, to=A))
    assert plane.waiting(B) == 0.0
    assert plane.traffic(B).packets_received == 1


def test_packets_that_arrive_show_that_a_session_is_used(dataplane):
    nodes = Nodes(dataplane)
    [run] = nodes.planes[A].transmit([packet()], 1.0).runs
    assert feed(nodes.planes[B], split(run), direct(A)).used == {A}


# Pieces


def test_a_payload_put_together_from_pieces_is_a_packet_again(dataplane):
    nodes = Nodes(dataplane)
    whole = packet(1280)
    out = nodes.planes[B].expand(A, squeeze(whole))
    assert (out.packets, out.used, out.events) == ([whole], {A}, [])


# Whatever comes


@given(st.data())
def test_no_packet_from_the_interface_breaks_it(dataplane, data):
    nodes = Nodes(dataplane, 3)
    last = nodes.route()
    base = packet(data.draw(st.sampled_from((40, 60, 1280, 1500))), to=data.draw(near(last)))
    batch = data.draw(st.lists(st.binary(max_size=90) | mangled(base), max_size=8))
    out = nodes.planes[A].transmit(batch, 1.0)
    left = sum(len(split(run)) for run in out.runs)
    dropped = sum(nodes.planes[A].drops().values())
    assert left + dropped + len(held(out)) == len(batch)
    assert {packet for event in held(out) for packet in [event.packet]} <= set(batch)


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=6))
def test_no_payload_of_a_peer_breaks_it(dataplane, payloads):
    nodes = Nodes(dataplane)
    datagrams = [
        datagram
        for payload in payloads
        for run in nodes.planes[A].seal(B, IP6, [payload], 1.0).runs
        for datagram in split(run)
    ]
    written = 0
    for datagram in datagrams:
        out = feed(nodes.planes[B], [datagram], direct(A))
        written += len(out.packets)
        for got in out.packets:
            assert got[8:40] == address(A) + address(B)
            assert int.from_bytes(got[4:6], "big") == len(got) - 40
    assert written + sum(nodes.planes[B].drops().values()) == len(payloads)


def near(last):
    return st.sampled_from((B, last, 99))


def mangled(base):
    """The packet with a few bytes changed, cut or added."""
    bytes_ = st.tuples(st.integers(0, len(base) - 1), st.binary(min_size=1, max_size=2))
    several = st.lists(bytes_, max_size=2)
    return st.tuples(several, st.integers(0, 2)).map(lambda parts: _mangle(base, *parts))


def _mangle(base, changes, extra):
    for at, value in changes:
        base = changed(base, at, value)[: len(base)]
    return base + bytes(extra) if extra < 2 else base[:-1]


def test_all_implementations_write_the_same(dataplane):
    """A batch of every kind, byte for byte."""
    random = Random(5)

    def run(factory):
        nodes = Nodes(factory, 4)
        last, out = nodes.route(), []
        plane = nodes.planes[A]
        plane.set_sealer(B, B * 1000 + A, key(7), 1)
        for _ in range(20):
            batch = [
                packet(random.randrange(40, 1600), to=random.choice((B, last, 99)), hop=h)
                for h in (0, 1, 2, 3, 64, 255)
            ]
            result = plane.transmit(batch, 1.0)
            out.append(([(r.path, r.size, bytes(r.data)) for r in result.runs], result.events))
        return out, plane.drops()

    first = run(dataplane)
    random.seed(5)
    assert run(IMPLEMENTATIONS["pure"]) == first
