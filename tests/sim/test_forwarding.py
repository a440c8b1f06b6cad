"""Packets follow labels over any graph, answers and notices find back, nothing breeds."""

from itertools import pairwise
from random import Random

import pytest

from rovy.address.label import MAX_SLOT, SMALL, Label, narrowest
from rovy.address.path import Routed
from rovy.dataplane.types import FORWARD_CODEC, Drop, PathDown
from rovy.forwarder import SlotTable, mend
from rovy.wire.datagram import DATA_FIXED, TAG, Type
from rovy.wire.forward import FORWARD_LIMIT, header_size
from rovy.wire.notice import Code, Notice
from tests.dataplanes import IMPLEMENTATIONS, address, direct, feed, hello, split
from tests.sim.mesh import Mesh, free_slot, random_mesh, told

SEEDS = range(12)


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def dataplane(request):
    return IMPLEMENTATIONS[request.param]


def meshes(dataplane, seed):
    random = Random(seed)
    nodes = random.randint(3, 12)
    most = nodes * (nodes - 1) // 2
    return random, random_mesh(dataplane, random, nodes, random.randint(nodes - 1, most))


@pytest.mark.parametrize("seed", SEEDS)
def test_packets_arrive_and_answers_come_back(dataplane, seed):
    random, mesh = meshes(dataplane, seed)
    for _ in range(25):
        wider = (lambda: random.random() < 0.3) if random.random() < 0.3 else lambda: False
        start = random.randrange(len(mesh.planes))
        walk = mesh.walk(random, start, random.randint(1, 12))
        label = mesh.label_of(walk, wider=wider)
        before = mesh.sent
        where, back = mesh.hello(start, label)
        assert where == walk[-1]
        assert mesh.sent - before == label.hops == len(walk) - 1
        assert (
            list(back.label.slots)
            == [mesh.slots[at][former] for former, at in pairwise(walk)][::-1]
        )
        again, forth = mesh.hello(where, back.label)
        assert again == start
        assert forth.label.same_route(label)
        # What came back is a label to use as it is.
        assert mesh.hello(start, forth.label)[0] == where
    assert not mesh.drops()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", ["unknown slot", "link down", "too big", "u-turn", "narrow"])
def test_a_notice_comes_back_from_any_hop(dataplane, seed, fault):
    random, mesh = meshes(dataplane, seed)
    for _ in range(6):
        walk, label, code, size = break_somewhere(mesh, random, fault)
        if label is None:
            continue
        mesh.log.clear()
        before = mesh.sent
        assert mesh.hello(walk[0], label, size) is None
        notice, back = told(mesh, walk[0], code, label)
        assert 1 <= back.hops < label.hops
        assert mesh.sent - before == 2 * back.hops
        assert notice.body[0] == Type.HELLO
        if code is Code.TOO_BIG:
            fits = notice.mtu - header_size(len(label.rest))
            assert mesh.hello(walk[0], label, fits)[0] == walk[-1]
            assert mesh.hello(walk[0], label, fits + 1) is None
        if code in (Code.U_TURN, Code.TOO_NARROW):
            assert mended_until_it_arrives(mesh, walk[0], label) == walk[-1]
        mend_all(mesh)


def mended_until_it_arrives(mesh, start, label):
    for _ in range(label.hops):
        mesh.log.clear()
        found = mesh.hello(start, label)
        if found:
            return found[0]
        [(notice, back)] = mesh.notices(start)
        label = mend(label, notice.code, back)
        assert label is not None
    return None


def break_somewhere(mesh, random, fault):
    """A walk, a label along it that fails at some node in between, why, and a size to send."""
    start = random.randrange(len(mesh.planes))
    walk = mesh.walk(random, start, random.randint(2, 8))
    if len(walk) < 3:
        return walk, None, None, 0
    at = random.randrange(1, len(walk) - 1)
    node, after = walk[at], walk[at + 1]
    if fault == "unknown slot":
        bad = (free_slot(mesh, random, node), 2)
        return walk, with_entry(mesh, walk, at, bad), Code.UNKNOWN_SLOT, 64
    if fault == "link down":
        if node == start:  # would not even leave
            return walk, None, None, 0
        mesh.planes[node].set_direct(after, None, 0)
        return walk, mesh.label_of(walk), Code.LINK_DOWN, 64
    if fault == "too big":
        mesh.planes[node].set_direct(after, direct(after), 600)
        return walk, mesh.label_of(walk), Code.TOO_BIG, 1200
    if fault == "u-turn":
        there_and_back = [*walk[: at + 1], walk[at - 1], *walk[at:]]
        return walk, mesh.label_of(there_and_back), Code.U_TURN, 64
    return walk, narrowed(mesh, walk), Code.TOO_NARROW, 64


def with_entry(mesh, walk, at, entry):
    label = mesh.label_of(walk)
    pairs = list(zip(label.slots, label.widths, strict=True))
    pairs[at] = entry
    return Label.of(*pairs)


def narrowed(mesh, walk):
    """The label with one entry that is too narrow for the slot of arrival; None: there is none."""
    pairs = [[slot, narrowest(slot)] for slot in mesh.label_of(walk).slots]
    label = Label.of(*map(tuple, pairs))
    return label if label.data != mesh.label_of(walk).data else None


def mend_all(mesh):
    for node, plane in enumerate(mesh.planes):
        for peer in mesh.slots[node]:
            plane.set_direct(peer, direct(peer), 9000)


def test_the_first_hop_is_the_senders_own(dataplane):
    mesh = Mesh(dataplane)
    a, b = mesh.node(), mesh.node()
    mesh.link(a, b, 7, 3839)
    for label in (Label.of(8), Label()):
        out = mesh.planes[a].carry(Routed(label), hello(1), 1.0)
        assert out.events == [PathDown(0, Routed(label))]
        assert not out.runs
    mesh.planes[a].set_direct(b, None, 0)
    out = mesh.planes[a].carry(Routed(Label.of(7)), hello(1), 1.0)
    assert out.events == [PathDown(0, Routed(Label.of(7)))]
    assert mesh.planes[a].drops() == {Drop.LINK_DOWN: 3}


@pytest.mark.parametrize("seed", SEEDS)
def test_hostile_labels_end_and_are_counted(dataplane, seed):
    """Whatever a peer writes as header, a packet takes at most as many links as it has bytes."""
    random, mesh = meshes(dataplane, seed)
    for _ in range(150):
        node = random.randrange(len(mesh.planes))
        peer = random.choice(sorted(mesh.slots[node]))
        raw = hostile(random, mesh)
        mesh.log.clear()
        mesh.unreadable = 0
        drops, sent = mesh.drops().total(), mesh.sent
        out = mesh.planes[node].seal(peer, FORWARD_CODEC, [raw], 1.0)
        mesh._out(node, out)
        mesh.run()
        crossed = mesh.sent - sent
        length = raw[1] if len(raw) > 1 else 0
        assert crossed <= 2 * (1 + length)  # there, and a notice back
        refused = mesh.drops().total() - drops
        handed_on = sum(kind in ("Handshake", "NoticeReceived") for kind in kinds(mesh))
        notices = kinds(mesh).count("Refused") - mesh.unreadable
        assert refused + handed_on == 1 + notices


def kinds(mesh):
    return [type(event).__name__ for _, event in mesh.log]


def hostile(random, mesh):
    """A forward packet of random bytes, or one that is nearly right."""
    if random.random() < 0.3:
        return random.randbytes(random.randint(0, 60))
    slots = [slot for node in mesh.slots for slot in node.values()]
    label = b""
    for _ in range(random.randint(0, 30)):
        slot = random.choice(slots)
        wide = slot > SMALL or random.random() < 0.2
        label += bytes((0xF0 + (slot >> 8), slot & 255)) if wide else bytes((slot,))
    if random.random() < 0.3:
        label = random.randbytes(random.randint(0, 100))
    pos = random.choice((0, 0, 0, len(label), random.randint(0, 255)))
    length = random.choice((len(label),) * 4 + (random.randint(0, 255),))
    inner = random.choice((hello(1), bytes((Type.NOTICE,)) + bytes(40), random.randbytes(40), b""))
    plain = bytes((pos, length)) + label
    return plain + bytes(-len(plain) % 8) + inner


def test_a_ring_is_left_after_as_many_links_as_the_label_has_entries(dataplane):
    mesh = Mesh(dataplane)
    nodes = [mesh.node() for _ in range(3)]
    for number, node in enumerate(nodes):
        mesh.link(node, nodes[(number + 1) % 3], 1, 2)
    label = Label.of(*[1] * (FORWARD_LIMIT + 1))
    assert mesh.hello(0, label) == (65 % 3, Routed(Label.of(*[2] * 65)))
    assert mesh.sent == 65
    assert mesh.hello(0, Label.of(*[1] * (FORWARD_LIMIT + 2))) is None
    assert mesh.drops() == {Drop.LABEL: 1}
    assert mesh.sent == 66


def test_no_notice_about_a_notice_nor_about_crumbs(dataplane):
    mesh = Mesh(dataplane)
    a, b = mesh.node(), mesh.node()
    mesh.link(a, b, 1, 2)
    for inner in (Notice(Code.LINK_DOWN, 0, bytes(24)).emit(), hello(1, 23), b""):
        mesh.send(a, Label.of(1, 9), inner)
    assert mesh.drops() == {Drop.UNKNOWN_SLOT: 3}
    assert kinds(mesh) == ["Watch"]
    mesh.send(a, Label.of(1, 9), hello(1, 24))
    assert kinds(mesh) == ["Watch", "Refused", "Watch", "NoticeReceived"]


@pytest.mark.parametrize("leave", [1, SMALL, SMALL + 1, 2000, MAX_SLOT])
def test_a_hub_with_every_slot_taken(dataplane, leave, full_table):
    """A node with 3839 peerings stands between two small ones."""
    hub_slots = full_table.leases()
    assert sorted(lease.slot for lease in hub_slots.values()) == list(range(1, MAX_SLOT + 1))
    mesh = Mesh(dataplane)
    a, hub, b = mesh.node(), mesh.node(), mesh.node()
    arrival = MAX_SLOT if leave != MAX_SLOT else 300
    mesh.link(a, hub, 1, arrival)
    mesh.link(hub, b, leave, 1)
    for slot in set(range(1, MAX_SLOT + 1)) - {arrival, leave}:
        mesh.planes[hub].add_session(10_000 + slot, address(10_000 + slot))
        mesh.planes[hub].set_slot(slot, 10_000 + slot)
    label = mesh.label_of([a, hub, b])
    assert label.widths == (1, 2)
    where, back = mesh.hello(a, label)
    assert where == b
    assert mesh.hello(b, back.label)[0] == a
    assert mesh.hello(a, Label.of(1, (5 if leave != 5 else 6, 2))) is None
    assert told(mesh, a, Code.LINK_DOWN, Label.of(1, 5))


@pytest.fixture(scope="module")
def full_table():
    table = SlotTable()
    for number in range(MAX_SLOT):
        table.take(number, 0.0)
    return table


def test_a_packet_too_big_by_one_byte(dataplane):
    mesh = Mesh(dataplane)
    a, b, c = mesh.node(), mesh.node(), mesh.node()
    mesh.link(a, b, 1, 1)
    mesh.link(b, c, 2, 1, mtu=1000)
    room = 1000 - DATA_FIXED - 8
    assert mesh.hello(a, Label.of(1, 2), room)[0] == c
    assert mesh.hello(a, Label.of(1, 2), room + 1) is None
    notice, _ = told(mesh, a, Code.TOO_BIG, Label.of(1, 2))
    assert notice.mtu == 1000 - DATA_FIXED


def test_forward_packets_of_a_session_without_slot_are_dropped(dataplane):
    mesh = Mesh(dataplane)
    a, b, c = mesh.node(), mesh.node(), mesh.node()
    mesh.link(a, b, 1, 1)
    mesh.link(b, c, 2, 1)
    mesh.planes[b].set_slot(1, None)
    assert mesh.hello(a, Label.of(1, 2)) is None
    assert mesh.hello(a, Label.of(1)) is None
    assert mesh.drops() == {Drop.NO_PEERING: 2}


def test_a_batch_is_switched_in_place_into_equal_runs_in_order(dataplane):
    mesh = Mesh(dataplane)
    a, b, c, d = (mesh.node() for _ in range(4))
    mesh.link(a, b, 1, 1)
    mesh.link(b, c, 2, 1)
    mesh.link(b, d, 3, 1)
    order = [c] * 5 + [d] * 3 + [c] * 2 + [d]
    labels = {c: Label.of(1, 2), d: Label.of(1, 3)}
    datagrams = []
    for number, target in enumerate(order):
        out = mesh.planes[a].carry(Routed(labels[target]), hello(number), 1.0)
        datagrams.append(bytes(out.runs[0].data))
    buffer = bytearray(b"".join(datagrams))
    out = mesh.planes[b].receive(buffer, len(buffer), len(datagrams[0]), direct(a), 1.0)
    assert [run.path for run in out.runs] == [direct(n) for n in (c, d, c, d)]
    assert [len(run.data) // run.size for run in out.runs] == [5, 3, 2, 1]
    assert all(run.data.obj is buffer and run.ingress == 1 for run in out.runs)
    assert mesh.planes[b].forwarded() == (11, len(buffer))
    seen = []
    for run in out.runs:
        target = c if run.path == direct(c) else d
        events = feed(mesh.planes[target], split(run), direct(b)).events
        seen += [(target, event.datagram) for event in events]
    assert seen == [(target, hello(number)) for number, target in enumerate(order)]


def test_the_header_overhead_is_as_designed(dataplane):
    """29 bytes direct; 66 routed with up to 6 nodes in between."""
    assert DATA_FIXED == 12 + 1 + TAG == 29
    for between in range(1, 7):
        assert DATA_FIXED + header_size(between) + DATA_FIXED == 66
