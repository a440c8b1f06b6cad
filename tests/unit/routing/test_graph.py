"""Which links count, and distances."""

import networkx as nx
import pytest

from rovy.routing.cost import decode_cost
from rovy.routing.graph import LINK_FLOOR, Link, build, distances, pair
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
