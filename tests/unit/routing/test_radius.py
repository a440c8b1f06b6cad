"""Maps that hold the nearest nodes only."""

import networkx as nx

from rovy.wire.flood import INFINITE, Records, Summary
from tests.unit.routing.floods import COST, Wires, bounded, misses, network, row, short


def test_every_node_holds_its_nearest():
    wires = network("grid", 40, nearest=6)
    wires.run(10.0)
    assert not misses(wires)
    assert bounded(wires)
    wires.run(120.0)
    since = wires.now
    wires.run(300.0)
    assert not misses(wires)
    assert not wires.messages(Records, since=since)
    assert wires.bytes(since) / 300.0 / len(wires.floods) < 10.0


def test_nodes_that_come_nearer_are_taken_in_and_others_given_up():
    wires = Wires(nearest=4)
    wires.build(nx.path_graph(24))
    wires.run(60.0)
    wires.link(0, 23)
    wires.run(90.0)
    assert not misses(wires)
    wires.cut(0, 23)
    wires.run(90.0)
    assert not misses(wires)
    assert bounded(wires)


def test_changes_beyond_the_radius_are_not_told():
    wires = Wires(nearest=4)
    wires.build(nx.path_graph(30))
    wires.run(120.0)
    since = wires.now
    wires.link(0, 1, COST * 3)
    wires.run(60.0)
    told = {source for at, source, _, m in wires.sent if at >= since and isinstance(m, Records)}
    assert {0, 1} <= told <= set(range(7))


def test_the_radius_is_told():
    wires = Wires(nearest=4)
    wires.build(nx.path_graph(12))
    wires.run(60.0)
    radius = wires.floods[0].map.radius
    told = wires.messages(Summary, 0, 1)[-1].radius
    assert radius <= told / 1e6 <= radius + 2e-6
    assert wires.floods[1].neighbours[short(0)].radius == told / 1e6


def test_a_map_that_is_not_full_has_no_radius():
    wires = row(4)
    assert {message.radius for message in wires.messages(Summary)} == {INFINITE}
