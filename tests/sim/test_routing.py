"""Nodes that are given only their neighbours' addresses find everyone, and go on finding them."""

from random import Random

import networkx as nx
import pytest

from rovy.address.path import Direct, Routed
from rovy.dataplane.types import Drop
from rovy.errors import Unreachable
from rovy.node import NodeConfig
from rovy.routing.suspects import FIRST
from rovy.session.session import Session
from rovy.wire.flood import Summary
from rovy.wire.forward import LEN, POS
from tests.sim.overlay import Overlay, Stream, asyncio, now, overlay, square
from tests.sim.support import Lab, address, plane, private_key, session, virtual

DIAMOND = nx.Graph([(0, 1), (1, 4), (0, 2), (2, 4), (0, 3), (3, 4)])
"""Three ways from 0 to 4, each of two hops."""
PACKET = 0.01
"""Seconds between packets of a stream, which is how exact its gaps are."""


def slow(value):
    """A parameter of `make sim` alone."""
    return pytest.param(value, marks=pytest.mark.slow)


def path_changes(net, a, b, since):
    """How often another path became the one that carries data."""
    peer = net[b].peer_id
    events = net.lab.events[net[a]][since:]
    return sum(event.kind == "path_changed" and event.peer == peer for event in events)


def suspected(net, number):
    return net[number].stats().node.get("suspected link", 0)


def silent_bound(latency, hops=2):
    """What a cut may cost that nobody tells of: max(200 ms, 3 RTT), and a packet."""
    return max(0.2, 3 * 2 * hops * latency) + 2 * PACKET


# Everyone finds everyone


@pytest.mark.parametrize("shape", ["line", "ring", "tree", "star"])
@virtual
async def test_everyone_reaches_everyone_by_id_and_by_address(shape):
    graph = {
        "line": nx.path_graph(5),
        "ring": nx.cycle_graph(6),
        "tree": nx.balanced_tree(2, 2),
        "star": nx.star_graph(4),
    }[shape]
    async with overlay(graph) as net:
        await net.settled(3.0)
        for a in net.nodes:
            for b in net.nodes:
                for target in (f"/rovy/{net[b].peer_id}", f"/ip6/{ip6(net[b])}"):
                    pong = await net[a].ping(target, timeout=2.0)
                    assert pong.peer == net[b].peer_id
                hops = nx.shortest_path_length(net.graph, a, b)
                assert pong.rtt == pytest.approx(hops * 0.04)
        assert all(suspected(net, number) == 0 for number in net.nodes)
        assert drops(net) <= {Drop.INDEX}


def ip6(node):
    packed = node.peer_id.address.hex()
    return ":".join(packed[at : at + 4] for at in range(0, 32, 4))


def drops(net):
    return {reason for node in net.nodes.values() for reason in node.stats().dropped}


@virtual
async def test_a_node_nobody_has_heard_of_is_unreachable_after_a_second():
    async with overlay(nx.path_graph(3)) as net:
        await net.settled()
        stranger = private_key(20).peer_id
        for target in (f"/rovy/{stranger}", "/ip6/fc00::1"):
            since = now()
            with pytest.raises(Unreachable) as caught:
                await net[0].ping(target)
            assert caught.value.reason == "no route"
            assert now() - since <= 1.1


@virtual
async def test_who_asks_before_the_map_is_there_waits_for_it():
    async with overlay(nx.path_graph(4)) as net:
        pong = await net[0].ping(f"/rovy/{net[3].peer_id}", timeout=3.0)
        assert pong.peer == net[3].peer_id


@virtual
async def test_resolve_names_the_nodes_along_the_ways():
    async with overlay(square()) as net:
        await net.settled()
        await net[0].resolve(net[3].peer_id)
        await asyncio.sleep(1.0)
        infos = await net[0].resolve(net[3].peer_id)
        ids = {number: net[number].peer_id for number in net.nodes}
        assert {info.hops for info in infos} == {(ids[1], ids[3]), (ids[2], ids[3])}
        assert [info.state for info in infos] == ["active", "warm"]
        assert {round(info.rtt, 3) for info in infos} == {0.08}


@virtual
async def test_far_nodes_that_open_towards_each_other_agree_on_keys():
    """A round trip of 1.2 s, longer than the waits between copies of a hello."""
    async with overlay(nx.path_graph(13), latency=0.05) as net:
        await net.settled()
        took = await net.answers([(0, 12), (12, 0)], 10.0)
        assert max(took.values()) <= 3.5
        assert suspected(net, 0) == suspected(net, 12) == 0


@virtual
async def test_a_long_way_is_not_silent_before_it_was_measured():
    """Its round trip is longer than what a path without a measurement is granted."""
    async with overlay(nx.path_graph(10), latency=0.02) as net:
        await net.settled()
        async with Stream(net, 0, 9) as stream:
            await asyncio.sleep(5.0)
        assert not stream.lost()
        assert len(net.session(0, 9).paths.states) == 1
        kinds = [event.kind for event in net.lab.events[net[0]] if event.peer == net[9].peer_id]
        assert kinds == ["session_established", "path_changed"]


# Backups


@virtual
async def test_sessions_in_use_get_backups_and_give_them_back():
    async with overlay(DIAMOND) as net:
        await net.settled()
        async with Stream(net, 0, 4, every=0.1):
            await asyncio.sleep(8.0)
            states = net.session(0, 4).paths.states
            assert len(states) == 3
            assert all(state.valid for state in states.values())
            hops = {tuple(net.services(0).mapper.follow(path.label)) for path in states}
            assert len(hops) == 3


@virtual
async def test_backups_that_are_tried_displace_nobody():
    """A peering at rest: the other end sees packets by a route, and stays on the direct path."""
    async with overlay(nx.cycle_graph(4)) as net:
        await net.settled()
        since = len(net.lab.events[net[1]])
        for _ in range(3):
            await net[0].send(net[1].peer_id, "sim/back", b"once")
            await asyncio.sleep(8.0)
        assert any(isinstance(path, Routed) for path in net.session(0, 1).paths.states)
        assert path_changes(net, 1, 0, since) == 0
        for a, b in ((0, 1), (1, 0)):
            assert isinstance(net.active(a, b), Direct)
            assert not any(state.suspect for state in net.session(a, b).paths.states.values())
        # At rest the backups go: their probes would never end.
        await asyncio.sleep(30.0)
        assert [type(path) for path in net.session(0, 1).paths.states] == [Direct]
        assert [type(path) for path in net.session(1, 0).paths.states] == [Direct]
        assert net.services(0).mapper.flood.counts["own record"] == 1


@virtual
async def test_routes_tried_from_both_ends_come_to_rest():
    """Each end offers routes of its own choice, and sees more of the other's than it can try."""
    async with overlay(nx.grid_2d_graph(6, 5), latency=0.001) as net:
        await net.settled()
        for a, b in ((0, 24), (24, 0), (4, 25), (25, 4)):
            await net[a].ping(net[b].peer_id)
            await net[a].send(net[b].peer_id, "sim/back", bytes(8))
        for _ in range(16):  # long enough for the DHT to have joined, and in use all the while
            await asyncio.sleep(5.0)
            for a, b in ((0, 24), (24, 0), (4, 25), (25, 4)):
                await net[a].send(net[b].peer_id, "sim/back", bytes(8))
        since, seconds = now(), 5.0
        await asyncio.sleep(seconds)
        probes = sum(packet.at >= since for packet in net.lab.sent) / seconds
        links = len(net.graph.edges)
        assert probes <= 4 * links / 3 + 150


# Failover


@pytest.mark.parametrize("seed", [1, slow(2), slow(3), slow(4)])
@pytest.mark.parametrize("latency", [slow(0.001), 0.0125, slow(0.05), slow(0.1)])
@pytest.mark.parametrize("what", ["near link", "far link", "node"])
@virtual
async def test_silence_moves_traffic_in_time(what, latency, seed):
    async with overlay(square(), seed, latency=latency) as net:
        await net.settled()
        async with Stream(net, 0, 3, PACKET) as stream:
            await asyncio.sleep(7 + Random(seed).random())
            _, via, _ = net.route(0, 3)
            at = now()
            await fail(net, what, via)
            await asyncio.sleep(2 + 20 * latency)
            # One round trip's worth was under way.
            assert stream.gap(at - 4 * latency) <= silent_bound(latency) + 4 * latency
            assert net.route(0, 3) == [0, 3 - via, 3]
            assert net.route(3, 0) == [3, 3 - via, 0]


async def fail(net, what, via):
    if what == "near link":
        net.cut(0, via)
    elif what == "far link":
        net.cut(via, 3)
    else:
        await net.crash(via)


@pytest.mark.parametrize("latency", [0.001, 0.02, 0.1])
@virtual
async def test_a_forwarder_that_says_so_costs_a_round_trip(latency):
    """The peering behind it ends: it refuses, and the next packet takes the other way."""
    async with overlay(square(), latency=latency) as net:
        await net.settled()
        async with Stream(net, 0, 3, PACKET) as stream:
            await asyncio.sleep(8.0)
            _, via, _ = net.route(0, 3)
            at = now()
            end_session(net, via, 3)
            await asyncio.sleep(3.0)
            assert stream.gap(at - 4 * latency) <= 4 * latency + 4 * latency + 2 * PACKET
            assert net.route(0, 3) == [0, 3 - via, 3]
            assert net[0].stats().notices_believed


def end_session(net, a, b):
    """A node tells its peer that it forgets their session, and forgets it."""
    services = net.services(a)
    net.nodes[a]._running.peerings.kept.pop(net[b].peer_id, None)
    net.nodes[b]._running.peerings.kept.pop(net[a].peer_id, None)
    services.engine.sessions.close(net.session(a, b), now())
    services.engine.pump()


@virtual
async def test_a_link_that_is_gone_from_the_map_moves_sessions_that_say_nothing():
    """At rest nobody notices a route's end but by the record of a node on it."""
    async with overlay(square()) as net:
        await net.settled()
        await net[0].ping(net[3].peer_id)
        await asyncio.sleep(8.0)
        _, via, _ = net.route(0, 3)
        at = now()
        end_session(net, via, 3)
        await asyncio.sleep(0.5)
        assert net.route(0, 3) == [0, 3 - via, 3]
        [moved] = [p.at for p in net.lab.packets(net[0], since=at) if p.at <= at + 0.2][:1] or [at]
        assert moved - at <= 0.2
        assert (await net[0].ping(net[3].peer_id, timeout=0.5)).rtt == pytest.approx(0.08)


@pytest.mark.slow
@virtual
async def test_the_last_way_is_found_again_when_it_is_mended():
    async with overlay(nx.path_graph(3)) as net:
        await net.settled()
        async with Stream(net, 0, 2, 0.05) as stream:
            await asyncio.sleep(5.0)
            net.cut(1, 2)
            await asyncio.sleep(20.0)
            net.mend(1, 2)
            at = now()
            await asyncio.sleep(70.0)
        assert stream.gap(at) <= 65.0
        assert net.complete()


# Suspects


def swallow(node):
    """Let a forwarder drop transit without a word, traces included; gives how to end that."""
    plain = plane(node)._forward
    begins = 13  # header and codec byte

    def forward(view, at, *rest):
        passes = view[at + begins + POS] < view[at + begins + LEN]
        return None if passes else plain(view, at, *rest)

    plane(node)._forward = forward
    return lambda: setattr(plane(node), "_forward", plain)


@pytest.mark.slow
@virtual
async def test_a_forwarder_that_swallows_packets_is_found_and_left_for_half_a_minute():
    async with overlay(square(), latency=0.0125) as net:
        net.link(0, 1, latency=0.006)
        await net.settled()
        await asyncio.sleep(8.0)
        async with Stream(net, 0, 3, 0.05) as stream:
            await asyncio.sleep(30.0)
            assert net.route(0, 3) == [0, 1, 3]
            stop, at = swallow(net[1]), now()
            await asyncio.sleep(3.0)
            assert stream.gap(at - 0.05) <= 0.4
            assert net.route(0, 3) == [0, 2, 3]
            one, three = net[1].peer_id.short, net[3].peer_id.short
            found = net.services(0).router.suspects.active(now())
            assert found == {tuple(sorted((one, three)))}
            assert suspected(net, 0) == 1
            stop()
            since = len(net.lab.events[net[0]])
            await asyncio.sleep(FIRST - 5.0)
            assert net.route(0, 3) == [0, 2, 3]
            assert path_changes(net, 0, 3, since) == 0
            await asyncio.sleep(60.0)
            assert net.route(0, 3) == [0, 1, 3]  # the better one, which works again
            assert not stream.lost(at + 0.5)


@pytest.mark.slow
@virtual
async def test_a_forwarder_that_goes_on_swallowing_gets_no_traffic_again():
    async with overlay(DIAMOND, latency=0.0125) as net:
        net.link(0, 1, latency=0.006)
        await net.settled()
        await asyncio.sleep(8.0)
        async with Stream(net, 0, 4, 0.05) as stream:
            await asyncio.sleep(30.0)
            assert net.route(0, 4) == [0, 1, 4]
            swallow(net[1])
            at = now()
            await asyncio.sleep(200.0)
            assert stream.gap(at - 0.05) <= 0.4
            assert net.route(0, 4) != [0, 1, 4]
            assert len(net.session(0, 4).paths.states) >= 2


@virtual
async def test_a_target_that_is_gone_makes_only_its_links_suspect():
    async with overlay(square()) as net:
        await net.settled()
        async with Stream(net, 0, 3, 0.05):
            await asyncio.sleep(8.0)
            net.lab.net.filters.append(
                lambda source, to, data: None if address(3) in (source.host, to.host) else data
            )
            await asyncio.sleep(2.5)
            three = net[3].peer_id.short
            for element in net.services(0).router.suspects.active(now()):
                assert three in element
        assert (await net[0].ping(net[1].peer_id, timeout=0.5)).rtt == pytest.approx(0.04)


# Better and worse routes


@pytest.mark.slow
@virtual
async def test_routes_follow_better_links_without_loss():
    async with overlay(DIAMOND) as net:
        await net.settled()
        async with Stream(net, 0, 4, 0.05) as stream:
            await asyncio.sleep(10.0)
            for best in (1, 2, 3):
                for via in (1, 2, 3):
                    for end in (0, 4):
                        net.link(end, via, latency=0.01 if via == best else 0.02)
                await asyncio.sleep(60.0)
                assert net.route(0, 4) == [0, best, 4]
                assert net.route(4, 0) == [4, best, 0]
            assert not stream.lost()


@pytest.mark.slow
@virtual
async def test_routes_that_are_nearly_alike_do_not_take_turns():
    """Less than a tenth apart, and no better than chance."""
    async with overlay(DIAMOND) as net:
        for number, via in enumerate((1, 2, 3)):
            for end in (0, 4):
                net.link(end, via, latency=0.02 * (1 - 0.03 * number))
        await net.settled()
        async with Stream(net, 0, 4, 0.1) as stream:
            await asyncio.sleep(20.0)
            since = len(net.lab.events[net[0]])
            for turn in range(10):
                for via in (1, 2, 3):
                    for end in (0, 4):
                        near = 0.02 * (1 - 0.03 * ((via + turn) % 3))
                        net.link(end, via, latency=near)
                await asyncio.sleep(20.0)
            assert path_changes(net, 0, 4, since) == 0
            assert not stream.lost()


@pytest.mark.slow
@virtual
async def test_jitter_makes_nobody_change():
    for seed in range(3):
        async with overlay(DIAMOND, seed, jitter=0.02) as net:
            await net.settled()
            async with Stream(net, 0, 4, 0.05) as stream:
                await asyncio.sleep(30.0)
                since, records = len(net.lab.events[net[0]]), told(net)
                await asyncio.sleep(600.0)
                assert path_changes(net, 0, 4, since) <= 2
                assert told(net) - records <= 0.1 * 600 / 60 * len(net.nodes)
                assert suspected(net, 0) == 0
                assert not stream.lost()


def told(net):
    """Records that all nodes have signed."""
    return sum(node.stats().routing["own record"] for node in net.nodes.values())


# The network as a whole


@virtual
async def test_two_networks_become_one_and_two_again():
    async with overlay(nx.disjoint_union(nx.cycle_graph(4), nx.cycle_graph(3))) as net:
        await net.settled()
        assert set(net.sizes().values()) == {4, 3}
        net.link(2, 5)
        assert await net.settled() <= 2.0
        assert len(await net.answers([(0, 6), (6, 1)], 2.0)) == 2
        net.cut(2, 5)
        net.graph.remove_edge(2, 5)
        assert await net.settled(30.0) <= 6.0
        with pytest.raises(Unreachable):
            await net[0].ping(net[6].peer_id, timeout=3.0)
        net.mend(2, 5)
        net.graph.add_edge(2, 5)
        assert await net.settled(120.0) <= 70.0
        assert len(await net.answers([(0, 6), (6, 1)], 5.0)) == 2


@virtual
async def test_a_node_restarts_with_its_clock_lost():
    """Its slots are others too, so nobody's map confirms its record from before."""
    async with overlay(nx.cycle_graph(6)) as net:
        await net.settled()
        assert len(await net.answers([(0, 3)], 2.0)) == 1
        before, bound = net[3].sequence, net[3].stamp_bound
        await net.crash(3)
        assert await net.settled(30.0) <= 6.0
        node = await net.start(3, stamp_bound=bound)
        net.lab.skew[node] = -500.0
        net.link(3, 4)
        net.link(3, 2)
        assert await net.settled(30.0) <= 10.0
        await asyncio.sleep(1.0)
        assert net[3].sequence == before + 1
        assert net[3].stats().routing["own record from before"] >= 1
        assert len(await net.answers([(0, 3), (3, 0)], 5.0)) == 2


@virtual
async def test_a_node_restarts_and_goes_on_above_what_was_written_down():
    async with overlay(nx.path_graph(3)) as net:
        await net.settled()
        before = net[2].sequence
        await net.crash(2)
        net.lab.skew.clear()
        node = await net.start(2, sequence=before, stamp_bound=10**18)
        net.lab.skew[node] = -500.0
        net.link(2, 1)
        await net.settled(30.0)
        assert net[2].sequence == before + 1
        assert net[2].stats().routing["own record"] == 1


@virtual
async def test_a_peer_that_takes_no_pieces_harms_only_itself():
    """What it would be told is too long for one datagram, and nothing breaks over it."""
    async with overlay(nx.star_graph(11)) as net:
        await net.settled()
        peers = [s for s in net.services(0).engine.sessions if s.peer == net[11].peer_id]
        for each in peers:
            forget_codec(each, "piece")
        flood = net.services(0).mapper.flood
        flood.neighbours[net[11].peer_id.short].has.clear()
        flood.neighbours[net[11].peer_id.short].doubtful = True
        flood._flush_at = now()
        net.services(0).mapper._run()
        assert net[0].stats().node["map message too long"] == 1
        assert len(await net.answers([(0, 1), (1, 2)], 1.0)) == 2
        assert net.complete()


def forget_codec(one: Session, name: str) -> None:
    del one.current.table[name]


@virtual
async def test_others_than_peers_are_not_heard():
    """A session without a peering tells nothing about the map, and is told nothing."""
    async with overlay(nx.path_graph(3)) as net:
        await net.settled()
        await net[0].ping(net[2].peer_id)
        before = net[2].stats().routing.get("not a neighbour", 0)
        net.services(0).engine.tell(net.session(0, 2), Summary(0, 0, bytes(16)))
        await asyncio.sleep(1.0)
        assert net[2].stats().routing["not a neighbour"] == before + 1


@virtual
async def test_who_takes_no_peers_is_in_no_map():
    async with Lab() as lab:
        a = await lab.start(0)
        b = await lab.start(1, config=NodeConfig(accept_peers=False))
        await lab.join(a, b)
        assert (a.map().nodes, b.map().nodes) == (1, 1)
        assert session(a, b).sending


# What it costs


def at_rest(net, seconds, since):
    """Bytes a node sends in a second, headers of UDP and IPv4 included."""
    sent = [packet for packet in net.lab.sent if packet.at >= since]
    return sum(len(packet.data) + 28 for packet in sent) / seconds / len(net.nodes)


SHAPES = {
    "line": lambda n: nx.path_graph(n),
    "tree": lambda n: nx.random_labeled_tree(n, seed=1),
    "grid": lambda n: nx.grid_2d_graph(n // 5, 5),
}


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("latency", [0.001, 0.01])
@pytest.mark.parametrize("size", [30, 50])
@pytest.mark.parametrize("shape", SHAPES)
@virtual
async def test_large_networks_are_complete_in_time_and_quiet(shape, size, latency):
    async with overlay(SHAPES[shape](size), latency=latency) as net:
        random = Random(1)
        pairs = {tuple(random.sample(range(size), 2)) for _ in range(200)}
        took = sorted((await net.answers(pairs, 30.0)).values())
        ninety_nine = took[-1 - len(pairs) // 100]
        longest = await settled_sessions(net)
        since = now()
        await asyncio.sleep(120.0)
        rest = at_rest(net, 120.0, since)
        print(
            f"\n  {shape}, {size} nodes, {latency * 1000:g} ms a link: 99 % of {len(pairs)} pairs"
            f" after {ninety_nine:.2f} s, all after {took[-1]:.2f} s; at rest {rest:.0f} B/s a node"
            f" with {2 * len(net.graph.edges) / size:.1f} peers",
            end="",
        )
        assert len(took) == len(pairs)
        assert ninety_nine <= 5.0
        assert longest <= 300.0
        assert rest <= 300.0
        assert all(suspected(net, number) == 0 for number in net.nodes)


async def settled_sessions(net: Overlay) -> float:
    """Wait until only peerings have sessions; seconds that took."""
    began = now()
    while any(not s.kept for n in net.nodes for s in net.services(n).engine.sessions):
        await asyncio.sleep(5.0)
    return now() - began


@virtual
async def test_four_peers_cost_less_than_a_kilobyte_a_second():
    async with overlay(nx.grid_2d_graph(3, 3)) as net:
        await net.settled()
        await asyncio.sleep(70.0)
        since = now()
        await asyncio.sleep(120.0)
        middle = 4
        assert net.graph.degree[middle] == 4
        sent = net.lab.packets(net[middle], since=since)
        assert sum(len(packet.data) + 28 for packet in sent) / 120.0 <= 350.0


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("shape", SHAPES)
@virtual
async def test_links_that_lose_one_packet_in_twenty(shape):
    async with overlay(SHAPES[shape](20), loss=0.05, latency=0.01) as net:
        complete = await net.settled(30.0)
        random = Random(1)
        pairs = {tuple(random.sample(range(20), 2)) for _ in range(100)}
        took = await net.answers(pairs, 40.0, patience=2.0)
        print(
            f"\n  {shape}, 20 nodes, 5 % lost: maps complete after {complete:.1f} s,"
            f" {len(took)} of {len(pairs)} pairs answer, after {max(took.values()):.1f} s at most",
            end="",
        )
        assert complete <= 15.0
        assert len(took) >= 0.95 * len(pairs)
        since = told(net)
        await asyncio.sleep(300.0)
        assert net.complete()
        assert told(net) - since <= len(net.nodes)
