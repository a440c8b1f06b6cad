"""Topologies, measures, and the command that prints the table."""

import json
from random import Random

import networkx as nx
import pytest

from testnet.sim import __main__ as command
from testnet.sim import graphs, oracle
from testnet.sim.measure import Measure, Row, Scale, mean, number, percentile, share
from testnet.sim.rows import ROWS


@pytest.mark.parametrize(
    "made",
    [
        graphs.line(30),
        graphs.ring(30),
        graphs.tree(30),
        graphs.random_tree(30),
        graphs.grid(30),
        graphs.star(30),
        graphs.clustered(30),
        graphs.geometric(30),
        graphs.as_like(30),
        graphs.side_by_side(graphs.line(10), graphs.ring(20))[0],
    ],
)
def test_graphs_are_numbered_and_have_latencies(made):
    assert sorted(made) == list(range(30))
    assert all(0 < data["latency"] <= 0.1 for _, _, data in made.edges(data=True))
    assert nx.number_connected_components(made) in (1, 2)


def test_shapes_are_what_they_are_called():
    assert graphs.grid(50).number_of_edges() == 85
    assert [degree for _, degree in graphs.tree(7).degree] == [2, 3, 3, 1, 1, 1, 1]
    two, (a, b) = graphs.side_by_side(graphs.line(5), graphs.line(4))
    assert not nx.has_path(two, a, b)
    degrees = dict(graphs.clustered(400).degree)
    assert sum(degrees.values()) / 400 == pytest.approx(4.0, rel=0.05)
    assert max(degrees.values()) > 25
    assert nx.is_connected(graphs.geometric(200, seed=4, degree=2.0))


def test_one_seed_is_one_graph():
    for make in (graphs.clustered, graphs.geometric, graphs.as_like):
        one, same, other = make(60, seed=1), make(60, seed=1), make(60, seed=2)
        assert list(one.edges(data=True)) == list(same.edges(data=True))
        assert list(one.edges(data=True)) != list(other.edges(data=True))


def test_graphs_are_read_and_written(tmp_path):
    path = tmp_path / "net.json"
    links = [{"a": "x", "b": "y", "latency": 0.02, "loss": 0.1}, {"a": "y", "b": "z"}]
    path.write_text(json.dumps({"nodes": ["x", "y", "z"], "links": links}))
    made = graphs.load(path)
    assert list(made.edges(data=True)) == [
        (0, 1, {"latency": 0.02, "loss": 0.1}),
        (1, 2, {"latency": 0.01}),
    ]
    graphs.save(made, path)
    assert nx.utils.graphs_equal(graphs.load(path), made)


@pytest.mark.parametrize(
    "described",
    [
        {"nodes": ["x"]},
        {"nodes": ["x"], "links": [{"a": "x", "b": "who"}]},
        {"nodes": ["x", "y"], "links": [{"a": "x", "b": "y", "colour": "red"}]},
    ],
)
def test_descriptions_that_do_not_hold_are_refused(described, tmp_path):
    path = tmp_path / "net.json"
    path.write_text(json.dumps(described))
    with pytest.raises(ValueError, match="description of a network"):
        graphs.load(path)


def test_the_oracle_knows_the_cheapest_ways():
    ring = graphs.ring(4, latency=0.01)
    ring.edges[0, 1]["latency"] = 0.05
    assert oracle.cost(ring, 0, 1) == pytest.approx(0.033)
    assert oracle.latencies(ring, 0) == pytest.approx({0: 0.0, 1: 0.03, 2: 0.02, 3: 0.01})
    pairs = oracle.connected_pairs(ring, 100, 2, Random(1))
    assert set(pairs) == {(0, 2), (2, 0), (1, 3), (3, 1)}
    two, _ = graphs.side_by_side(graphs.line(3), graphs.line(3))
    for a, b in oracle.connected_pairs(two, 50, 1, Random(1)):
        assert (a < 3) == (b < 3)


def test_measures_say_by_how_much_a_goal_is_missed():
    assert Measure("x", 1.0, "s", 2.0).verdict == "met"
    assert Measure("x", 3.0, "s", 2.0).verdict == "MISSED by 1 s"
    assert Measure("x", 98.5, "%", 99.0, at_most=False).verdict == "MISSED by 0.5 %"
    assert Measure("x", None, "s", 2.0).verdict == "MISSED"
    assert Measure("x", None, "s").verdict == ""
    assert not Measure("x", None, "s", 2.0).met


def test_figures_count_what_never_came():
    assert percentile([0.3, 0.1, None, 0.2], 0.75) == 0.3
    assert percentile([0.3, 0.1, None, 0.2], 0.99) is None
    assert percentile([0.3, 0.1, 0.2], 0.5) == 0.2
    assert percentile([], 0.5) is None
    assert share([1.0, None]) == 50.0
    assert mean([]) is None
    assert [number(x) for x in (None, 0, 0.12345, 12.345, 123.45, 12345.6)] == [
        "none",
        "0",
        "0.123",
        "12.3",
        "123.5",
        "12346",
    ]


def test_rows_have_names_of_their_own():
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert Scale(small=True).size(1000, 100) == 100
    assert Scale(nodes=7).size(1000, 100) == 7


@pytest.mark.slow
def test_a_row_is_run_printed_and_written(tmp_path, capsys):
    out = tmp_path / "sim.json"
    status = command.main(["--rows", "start.line", "--nodes", "6", "--json", str(out)])
    assert status == 0
    [result] = json.loads(out.read_text())
    assert result["met"]
    [measure] = result["measures"]
    assert 0.0 < measure["value"] <= measure["goal"] == 5.0
    assert "line of 6, 99 % reachable" in capsys.readouterr().out


async def missed(scale):
    return [Measure("a thing", 3.0, "s", 1.0)]


async def broken(scale):
    raise RuntimeError("broken")


@pytest.mark.parametrize("run", [missed, broken])
def test_what_fails_says_how_to_repeat_it(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "ROWS", (Row("thing", "a thing", run),))
    out = tmp_path / "sim.json"
    assert command.main(["--small", "--seed", "7", "--json", str(out)]) == 1
    printed = capsys.readouterr().out
    assert "seed 7, repeat with: python -m testnet.sim --rows thing --seed 7 --small" in printed
    assert "not met: thing" in printed
    assert json.loads(out.read_text())[0]["met"] is False


def test_rows_that_there_are_not_are_named(capsys):
    assert command.main(["--rows", "nonsense"]) == 2
    assert "start.line" in capsys.readouterr().err
