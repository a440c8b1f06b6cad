"""Which links count, and distances."""

from itertools import pairwise

import networkx as nx
import pytest

from rovy.routing.cost import decode_cost
from rovy.routing.graph import LINK_FLOOR, Link, build, distances, extended, pair, search
from rovy.routing.record import LEAF, TRUNC, WILLING, LinkEntry
from tests.unit.routing.graphs import SHAPES, Network, peer, record

A, B, C = (peer(number).short for number in range(3))
TO_B = LinkEntry(B, 1, 300, 100, 1500)
TO_A = LinkEntry(A, 300, 1, 120, 1400)


def graph(a=(), b=(), flags_a=0, flags_b=0):
    """Two nodes with these links."""
    return build([record(peer(0), a, flags_a), record(peer(1), b, flags_b)]).adjacency


def test_both_ends_list_it():
    cost = decode_cost(120)
    assert graph([TO_B], [TO_A]) == {
        A: {B: Link(1, 300, cost, 1400)},
        B: {A: Link(300, 1, cost, 1400)},
    }


def test_one_end_is_not_enough():
    assert graph([TO_B], []) == graph([], [TO_A]) == {A: {}, B: {}}
    assert graph([TO_B], [], flags_a=TRUNC) == {A: {}, B: {}}
    assert graph([TO_B], [], flags_b=LEAF | WILLING | 0xF8) == {A: {}, B: {}}


@pytest.mark.parametrize("swapped", [False, True])
def test_the_other_list_is_truncated(swapped):
    cost = decode_cost(100)
    records = [record(peer(0), [TO_B]), record(peer(1), [], TRUNC | WILLING)]
    assert build(reversed(records) if swapped else records).adjacency == {
        A: {B: Link(1, 300, cost, 1500)},
        B: {A: Link(300, 1, cost, 1500)},
    }


def test_a_truncated_list_that_has_the_link_must_agree():
    other = LinkEntry(A, 301, 1, 100, 1500)
    assert graph([TO_B], [other], flags_b=TRUNC) == {A: {}, B: {}}
    assert graph([TO_B], [TO_A], flags_b=TRUNC)[A].keys() == {B}


@pytest.mark.parametrize("other", [LinkEntry(A, 301, 1, 0, 1400), LinkEntry(A, 300, 2, 0, 1400)])
def test_slots_must_agree(other):
    assert graph([TO_B], [other]) == {A: {}, B: {}}


def test_a_node_that_is_not_there():
    assert build([record(peer(0), [TO_B])]).adjacency == {A: {}}
    assert build([record(peer(0), [TO_B], TRUNC)]).adjacency == {A: {}}
    assert build([]).adjacency == {}


def test_no_link_is_said_to_take_less_than_every_link_takes():
    tiny = LinkEntry(B, 1, 300, 100, 0)
    assert graph([tiny], [TO_A])[A][B].mtu == graph([tiny], [TO_A])[B][A].mtu == LINK_FLOOR == 1203


def test_distances_of_nodes_out_of_reach():
    parted = build([record(peer(0), [TO_B]), record(peer(1), [TO_A]), record(peer(2), [])])
    assert distances(parted, A) == {A: 0.0, B: decode_cost(120)}
    assert distances(parted, C) == {C: 0.0}
    assert distances(parted, b"stranger") == {b"stranger": 0.0}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_graph_and_distances_are_the_truth(shape, seed):
    net = Network(SHAPES[shape](2 + 9 * seed, seed), seed)
    found = {
        pair(a, b): (link.cost, link.mtu, {a: link.slot, b: link.back})
        for a, links in net.graph.adjacency.items()
        for b, link in links.items()
    }
    assert found == {
        pair(a, b): (link["cost"], link["mtu"], link["slots"])
        for a, b, link in net.truth.edges(data=True)
    }
    for source in net.ends():
        near = distances(net.graph, source)
        truth = nx.single_source_dijkstra_path_length(net.truth, source, weight="cost")
        assert near == pytest.approx(truth)
        assert list(near.values()) == sorted(near.values())


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_records_does_not_matter(seed):
    net = Network(SHAPES["power law"](20, seed), seed)
    records = list(net.records())
    net.random.shuffle(records)
    for source in net.ends():
        assert list(distances(build(records), source)) == list(distances(net.graph, source))


def test_links_that_are_joined_count_where_there_was_none():
    cost = decode_cost(120)
    known = build([record(peer(0), [TO_B]), record(peer(1), [TO_A])])
    before = {near: dict(links) for near, links in known.adjacency.items()}
    to_c, from_c, lie = Link(2, 3, 0.5, 1300), Link(3, 2, 0.5, 1300), Link(9, 9, 0.0, 9000)
    joined = known.joined([(A, B, lie), (A, C, to_c), (A, C, lie), (C, A, from_c)])
    assert joined.adjacency == {
        A: {B: Link(1, 300, cost, 1400), C: to_c},
        B: {A: Link(300, 1, cost, 1400)},
        C: {A: from_c},
    }
    assert known.adjacency == before
    assert known.joined([]) == known


def test_labels_heard_of_as_links():
    plain = Link(1, 239, 0.1, 1400)
    assert (plain.arrival, plain.hops) == (1, 1)
    assert Link(1, 240, 0.1, 1400).arrival == 2
    assert (Link(1, 0, 0.1, 1400).arrival, Link(1, 0, 0.1, 1400).hops) == (2, 1)
    assert Link(1, 0, 0.1, 1400, b"\x02\xf1\x00\x03").hops == 4


@pytest.mark.parametrize("seed", range(20))
def test_a_way_found_by_extending_a_tree_is_the_cheapest(seed):
    net = Network(SHAPES["sparse"](25, seed), seed)
    source, target = net.ends()
    rng, whole = net.random, net.truth.to_directed()
    added = {}
    while len(added) < 10:
        near, far = net.ends()
        if not whole.has_edge(near, far):
            added[near, far] = Link(1, 0, rng.uniform(0.0, 0.05), 1400, b"\x01")
    for (near, far), link in added.items():
        whole.add_edge(near, far, cost=link.cost)
    grown = net.graph.joined((*ends, link) for ends, link in added.items())

    def arcs(graph):
        return lambda node: ((far, link.cost) for far, link in graph.adjacency[node].items())

    tree = search(arcs(net.graph), source)
    kept = dict(tree.cost), dict(tree.before)
    found = extended(tree, arcs(grown), {near for near, _ in added}, target)
    if not nx.has_path(whole, source, target):
        assert found is None
    else:
        assert (found[0], found[-1]) == (source, target)
        cost = sum(grown.adjacency[near][far].cost for near, far in pairwise(found))
        assert cost == pytest.approx(nx.dijkstra_path_length(whole, source, target, weight="cost"))
    assert (tree.cost, tree.before) == kept
