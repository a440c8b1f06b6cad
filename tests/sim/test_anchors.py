"""Anchors of larger networks: how soon all is right, what that costs, and what deaths do."""

from functools import cache
from itertools import pairwise
from random import Random

import networkx as nx
import pytest

from rovy.noise import xeddsa
from rovy.routing.anchor_paths import REFRESH, SETTLE
from rovy.wire.beacon import BeaconMessage, Gone, Offered
from tests.unit.routing.beacons import Relays, any_cost, best, network, short, ways
from tests.unit.routing.graphs import SHAPES

SEEDS = range(2)
LARGE = ["line", "ring", "grid", "geometric", "power law"]


@pytest.fixture(autouse=True)
def signatures_are_checked_once(monkeypatch):
    monkeypatch.setattr(xeddsa, "verify", cache(xeddsa.verify))


@pytest.fixture(autouse=True)
def any_number_behind_one_neighbour(monkeypatch):
    """So that all nodes have the same anchors, wherever they are."""
    monkeypatch.setattr("rovy.routing.anchor_seats.BEHIND", 8)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_all_have_the_same_anchors_by_the_cheapest_way(shape):
    for seed in SEEDS:
        relays = network(shape, 60, seed)
        took = relays.settled(30.0)
        assert took < 12.0
        beacons, size = relays.spent()
        relays.run(20.0)
        first = relays.stretch()
        assert first < 1.3
        relays.run(REFRESH + SETTLE + 10.0)
        assert relays.agree()
        assert relays.alive()
        assert relays.stretch() == pytest.approx(1.0)
    print(
        f"\n  {shape}, 60 nodes: {took:.1f} s, {beacons:.0f} beacons and {size / 1000:.0f} kB"
        f" a node, at most {first:.2f} times the cheapest way",
        end="",
    )


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["grid", "power law"])
def test_two_hundred_nodes(shape):
    relays = network(shape, 200)
    took = relays.settled(30.0)
    beacons, size = relays.spent()
    assert took < 15.0
    relays.run(10.0)
    assert relays.stretch() < 1.3
    print(
        f"\n  {shape}, 200 nodes: {took:.1f} s, {beacons:.0f} beacons and {size / 1000:.0f} kB",
        end="",
    )


@pytest.mark.slow
@pytest.mark.parametrize("quality", [{}, {"duplicate": 0.2, "jitter": 0.3}], ids=["order", "chaos"])
@pytest.mark.parametrize("shape", SHAPES)
def test_summaries_make_good_what_is_lost(shape, quality):
    """Three messages in ten get lost, of which none is repeated for itself."""
    took = [network(shape, 24, seed, loss=0.3, **quality).settled(300.0) for seed in SEEDS]
    print(f"\n  {shape}, 24 nodes, 30 % lost: alike after {max(took):.1f} s", end="")
    assert max(took) <= 60.0


@pytest.mark.slow
@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
@pytest.mark.parametrize("shape", LARGE)
def test_an_anchor_dies(shape, told):
    """With and without the news which links are gone."""
    relays = network(shape, 60)
    relays.run(40.0)
    if not told:
        relays.tap = lambda source, target, message: None if isinstance(message, Gone) else message
    part = max(nx.connected_components(relays.truth), key=len)
    dead, since = best(part)[0], relays.now
    relays.stop(dead)
    after = relays.settled(
        200.0, lambda: all(short(dead) not in ways(node) for node in relays.nodes.values())
    )
    beacons, size = relays.spent(since)
    print(
        f"\n  {shape}, 60 nodes: forgotten after {after:.2f} s, "
        f"{beacons:.0f} beacons and {size / 1000:.1f} kB a node",
        end="",
    )
    assert after <= (1.5 if told else 60.0)
    assert relays.settled(60.0) < 40.0


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["ring", "grid", "geometric", "power law"])
def test_links_die(shape):
    """A tenth of the links at once: a moment later no way leads over them."""
    for seed in SEEDS:
        relays, random = network(shape, 60, seed), Random(seed)
        relays.run(30.0)
        links = sorted(relays.truth.edges)
        for a, b in random.sample(links, len(links) // 10):
            relays.cut(a, b)
        after = relays.settled(60.0, relays.alive)
        assert after <= 3.0
        assert relays.settled(60.0) < 45.0
    print(f"\n  {shape}, 60 nodes: no way over dead links after {after:.2f} s", end="")


@pytest.mark.slow
@pytest.mark.parametrize("loss", [0.0, 0.1])
@pytest.mark.parametrize("shape", ["grid", "geometric", "sparse", "chain of rings"])
def test_ways_follow_changes(shape, loss):
    """Links come, go and change, nodes end and start anew: soon all is right again."""
    for seed in SEEDS:
        relays, random = network(shape, 24, seed, loss=loss), Random(seed)
        for _ in range(15):
            relays.run(random.choice((0.01, 0.2, 4.0, 40.0)))
            change(relays, random)
        assert relays.settled(120.0) <= (60.0 if not loss else 100.0)
        relays.run(120.0)
        assert relays.agree()


def change(relays, random):
    """One thing happens."""
    dice, links = random.random(), sorted(relays.truth.edges)
    a, b = random.choice(links)
    if dice < 0.3:
        relays.cut(a, b)
    elif dice < 0.6:
        relays.link(*random.choice(sorted(nx.non_edges(relays.truth))), any_cost(random))
    elif dice < 0.8:
        relays.link(a, b, relays.truth[a][b]["cost"] * random.choice((0.3, 0.5, 1.5, 4)))
    else:
        peers = {peer: relays.truth[a][peer]["cost"] for peer in relays.truth[a]}
        relays.stop(a)
        relays.run(random.choice((0.01, 1.0)))
        relays.node(a)
        for peer, cost in peers.items():
            relays.link(a, peer, cost)


@pytest.mark.slow
def test_two_networks_become_one():
    relays = Relays()
    relays.build(SHAPES["geometric"](50, 3), any_cost)
    relays.build(SHAPES["grid"](50, 3), any_cost, first=50)
    relays.run(30.0)
    relays.link(10, 70)
    took = relays.settled(30.0)
    assert took < 15.0
    relays.cut(10, 70)
    assert relays.settled(60.0) < 45.0
    print(f"\n  two networks of 50: the same anchors after {took:.2f} s", end="")


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["grid", "geometric"])
def test_an_hour_at_rest(shape):
    """New sequences every ten minutes, summaries, and nothing else."""
    relays = network(shape, 40)
    relays.run(300.0)
    since = relays.now
    relays.run(3600.0 - 310.0)
    beacons, size = relays.spent(since)
    seconds = relays.now - since
    print(f"\n  {shape}, 40 nodes at rest: {size / seconds:.1f} B/s a node", end="")
    assert size / seconds < 60.0
    rounds = seconds / REFRESH + 1
    degree = 2 * len(relays.truth.edges) / len(relays.truth)
    assert beacons <= rounds * 8 * degree * 1.2
    times = [
        at
        for at, a, b, m in relays.sent
        if (a, b) == relays.sent[-1][1:3] and at >= since
        if isinstance(m, Offered)
    ]
    assert all(late - early <= 61.0 for early, late in pairwise(times))
    assert relays.messages(BeaconMessage, since=since)
