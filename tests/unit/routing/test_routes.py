"""Routes: the cheapest one, backups for all that can fail, labels that lead there and back."""

import random
from itertools import combinations, pairwise

import networkx as nx
import pytest

from rovy.address.label import back_label, narrowest
from rovy.routing.graph import Link, build, pair
from rovy.routing.record import LinkEntry
from rovy.routing.routes import Near, routes
from rovy.wire.forward import (
    FORWARD_LIMIT,
    LABEL,
    LEN,
    POS,
    emit_header,
    entry_slot,
    header_size,
    overwrite,
)
from tests.dataplanes import IMPLEMENTATIONS
from tests.sim.mesh import Mesh
from tests.unit.routing.graphs import SHAPES, Network, chain_of_rings, peer, record

SEEDS = range(12)
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_seed = pytest.mark.parametrize("seed", SEEDS)

# The cheapest route, 2-0-1-3, takes from each of the two that are apart what it needs.
TRAP = {(2, 0): 100, (0, 1): 100, (1, 3): 100, (2, 1): 200, (0, 3): 200}
# Two of these in a row, and a leaf at each end.
TRAPS = {
    **TRAP,
    **{(a + 5, b + 5): cost for (a, b), cost in TRAP.items()},
    (3, 7): 100,
    (4, 2): 100,
    (8, 9): 100,
}


def network(shape, seed):
    """One of 2 to 40 nodes."""
    return Network(SHAPES[shape](random.Random(seed).randint(2, 40), seed), seed)


def map_of(links, mtu=1400):
    """A graph of numbered nodes from {(a, b): cost}."""
    entries = {number: [] for link in links for number in link}
    slots = {number: iter(range(1, 240)) for number in entries}
    for (a, b), cost in links.items():
        slot_a, slot_b = next(slots[a]), next(slots[b])
        entries[a].append(LinkEntry(peer(b).short, slot_a, slot_b, cost, mtu))
        entries[b].append(LinkEntry(peer(a).short, slot_b, slot_a, cost, mtu))
    return build([record(peer(number), links) for number, links in entries.items()])


def between(graph, source, target, avoid=()):
    """Routes as tuples of numbers."""
    numbers = {peer(number).short: number for number in range(len(graph.adjacency) + 8)}
    found = routes(graph, peer(source).short, peer(target).short, avoid)
    return [tuple(numbers[node] for node in route.nodes) for route in found]


def without(truth, elements):
    """The network when these have failed."""
    left = truth.copy()
    left.remove_nodes_from(each for each in elements if isinstance(each, bytes))
    left.remove_edges_from(each for each in elements if not isinstance(each, bytes))
    return left


def elements(nodes):
    return {*nodes[1:-1], *(pair(a, b) for a, b in pairwise(nodes))}


def survivable(truth, nodes):
    """What of a route can fail so that another one is left."""
    ends = nodes[0], nodes[-1]
    return {each for each in elements(nodes) if nx.has_path(without(truth, [each]), *ends)}


def covered(first, backups):
    """What of a route can fail so that one of these is left."""
    return {each for each in elements(first) if any(each not in elements(b) for b in backups)}


@every_shape
@every_seed
def test_the_first_route_is_the_cheapest(shape, seed):
    net = network(shape, seed)
    for source, target in (net.ends(), net.ends(), net.ends()):
        found = routes(net.graph, source, target)
        if not nx.has_path(net.truth, source, target):
            assert found == []
            continue
        cost, way = nx.single_source_dijkstra(net.truth, source, target, weight="cost")
        if len(way) <= 34:  # with a label that is short enough in any case
            assert found[0].cost == pytest.approx(cost)
        for route in found:
            assert (route.nodes[0], route.nodes[-1]) == (source, target)
            assert len(set(route.nodes)) == len(route.nodes)
            assert route.elements == elements(route.nodes)
            links = [net.truth.edges[link] for link in pairwise(route.nodes)]
            assert route.cost == pytest.approx(sum(link["cost"] for link in links))
            assert route.cost >= cost * (1 - 1e-9)
            mtu = min(link["mtu"] for link in links)
            assert route.mtu == mtu - header_size(len(route.label.rest))
        assert len({route.nodes for route in found}) == len(found) <= 3


@every_shape
@every_seed
def test_every_failure_that_leaves_a_way_leaves_a_backup(shape, seed):
    net = network(shape, seed)
    for source, target in (net.ends(), net.ends()):
        if not (found := routes(net.graph, source, target)):
            continue
        first, *backups = (route.nodes for route in found)
        can = survivable(net.truth, first)
        assert covered(first, backups) >= can
        if can:
            assert backups
        if not net.truth.has_edge(source, target) and is_biconnected(net.truth, source, target):
            assert can == elements(first)


def is_biconnected(truth, source, target):
    """Whether no single node between cuts these off from each other, by the flow between them."""
    flow = nx.algorithms.connectivity.local_node_connectivity(truth, source, target)
    return flow >= 2


@pytest.mark.parametrize("seed", range(40))
def test_no_two_backups_cover_more(seed):
    rng = random.Random(seed)
    size = rng.randint(4, 8)
    net = Network(nx.gnm_random_graph(size, rng.randint(size, size + 3), seed=seed), seed)
    source, target = net.ends()
    found = [route.nodes for route in routes(net.graph, source, target)]
    ways = [tuple(way) for way in nx.all_simple_paths(net.truth, source, target)]
    assert bool(found) == bool(ways)
    if found:
        best = max((covered(found[0], two) for two in combinations([*ways, found[0]], 2)), key=len)
        assert covered(found[0], found[1:]) == best == survivable(net.truth, found[0])


def test_a_trap():
    assert between(map_of(TRAP), 2, 3) == [(2, 0, 1, 3), (2, 1, 3), (2, 0, 3)]


def test_traps_in_a_row_behind_cuts():
    first, *backups = between(map_of(TRAPS), 4, 9)
    assert first == (4, 2, 0, 1, 3, 7, 5, 6, 8, 9)
    assert len(backups) == 2
    shared = elements(backups[0]) & elements(backups[1])
    assert shared == {2, 3, 7, 8, (2, 4), (3, 7), (8, 9)}


@pytest.mark.parametrize("seed", range(60))
def test_rings_in_a_row(seed):
    net = Network(chain_of_rings(30, seed), seed)
    nodes = list(net.peers)
    found = [route.nodes for route in routes(net.graph, nodes[0], nodes[-1])]
    assert covered(found[0], found[1:]) == survivable(net.truth, found[0])


def test_backups_leave_the_first_route_as_far_as_is_cheap():
    links = {
        (0, 1): 100,
        (1, 2): 100,
        (2, 3): 100,
        (0, 4): 110,
        (4, 3): 130,
        (0, 5): 120,
        (5, 3): 140,
    }
    assert between(map_of(links), 0, 3) == [(0, 1, 2, 3), (0, 4, 3), (0, 5, 3)]


def test_a_single_way_is_offered_once():
    assert between(map_of({(0, 1): 100, (1, 2): 100}), 0, 2) == [(0, 1, 2)]


def test_nowhere_to_go():
    graph = map_of({(0, 1): 100, (2, 3): 100})
    assert between(graph, 0, 2) == between(graph, 0, 9) == between(graph, 9, 0) == []
    assert between(graph, 0, 0) == []


def test_equal_costs_are_told_apart_by_the_nodes_alone():
    links = {(0, n): 100 for n in range(1, 9)} | {(n, 9): 100 for n in range(1, 9)}
    middle = sorted(range(1, 9), key=lambda number: peer(number).short)
    expected = [(0, number, 9) for number in middle[:3]]
    for seed in range(5):
        order = list(links)
        random.Random(seed).shuffle(order)
        assert between(map_of(dict.fromkeys(order, 100)), 0, 9) == expected


SQUARE = {(0, 1): 100, (1, 3): 100, (0, 2): 120, (2, 3): 120}


def test_suspects_are_avoided():
    graph, (a, b, c, d) = map_of(SQUARE), (peer(number).short for number in range(4))
    for suspect in (b, (a, b), (b, a), (d, b)):
        assert between(graph, 0, 3, {suspect}) == [(0, 2, 3)]
    assert between(graph, 0, 3, frozenset({a, d})) == [(0, 1, 3), (0, 2, 3)]
    assert between(graph, 0, 3, {(a, d), c, b"stranger"}) == [(0, 1, 3)]


def test_suspects_are_better_than_nothing():
    graph, (a, b, c, d) = map_of(SQUARE), (peer(number).short for number in range(4))
    assert between(graph, 0, 3, {b, c}) == [(0, 1, 3), (0, 2, 3)]
    assert between(graph, 0, 3, {b, (d, b), (a, c), c, (c, d)}) == [(0, 1, 3), (0, 2, 3)]
    assert between(graph, 0, 3, {(a, b), (b, d), c}) == [(0, 2, 3), (0, 1, 3)]
    line = map_of({(0, 1): 100, (1, 2): 100})
    assert between(line, 0, 2, {b, (a, b)}) == [(0, 1, 2)]


def test_fewer_suspects_are_better_however_long_the_way():
    around = [(n, n + 1) for n in range(10, 30)]
    links = {(0, 1): 0, (1, 2): 0, (0, 10): 200, (30, 2): 200, **dict.fromkeys(around, 200)}
    a, b, c = (peer(number).short for number in range(3))
    found = between(map_of(links), 0, 2, {(a, b), (b, c), (peer(15).short, peer(16).short)})
    assert found[0] == (0, *range(10, 31), 2)


@pytest.mark.parametrize("seed", range(20))
def test_routes_through_suspects_have_backups_too(seed):
    net = Network(SHAPES["sparse"](14, seed), seed)
    source, target = net.ends()
    if plain := routes(net.graph, source, target):
        suspects = [pair(a, b) for a, b in net.truth.edges(source)]
        first, *backups = (r.nodes for r in routes(net.graph, source, target, suspects))
        assert covered(first, backups) == survivable(net.truth, first)
        assert plain[0].cost == min(route.cost for route in plain)


def walk(graph, source, label):
    """Switch a label through the graph; the node it ends at and the label back from there."""
    raw, node, slot = bytearray(emit_header(label.rest)), source, label.first
    while True:
        [(after, link)] = [
            (peer, link) for peer, link in graph.adjacency[node].items() if link.slot == slot
        ]
        node, arrived = after, link.back
        if raw[POS] == raw[LEN]:
            return node, back_label(arrived, bytes(raw[LABEL : LABEL + raw[LEN]]))
        at = LABEL + raw[POS]
        slot, width = entry_slot(raw, at, LABEL + raw[LEN])
        assert overwrite(raw, at, width, arrived)
        raw[POS] += width


@every_shape
@every_seed
def test_labels_lead_there_and_back(shape, seed):
    net = network(shape, seed)
    source, target = net.ends()
    for route in routes(net.graph, source, target):
        end, back = walk(net.graph, source, route.label)
        assert end == target
        assert back.hops == route.label.hops == len(route.nodes) - 1
        assert walk(net.graph, target, back) == (source, route.label)


@pytest.mark.parametrize("seed", range(8))
def test_labels_lead_there_and_back_through_data_planes(seed):
    net = Network(SHAPES["power law"](12, seed), seed)
    mesh, numbers = Mesh(IMPLEMENTATIONS["pure"]), {}
    for node in net.peers:
        numbers[node] = mesh.node()
    for a, b, link in net.truth.edges(data=True):
        mesh.link(numbers[a], numbers[b], link["slots"][a], link["slots"][b])
    source, target = net.ends()
    for route in routes(net.graph, source, target):
        end, path = mesh.hello(numbers[source], route.label)
        assert end == numbers[target]
        assert mesh.hello(end, path.label)[0] == numbers[source]


def test_entries_are_as_narrow_as_may_be():
    net = Network(SHAPES["line"](8, 3), 3)
    nodes = list(net.peers)
    [route] = routes(net.graph, nodes[0], nodes[-1])
    slots = [net.truth.edges[link]["slots"] for link in pairwise(route.nodes)]
    inner = zip(nodes[1:-1], pairwise(slots), strict=True)
    widths = [max(narrowest(came[at]), narrowest(goes[at])) for at, (came, goes) in inner]
    assert route.label.widths == (narrowest(slots[0][nodes[0]]), *widths)
    assert set(widths) == {1, 2}


def test_labels_too_long_are_not_offered():
    line = map_of({(n, n + 1): 100 for n in range(70)})
    assert between(line, 0, 65) == [tuple(range(66))]
    assert between(line, 0, 66) == []
    assert len(routes(line, peer(0).short, peer(65).short)[0].label.rest) == FORWARD_LIMIT
    around = map_of({(n, n + 1): 0 for n in range(70)} | {(0, 70): 255})
    assert between(around, 0, 70) == [(0, 70)]


def test_the_mtu_is_that_of_the_tightest_link():
    graph = map_of({(0, 1): 100, (1, 2): 100})
    a, b, c = (peer(number).short for number in range(3))
    graph.adjacency[b][c] = Link(2, 1, 0.01, 1300)
    [route] = routes(graph, a, c)
    assert route.mtu == 1300 - 8


def shorts(*numbers):
    return (peer(number).short for number in numbers)


def test_entries_after_a_label_have_room_for_any_slot():
    a, b, c, d = shorts(0, 1, 2, 3)
    label = Link(5, 0, 0.01, 1300, bytes.fromhex("06 f100 07"))
    after = [(b, c, label), (c, d, Link(8, 9, 0.01, 1400))]
    [route] = routes(map_of({(0, 1): 100}).joined(after), a, d)
    assert route.label.data.hex("-") == "01-05-06-f1-00-07-f0-08"
    assert route.nodes == (a, b, c, d)
    assert (route.reach, route.mtu) == ((1, 5, 6), 1300 - 16)
    assert route.elements == {b, c, pair(a, b), pair(b, c), pair(c, d)}
    found = [route.link_after(hops) for hops in range(8)]
    assert found == [(a, b), *[(b, c)] * 4, (c, d), None, None]


def test_what_is_after_hops_of_plain_links():
    [route] = routes(map_of({(0, 1): 100, (1, 2): 100}), peer(0).short, peer(2).short)
    assert route.reach == (1, 2)
    a, b, c = shorts(0, 1, 2)
    assert [route.link_after(hops) for hops in range(3)] == [(a, b), (b, c), None]


def test_routes_that_turn_straight_back_are_not_offered():
    """A label from 1 begins by the link that leads there from 0."""
    graph, (a, b, c) = map_of({(0, 1): 100}), shorts(0, 1, 2)
    back = graph.adjacency[b][a].slot
    turning = graph.joined([(b, c, Link(back, 0, 0.01, 1300, b"\x07"))])
    assert routes(turning, a, c) == []
    assert Near(turning, a).route(c) is None
    assert len(routes(graph.joined([(b, c, Link(back + 1, 0, 0.01, 1300, b"\x07"))]), a, c)) == 1


def test_labels_too_long_for_forwarders_are_no_links():
    graph, (a, b, c) = map_of({(0, 1): 100}), shorts(0, 1, 2)
    for length, count in ((63, 1), (64, 0)):
        label = Link(5, 0, 0.01, 1300, bytes([7]) * length)
        found = routes(graph.joined([(b, c, label)]), a, c)
        assert len(found) == count
    assert found == []


@every_shape
@every_seed
def test_one_search_serves_many_targets(shape, seed):
    net = network(shape, seed)
    source, _ = net.ends()
    suspects = {pair(*net.ends()), net.ends()[0]} - {source}
    for avoid in (frozenset(), suspects):
        near = Near(net.graph, source, avoid)
        for target in net.random.sample(sorted(net.peers), min(6, len(net.peers))):
            found = routes(net.graph, source, target, avoid)
            route = near.route(target)
            assert bool(route) == bool(found)
            if route:
                assert (route.nodes[0], route.nodes[-1]) == (source, target)
                assert route.cost == pytest.approx(found[0].cost)


@pytest.mark.parametrize("seed", range(20))
def test_what_leads_to_one_target_alone_is_added(seed):
    net = Network(SHAPES["sparse"](16, seed), seed)
    source, far = net.ends()
    target = peer(99).short
    nodes = [node for node in net.peers if node != source]
    added = [
        (near, target, Link(3000 + n, 0, net.random.uniform(0.0, 0.1), 1300, b"\x01"))
        for n, near in enumerate(net.random.sample(nodes, 3))
    ]
    near = Near(net.graph, source)
    route, found = near.route(target, added), routes(net.graph.joined(added), source, target)
    assert bool(route) == bool(found)
    if route:
        assert route.nodes == found[0].nodes
        assert route.label == found[0].label
    assert near.route(target) is None
    again, plain = near.route(far), routes(net.graph, source, far)
    assert (again.cost if again else None) == (plain[0].cost if plain else None)


def test_the_best_route_has_a_label_that_is_short_enough():
    around = map_of({(n, n + 1): 0 for n in range(70)} | {(0, 70): 255})
    a, end = shorts(0, 70)
    assert Near(around, a).route(end).nodes == (a, end)
    assert Near(around, a).route(a) is None


@pytest.mark.parametrize("seed", range(30))
def test_backups_where_some_links_lead_one_way(seed):
    """As labels heard of do."""
    rng = random.Random(seed)
    net = Network(SHAPES["sparse"](14, seed), seed)
    whole, added = net.truth.to_directed(), []
    for n in range(12):
        near, far = net.ends()
        if not whole.has_edge(near, far):
            whole.add_edge(near, far)
            added.append((near, far, Link(3000 + n, 0, rng.uniform(0.0, 0.1), 1300, b"\x01")))
    source, target = net.ends()
    found = [route.nodes for route in routes(net.graph.joined(added), source, target)]
    assert bool(found) == nx.has_path(whole, source, target)
    if found:
        can = {e for e in elements(found[0]) if leads_on(whole, e, source, target)}
        assert covered(found[0], found[1:]) >= can


def leads_on(whole, element, source, target):
    """Whether there is a way without a node, or without a link in either direction."""
    left = whole.copy()
    if isinstance(element, bytes):
        left.remove_node(element)
    else:
        left.remove_edges_from([element, element[::-1]])
    return nx.has_path(left, source, target)
