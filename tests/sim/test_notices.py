"""Refusals told, believed only by those who sent the packet, and acted upon; traces."""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from rovy.address.label import Label
from rovy.address.path import Routed
from rovy.dataplane.types import Drop
from rovy.errors import Unreachable
from rovy.forwarder import Lease, SlotTable
from rovy.node.mapper import Mapper
from rovy.noise import xeddsa
from rovy.wire.datagram import DATA, DATA_WORD, Type
from rovy.wire.notice import KEY, NONCE, SIGNATURE, TRACE_SIZE, Code, Notice, TraceAnswer
from tests.sim.support import KEYS, Lab, address, layer, plane, session, virtual


def now():
    return asyncio.get_running_loop().time()


def engine(node):
    return node._running.engine


@pytest.fixture
def without_map(monkeypatch):
    """Nodes know no routes but those they are told: a map would mend what is tested here."""
    monkeypatch.setattr(Mapper, "refresh", lambda mapper, peer: None)


def slot(node, peer):
    [info] = [s for s in node.sessions() if s.peer == peer.peer_id]
    return info.slot


def label_of(*nodes):
    """The label along nodes, every entry but the first in two bytes: it fits any slot."""
    slots = [slot(a, b) for a, b in pairwise(nodes)]
    return Label.of(slots[0], *[(each, 2) for each in slots[1:]])


async def join(lab, *pairs):
    """Let only these pairs of nodes reach each other, as peers."""
    for a, b in pairs:
        lab.net.link(lab.endpoint(a).host, lab.endpoint(b).host, up=True)
        a.keep(lab.url(b))
    await asyncio.sleep(1)


@asynccontextmanager
async def line(count, *, large=()):
    """Nodes in a row, each a peer of the next. `large`: (node, peer) numbers with a large slot."""
    async with Lab(connected=False) as lab:
        nodes = []
        for number in range(count):
            table = SlotTable()
            leases = {
                KEYS[peer].peer_id: Lease(3000 + peer) for node, peer in large if node == number
            }
            table.load(leases, 0.0)
            nodes.append(await lab.start(number, slots=table))
        await join(lab, *pairwise(nodes))
        yield lab, nodes


@asynccontextmanager
async def routed(count=3, **options):
    """A line whose ends have a session over the nodes between."""
    async with line(count, **options) as (lab, nodes):
        label = label_of(*nodes)
        await nodes[0].connect(f"{label}/rovy/{nodes[-1].peer_id}")
        await asyncio.sleep(1)
        yield lab, nodes, label


def forge(node, along, code, quote, mtu=0):
    """Send a refusal of no packet in particular."""
    engine(node).carry(Routed(along), Notice(code, mtu, quote).emit())


def quote_of(node, peer, back=1):
    """A true quote of what node sent to peer: some packets ago, 1 for the last."""
    index, _, following = plane(node).recent(session(node, peer).id, now())
    return DATA.pack(DATA_WORD | (following - back), index) + bytes(12)


def usable(node, peer, label):
    state = session(node, peer).paths.states.get(Routed(label))
    return state is not None and state.valid and not state.suspect


# Belief


@virtual
async def test_a_true_notice_is_believed():
    async with routed() as (_, (a, m, b), label):
        await a.ping(b.peer_id)
        forge(m, label_of(m, a), Code.LINK_DOWN, quote_of(a, b))
        await asyncio.sleep(0.03)
        assert a.stats().notices_believed["link_down"] == 1
        assert not usable(a, b, label)
        await asyncio.sleep(0.2)  # it was a lie, and the path answers
        assert usable(a, b, label)


@pytest.mark.parametrize("code", sorted(Code)[:5])
@pytest.mark.usefixtures("without_map")
@virtual
async def test_lies_change_nothing(code):
    """Wrong quotes, an off-path liar, one beyond the end, and quotes that are too old."""
    async with routed(4) as (lab, (a, m, n, b), label):
        x = await lab.start(4)
        await join(lab, (a, x), (m, x))
        await a.ping(b.peer_id)
        await asyncio.sleep(1)
        known = dict(session(a, b).paths.states)
        mtu = session(a, b).paths.active.mtu
        true = quote_of(a, b)
        _, _, following = plane(a).recent(session(a, b).id, now())
        lies = [
            (x, label_of(x, a), true),  # a peer that is not on the way
            (x, label_of(x, m, a), true),  # behind one that is
            (b, label_of(b, n, m, a), true),  # the end, which has nothing to refuse
            (m, label_of(m, a), bytes((Type.DATA,)) + bytes(23)),
            (m, label_of(m, a), DATA.pack(DATA_WORD | following, 7) + bytes(12)),
            (m, label_of(m, a), quote_of(a, b, back=0)),  # not used yet
            (m, label_of(m, a), quote_of(a, m)),  # another session's
            (m, label_of(m, a), bytes((Type.HELLO,)) + bytes(23)),
            (m, label_of(m, a), bytes((Type.RESPONSE,)) + bytes(23)),
        ]
        for node, along, quote in lies:
            forge(node, along, code, quote, mtu=700)
        await asyncio.sleep(0.2)
        assert a.stats().notices_ignored == {"not ours": len(lies)}
        await asyncio.sleep(14)
        old = quote_of(a, b)
        index, first, following = plane(a).recent(session(a, b).id, now() + 8)
        assert first == following
        await a.ping(b.peer_id)
        old = DATA.pack(DATA_WORD | 1, index) + old[12:]
        forge(m, label_of(m, a), code, old, mtu=700)
        await asyncio.sleep(0.2)
        assert a.stats().notices_ignored == {"not ours": len(lies) + 1}
        assert a.stats().notices_believed == {}
        assert session(a, b).paths.active.mtu == mtu
        assert [s.path for s in session(a, b).paths.states.values()] == list(known)
        assert usable(a, b, label)
        assert "label_mended" not in lab.kinds(a)


@virtual
async def test_a_notice_outside_a_forward_packet_is_dropped():
    async with routed() as (lab, (a, m, b), label):
        await a.ping(b.peer_id)
        lab.inject(m, a, Notice(Code.LINK_DOWN, 0, quote_of(a, b)).emit())
        lab.inject(m, a, Notice(Code.TRACE_REQUEST, 0, bytes(TRACE_SIZE)).emit())
        assert a.stats().dropped[Drop.BARE_NOTICE] == 2
        assert usable(a, b, label)


@virtual
async def test_notices_that_do_not_parse_are_counted():
    async with routed() as (_, (a, m, _b), _label):
        for raw in (
            b"\5",
            bytes((Type.NOTICE, 99)) + bytes(30),
            Notice(Code.LINK_DOWN, 0, bytes(23)).emit(),
            Notice(Code.TRACE_REQUEST, 0, bytes(TRACE_SIZE - 1)).emit(),
            Notice(Code.TRACE_ANSWER, 0, bytes(10)).emit(),
        ):
            engine(m).carry(Routed(label_of(m, a)), raw)
        await asyncio.sleep(0.1)
        assert a.stats().node["malformed notice"] == 5


# Limits


@virtual
async def test_a_flood_of_refusable_packets_gets_few_notices():
    async with line(2) as (lab, (a, m)):
        others = [await lab.start(number) for number in range(2, 6)]
        await join(lab, *[(other, m) for other in others])
        floods = [(node, Routed(Label.of(slot(node, m), 200))) for node in (a, *others)]
        data = bytes((Type.HELLO,)) + bytes(99)
        for _ in range(200):
            for node, way in floods[:1]:
                engine(node).carry(way, data)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        sent = m.stats().notices_sent
        assert 90 <= sent["unknown_slot"] <= 2 * 25 + 50 + 1  # one slot: 25 a second, 50 saved
        assert sent["rate limited"] == 200 - sent["unknown_slot"]
        await asyncio.sleep(10)
        for _ in range(200):
            for node, way in floods:
                engine(node).carry(way, data)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        more = m.stats().notices_sent["unknown_slot"] - sent["unknown_slot"]
        assert 190 <= more <= 2 * 50 + 100 + 1  # all: 50 a second, 100 saved
        assert m.stats().dropped[Drop.UNKNOWN_SLOT] == 200 * 6


@virtual
async def test_traces_share_the_limit():
    async with line(2) as (_, (a, m)):
        request = Notice(Code.TRACE_REQUEST, 0, bytes(TRACE_SIZE)).emit()
        for _ in range(200):
            engine(a).carry(Routed(label_of(a, m)), request)
        await asyncio.sleep(0.1)
        assert 50 <= m.stats().notices_sent["trace_answer"] <= 53
        assert a.stats().notices_ignored["trace not asked"] <= 53


# Acting


@virtual
async def test_a_u_turn_is_taken_out_and_the_session_opens():
    async with line(4) as (lab, (a, m, n, b)):
        bad = label_of(a, m, n, m, n, b)
        start = now()
        await a.connect(f"{bad}/rovy/{b.peer_id}", timeout=5)
        assert now() - start < 0.25  # no retry was needed: mended after the notice
        [event] = [e for e in lab.events[a] if e.kind == "label_mended"]
        assert event.peer == b.peer_id
        assert session(a, b).path.label.same_route(label_of(a, m, n, b))
        assert (await a.ping(b.peer_id)).rtt == pytest.approx(6 * 0.02)
        assert n.stats().notices_sent == {"u_turn": 1}


@virtual
async def test_several_u_turns_and_back_to_ourselves():
    async with line(3) as (_, (a, m, b)):
        bad = label_of(a, m, a, m, b, m, b)
        await a.connect(f"{bad}/rovy/{b.peer_id}", timeout=5)
        assert session(a, b).path.label.same_route(label_of(a, m, b))


@pytest.mark.usefixtures("without_map")
@virtual
async def test_a_narrow_entry_is_widened_and_the_session_opens():
    async with line(4, large=[(1, 0), (2, 1)]) as (lab, (a, m, n, b)):
        narrow = Label.of(slot(a, m), slot(m, n), slot(n, b))
        assert slot(m, a) > 239
        assert slot(n, m) > 239
        assert narrow.widths == (1, 1, 1)
        start = now()
        await a.connect(f"{narrow}/rovy/{b.peer_id}", timeout=5)
        assert now() - start < 0.3
        assert session(a, b).path.label.widths == (1, 2, 2)
        assert lab.kinds(a).count("label_mended") == 2
        await a.request(b.peer_id, "test/late", b"xyz")
        assert await b.request(a.peer_id, "test/late", b"xyz") == b"zyx"


@virtual
async def test_an_open_session_mends_a_label_it_is_given():
    """Traffic flows over the mended label while the direct path is there to compare."""
    async with line(3, large=[(1, 0)]) as (lab, (a, m, b)):
        lab.net.link(address(0), address(2), up=True, latency=0.2)
        await lab.join(a, b)
        narrow = Label.of(slot(a, m), slot(m, b))
        await a.connect(f"{narrow}/rovy/{b.peer_id}")
        await asyncio.sleep(20)
        await a.ping(b.peer_id)
        await asyncio.sleep(10)
        assert session(a, b).path == Routed(Label.of(slot(a, m), (slot(m, b), 2)))
        assert Routed(narrow) not in session(a, b).paths.states
        lab.net.cut(address(0), address(2))
        for _ in range(10):
            await a.send(b.peer_id, "test/data", b"on it goes")
        await asyncio.sleep(0.2)
        assert len(lab.got[b]) == 10


@pytest.mark.parametrize("fault", ["link down", "unknown slot"])
@pytest.mark.usefixtures("without_map")
@virtual
async def test_a_refusal_moves_traffic_to_the_other_route_at_once(fault):
    async with line(3) as (lab, (a, m, b)):
        n = await lab.start(3)
        await join(lab, (a, n), (n, b))
        first, second = label_of(a, m, b), label_of(a, n, b)
        for way in (first, second):
            await a.connect(f"{way}/rovy/{b.peer_id}")
        await asyncio.sleep(2)
        assert session(a, b).path == Routed(first)
        if fault == "link down":
            plane(m).set_direct(session(m, b).id, None, 0)
        else:
            plane(m).set_slot(slot(m, b), None)
        await a.send(b.peer_id, "test/data", b"lost")
        await asyncio.sleep(0.041)  # to m and back
        assert session(a, b).path == Routed(second)
        await a.send(b.peer_id, "test/data", b"goes round")
        await asyncio.sleep(0.05)
        assert lab.got[b] == [b"goes round"]


@virtual
async def test_too_big_lowers_the_mtu_and_pieces_are_used():
    async with routed() as (lab, (a, m, b), label):
        await a.ping(b.peer_id)
        await asyncio.sleep(1)
        state = session(a, b).paths.states[Routed(label)]
        assert state.mtu == 1452 - 29 - 8
        lab.net.link(address(1), address(2), mtu=1300)
        link = session(m, b)
        layer(m).limit_mtu(link, link.path, 1252, now())
        await a.send(b.peer_id, "test/data", bytes(1350))
        await asyncio.sleep(0.041)
        assert m.stats().notices_sent == {"too_big": 1}
        assert state.mtu == 1252 - 29 - 8
        await a.send(b.peer_id, "test/data", bytes(1350))
        await asyncio.sleep(0.1)
        assert lab.got[b] == [bytes(1350)]
        assert usable(a, b, label)


@virtual
async def test_too_big_cannot_push_a_path_below_what_is_sensible():
    async with routed() as (lab, (a, m, b), label):
        await a.ping(b.peer_id)
        forge(m, label_of(m, a), Code.TOO_BIG, quote_of(a, b), mtu=1)
        await asyncio.sleep(0.03)
        assert session(a, b).paths.states[Routed(label)].mtu == 576
        await a.send(b.peer_id, "test/data", bytes(8000))
        await asyncio.sleep(0.2)
        assert lab.got[b] == [bytes(8000)]
        forge(m, label_of(m, a), Code.TOO_BIG, quote_of(a, b), mtu=65535)
        await asyncio.sleep(0.03)
        assert session(a, b).paths.states[Routed(label)].mtu == 576


@pytest.mark.usefixtures("without_map")
@virtual
async def test_the_only_route_gone_is_said_soon():
    async with line(3) as (_, (a, m, b)):
        bad = Label.of(slot(a, m), 99)
        with pytest.raises(Unreachable):
            await a.connect(f"{bad}/rovy/{b.peer_id}", timeout=2)
        assert a.stats().notices_believed["unknown_slot"] >= 1


# Traces


@virtual
async def test_the_trace_of_each_prefix_names_each_hop():
    async with line(6, large=[(2, 1), (3, 4)]) as (_, nodes):
        label = label_of(*nodes)
        for prefix, node in zip(label.prefixes, nodes[1:], strict=True):
            start = now()
            assert await nodes[0].trace(prefix) == node.peer_id
            assert now() - start == pytest.approx(prefix.hops * 0.04)
        assert await nodes[0].trace(Label()) == nodes[0].peer_id
        with pytest.raises(Unreachable):
            await nodes[0].trace(Label.of(*label.slots[:2], 77), timeout=1)


@virtual
async def test_forged_answers_are_ignored():
    async with line(3) as (_, (a, m, b)):
        label = label_of(a, m, b)
        task = asyncio.create_task(a.trace(label))
        await asyncio.sleep(0.001)
        [nonce] = a._running.notices._traces
        back = label_of(b, m, a).data
        signature = xeddsa.sign(KEYS[1], b"rovy-trace1", nonce + back, bytes(64))
        honest = TraceAnswer(nonce, m.peer_id.key, signature, back)
        to_a = Routed(label_of(m, a))
        forged = [
            TraceAnswer(nonce, b.peer_id.key, signature, back),  # not his key
            TraceAnswer(nonce, m.peer_id.key, bytes(SIGNATURE), back),
            TraceAnswer(nonce, bytes(KEY), signature, back),
            TraceAnswer(bytes(NONCE), m.peer_id.key, signature, back),  # not asked
            TraceAnswer(nonce, m.peer_id.key, signature, label_of(m, a).data),  # another route
            TraceAnswer(nonce, m.peer_id.key, signature, b"\xff"),
        ]
        for answer in forged:
            assert answer != honest
            engine(m).carry(to_a, Notice(Code.TRACE_ANSWER, 0, answer.emit()).emit())
        assert await task == b.peer_id
        assert a.stats().notices_believed == {"trace_answer": 1}
        assert a.stats().notices_ignored == {"trace not asked": 1, "trace diverted": 1}
        assert a.stats().node["malformed notice"] == 4
        late = Notice(Code.TRACE_ANSWER, 0, honest.emit()).emit()
        engine(m).carry(to_a, late)
        await asyncio.sleep(0.1)
        assert a.stats().notices_ignored["trace not asked"] == 2


@virtual
async def test_a_lost_trace_is_repeated():
    async with line(3) as (lab, (a, m, b)):
        start = now()
        with lab.lost(lambda p: p.at < start + 0.4 and len(p.data) > 150):
            assert await a.trace(label_of(a, m, b)) == b.peer_id
        assert 0.5 < now() - start < 0.6


@virtual
async def test_bare_labels_are_traced_and_connected():
    async with line(3) as (_, (a, m, b)):
        label = label_of(a, m, b)
        assert await a.connect(str(label)) == b.peer_id
        pong = await a.ping(str(label))
        assert (pong.peer, pong.path) == (b.peer_id, Routed(label))
