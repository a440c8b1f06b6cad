"""Maps of many networks: how soon they are right, what that costs, and what they hold."""

from functools import cache
from random import Random

import pytest

from rovy.noise import xeddsa
from rovy.wire.flood import Records
from tests.unit.routing.floods import SOON, bounded, change, misses, network, settled
from tests.unit.routing.graphs import SHAPES

SEEDS = range(3)
CHANGING = ["ring", "grid", "geometric", "sparse", "chain of rings"]


@pytest.fixture(autouse=True)
def signatures_are_checked_once(monkeypatch):
    """Every node checks every record: here the second time costs nothing."""
    monkeypatch.setattr(xeddsa, "verify", cache(xeddsa.verify))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_maps_of_larger_networks_become_alike(shape):
    for seed in SEEDS:
        wires = network(shape, 60, seed)
        assert settled(wires, SOON) < SOON
        spent = wires.bytes(0.0) / len(wires.floods)
        wires.run(300.0)
        since = wires.now
        wires.run(600.0)
        rest = wires.bytes(since) / 600.0 / len(wires.floods)
        assert rest < 5.0
    print(f"\n  {shape}, 60 nodes: {spent / 1000:.1f} kB a node, at rest {rest:.1f} B/s", end="")


@pytest.mark.slow
@pytest.mark.parametrize("quality", [{}, {"duplicate": 0.2, "jitter": 0.3}], ids=["order", "chaos"])
@pytest.mark.parametrize("shape", SHAPES)
def test_summaries_make_good_what_is_lost(shape, quality):
    """Three messages in ten get lost, of which none is repeated for itself."""
    took = [settled(network(shape, 24, seed, loss=0.3, **quality), 300.0) for seed in SEEDS]
    print(f"\n  {shape}, 24 nodes, 30 % lost: alike after {max(took):.1f} s", end="")
    assert max(took) <= 60.0


@pytest.mark.slow
@pytest.mark.parametrize("shape", CHANGING)
def test_maps_follow_changes(shape):
    """Links come, go and change, nodes end and start anew: a moment later all are right."""
    for seed in SEEDS:
        wires = network(shape, 24, seed)
        random = Random(seed)
        for _ in range(12):
            wires.run(random.choice((0.01, 0.2, 4.0, 40.0)))
            change(wires, random)
        assert settled(wires, 60.0) <= 30.0


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_every_node_holds_its_nearest(shape):
    for seed in SEEDS:
        wires = network(shape, 60, seed, nearest=8)
        wires.run(10.0)
        assert not misses(wires)
        assert bounded(wires)
        wires.run(120.0)
        since = wires.now
        wires.run(600.0)
        assert not misses(wires)
        assert not wires.messages(Records, since=since)
        rest = wires.bytes(since) / 600.0 / len(wires.floods)
        assert rest < 10.0
    print(f"\n  {shape}, 60 nodes, V = 8: at rest {rest:.1f} B/s a node", end="")


@pytest.mark.slow
@pytest.mark.parametrize("shape", CHANGING)
def test_every_node_holds_its_nearest_after_changes(shape):
    """One message in twenty gets lost."""
    for seed in SEEDS:
        wires = network(shape, 60, seed, nearest=8, loss=0.05)
        random = Random(seed)
        for _ in range(10):
            change(wires, random)
            wires.run(random.choice((0.1, 1.0, 10.0)))
        wires.run(300.0)
        assert not misses(wires)
        assert bounded(wires)
