"""Ways to a node as users see them: the map's nodes, routes, and who stands at every hop."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from rovy.address.label import Label
from rovy.errors import Unreachable
from rovy.wire.datagram import Type
from tests.sim.overlay import now
from tests.sim.support import KEYS, Lab, virtual


@asynccontextmanager
async def square():
    """a - b - d and a - c - d; a's link to c is the longer one."""
    async with Lab(latency=0.005) as lab:
        a, b, c, d = [await lab.start(number) for number in range(4)]
        lab.net.link(lab.endpoint(a).host, lab.endpoint(c).host, latency=0.012)
        for near, far in ((a, b), (a, c), (b, d), (c, d)):
            near.keep(lab.url(far))
        await asyncio.sleep(8)
        yield lab, a, b, c, d


def ids(*nodes):
    return tuple(node.peer_id for node in nodes)


@virtual
async def test_nodes_of_the_map_come_by_cost_with_hops_and_links():
    async with square() as (_, a, b, c, d):
        found = a.map_nodes()
        assert tuple(node.peer for node in found) == ids(a, b, d, c)
        assert [node.hops for node in found] == [0, 1, 2, 1]
        assert found[0].cost == 0
        assert 0.005 < found[1].cost < 0.008
        assert {link.peer for link in found[2].links} == {*ids(b, c)}
        slots = {s.peer: s.slot for s in a.sessions() if s.slot}
        assert {link.peer: link.slot for link in found[0].links} == slots


@virtual
async def test_a_node_alone_has_a_map_of_itself():
    async with Lab() as lab:
        a = await lab.start(0)
        [node] = a.map_nodes()
        assert (node.peer, node.hops, node.cost, node.links) == (a.peer_id, 0, 0.0, ())


@virtual
async def test_every_hop_of_the_route_is_asked_without_a_session():
    async with square() as (_, a, b, _c, d):
        await asyncio.sleep(60)  # what the DHT had to ask is over
        began = now()
        traced = await a.traceroute(d.peer_id)
        assert traced.peer == d.peer_id
        assert tuple(hop.peer for hop in traced.hops) == ids(b, d)
        assert tuple(hop.expected for hop in traced.hops) == ids(b, d)
        near, far = (hop.rtts for hop in traced.hops)
        assert len(near) == len(far) == 3
        assert near == pytest.approx([0.01] * 3, rel=0.1)
        assert far == pytest.approx([0.02] * 3, rel=0.1)
        used = (s for s in a.sessions() if s.peer == d.peer_id)
        assert not any(s.packets_sent for s in used if s.age < now() - began)


@virtual
async def test_hops_that_do_not_answer_are_told_apart():
    async with square() as (lab, a, b, _c, d):
        label = (await a.resolve(d.peer_id))[0].label
        with lab.lost(lambda packet: packet.source == lab.endpoint(d)):
            traced = await a.traceroute(label, timeout=1.0)
        assert tuple(hop.peer for hop in traced.hops) == (b.peer_id, None)
        assert traced.hops[1].expected == d.peer_id
        assert traced.hops[1].rtts == (None, None, None)
        assert traced.peer == d.peer_id


@virtual
async def test_a_lost_question_is_not_repeated():
    """Else its round trip would include the wait."""
    async with square() as (lab, a, b, _c, _d):
        lost = []

        def first(packet):
            chosen = packet.destination == lab.endpoint(b) and packet.data[0] == Type.DATA
            lost.extend([packet] * (chosen and not lost))
            return chosen and packet is lost[0]

        await asyncio.sleep(0.5)
        with lab.lost(first):
            [hop] = (await a.traceroute(b.peer_id)).hops
        assert sum(rtt is None for rtt in hop.rtts) <= 1
        assert all(rtt < 0.02 for rtt in hop.rtts if rtt is not None)


@virtual
async def test_labels_are_followed_as_they_are():
    async with square() as (_, a, b, _c, d):
        slots = {s.peer: s.slot for s in b.sessions()}
        first = {s.peer: s.slot for s in a.sessions()}[b.peer_id]
        traced = await a.traceroute(str(Label.of(first, slots[d.peer_id], 99)), timeout=0.5)
        assert tuple(hop.peer for hop in traced.hops) == (*ids(b, d), None)
        assert traced.peer is None
        assert (await a.traceroute(Label())).hops == ()
        assert (await a.traceroute(a.peer_id)).hops == ()


@virtual
async def test_a_direct_session_without_a_slot_is_one_hop():
    async with Lab(latency=0.01) as lab:
        a, b = await lab.start(0), await lab.start(1)
        traced = await a.traceroute(lab.url(b))
        assert (traced.peer, traced.label) == (b.peer_id, None)
        [hop] = traced.hops
        assert hop.peer == b.peer_id
        assert hop.rtts == pytest.approx([0.02] * 3, rel=0.1)
        [route] = await a.resolve(b.peer_id)
        assert (route.label, route.hops, route.why) == (None, ids(b), "direct session")
        assert route.via.endswith(f">{lab.endpoint(b)}")


@virtual
async def test_nobody_knows_the_way_to_a_stranger():
    async with square() as (_, a, *_others):
        with pytest.raises(Unreachable, match="nobody knows where"):
            await a.traceroute(KEYS[9].peer_id)


@virtual
async def test_a_peering_with_two_addresses_has_two_ways_of_one_cost():
    async with Lab(latency=0.005) as lab:
        a, b = await lab.start(0), await lab.start(1, "198.51.100.2")
        a.keep(lab.url(b))
        a.keep(f"/ip4/198.51.100.2/udp/1312/rovy/{b.peer_id}")
        await asyncio.sleep(8)
        ways = [route for route in a.routes() if route.via]
        assert len(ways) >= 2
        assert len({(route.label, route.cost, route.hops) for route in ways}) == 1
        assert ways[0].cost is not None
