"""The DHT by hand: five daemons in a row, what rovyctl tells of it, and what outlasts a kill."""

import json

import pytest

from testnet import topology
from testnet.fleet import Fleet
from testnet.netns import wait_until

pytestmark = pytest.mark.system

SIZE = 5


@pytest.fixture
def row(lab):
    fleet = Fleet(topology.line(lab, SIZE), lab.log_directory, "interface = false\n")
    fleet.start()
    fleet.wait_linked()
    fleet.wait_joined()
    first, last = fleet[0], fleet[SIZE - 1]
    wait_until(lambda: first.run("lookup", last.peer_id, check=False).returncode == 0, 30.0)
    yield fleet
    assert not fleet.complaints()


def test_resolve_shows_who_was_asked_and_what_came_back(row):
    first, last = row[0], row[SIZE - 1]
    text = first.run("resolve", "--dht", last.peer_id).stdout
    assert "ASKED" in text
    assert "found it" in text
    assert "active" in text
    answer = first.ask("resolve", "--dht", last.peer_id)
    assert answer["peer_id"] == last.peer_id
    assert [step["result"] for step in answer["steps"]].count("value") >= 1
    assert all(step["rtt"] > 0 for step in answer["steps"] if step["result"] == "value")
    assert not first.ask("resolve", last.peer_id)["steps"]


def test_lookup_tells_where_a_node_says_it_is(row):
    first, last = row[0], row[SIZE - 1]
    # The first locator may have been signed before the anchors were known.
    wait_until(lambda: first.ask("lookup", last.peer_id)["locator"]["anchors"], 30.0)
    by_key = first.ask("lookup", last.peer_id)
    by_address = first.ask("lookup", last.ask("info")["address"])
    assert by_key["locator"]["peer_id"] == by_address["locator"]["peer_id"] == last.peer_id
    assert [link["peer_id"] for link in by_key["locator"]["links"]] == [row[SIZE - 2].peer_id]
    assert len(by_key["nearest"]) >= 1
    nobody = first.run("lookup", "fc00::1", check=False)
    assert nobody.returncode == 1


def test_what_one_puts_another_gets(row):
    first, last = row[0], row[SIZE - 1]
    put = last.ask("dht", "put", "name", "home", "a house by the sea")
    assert put["stored"] >= 1
    got = first.ask("dht", "get", "name", "home", "--peer", last.peer_id)
    assert got["body"] == "a house by the sea"
    assert got["peer_id"] == last.peer_id
    missing = first.run("dht", "get", "name", "nowhere", "--peer", last.peer_id, check=False)
    assert missing.returncode == 1
    wrong = first.run("dht", "put", "riddle", "x", "y", check=False)
    assert wrong.returncode == 2


def test_stats_count_everybody(row):
    wait_until(lambda: len(row[0].ask("dht", "stats")["anchors"]) == SIZE, 30.0)
    stats = row[0].ask("dht", "stats")
    assert stats["network_size"] == {"nodes": SIZE, "exact": True}
    assert stats["joined"]
    assert {anchor["state"] for anchor in stats["anchors"]} <= {"self", "seated", "candidate"}
    assert f"{SIZE} nodes" in row[0].run("info").stdout


def test_killed_daemons_are_found_again_with_what_they_knew(row):
    middle, last = row[SIZE // 2], row[SIZE - 1]
    middle.ask("dht", "put", "service", "clock", "tick")
    middle.run("stop")
    assert middle.process.wait(10) == 0
    state = json.loads((middle.directory / "state.json").read_text())
    assert state["dht"]["contacts"]
    middle.start(*row.arguments(SIZE // 2))
    middle.kill()
    middle.start(*row.arguments(SIZE // 2))
    row.wait_linked()
    wait_until(lambda: last.run("ping", "-c", "1", row[0].peer_id, check=False).returncode == 0, 30)
    got = row[0].ask("dht", "get", "service", "clock", "--peer", middle.peer_id)
    assert got["body"] == "tick"
