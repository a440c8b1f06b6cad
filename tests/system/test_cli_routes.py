"""A square of four daemons: what rovyctl tells of routes, before and after a link is cut.

        B
      /   \\
    A       D      A calls B by a name, C and D have none
      \\   /
        C
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testnet.daemons import Daemon
from testnet.netns import Lab, wait_until

pytestmark = pytest.mark.system

ENDS = ("ab", "ac", "bd", "cd")


class Square:
    """Four daemons; the first letter's host has the first address of a link."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        hosts = {name: lab.host(name) for name in "abcd"}
        self.links = {
            ends: lab.link(hosts[ends[0]], hosts[ends[1]], net=f"10.0.{number}.0/24")
            for number, ends in enumerate(ENDS)
        }
        self.nodes = {name: Daemon(host, directory / name) for name, host in hosts.items()}
        self.a, self.b, self.c, self.d = self.nodes.values()
        for name, daemon in self.nodes.items():
            peers = (self.address(ends) for ends in ENDS if ends[1] == name)
            daemon.start(*(f"--peer={peer}" for peer in peers))
        at_b = f"/ip4/10.0.0.2/udp/1312/rovy/{self.b.peer_id}"
        self.a.run("peer", "add", at_b, "--name", "bee")
        # First round trips are long on a busy machine; costs follow within some seconds.
        wait_until(lambda: self.hops() == [0, 1, 1, 2], timeout=30)
        self.before = ""

    def address(self, ends: str) -> str:
        """Where the first end of a link is reached over it."""
        return self.nodes[ends[0]].address(f"10.0.{ENDS.index(ends)}.1")

    def hops(self) -> list[int]:
        """Of the cheapest routes from A, where its map is whole."""
        known = self.a.ask("map")
        return sorted(node["hops"] for node in known["nodes"]) if known["links"] == 4 else []

    def in_use(self) -> dict[str, Any]:
        """A's route to D."""
        found = self.a.ask("routes", self.d.peer_id)["routes"]
        return next(route for route in found if route["state"] == "active")

    def first_hop(self) -> str:
        """By whom that goes, `b` or `c`."""
        hop = self.in_use()["hops"][0]["peer_id"]
        return next(name for name, node in self.nodes.items() if node.peer_id == hop)

    def cut(self) -> str:
        """Cut the far link of the route in use; the name of the node it goes by from then on."""
        used = self.first_hop()
        self.before = self.in_use()["label"]
        self.links[f"{used}d"].down()
        other = {"b": "c", "c": "b"}[used]
        wait_until(lambda: self.first_hop() == other, timeout=20)
        return other


@pytest.fixture
def square(lab: Lab, tmp_path: Path) -> Iterator[Square]:
    square = Square(lab, tmp_path)
    yield square
    for daemon in square.nodes.values():
        assert "Traceback" not in daemon.log(), daemon.log()


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What it printed, columns one space apart."""
    assert max(map(len, done.stdout.splitlines())) <= 100
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_map_routes_and_resolve_before_and_after_a_cut(square: Square) -> None:
    a, b, c, d = square.a, square.b, square.c, square.d
    nodes = a.ask("map")["nodes"]
    assert {node["peer_id"]: node["hops"] for node in nodes}[d.peer_id] == 2
    assert {node["peer_id"] for node in nodes} == {x.peer_id for x in (a, b, c, d)}
    assert nodes[0]["peer_id"] == a.peer_id
    assert all(len(node["links"]) == 2 for node in nodes)
    table = lines(a.run("map"))
    assert table[1].startswith("this node 0 - 2 fc")
    assert sum(line.startswith("bee 1 ") for line in table) == 1
    assert table[-1] == "4 nodes, 4 links"

    found = a.ask("resolve", d.peer_id)
    assert (found["peer_id"], found["address"]) == (d.peer_id, d.ip6)
    best, backup = found["routes"][:2]
    assert best["state"] == "active"
    assert best["rtt"] > 0
    assert best["cost"] > 0.002, "1 ms for each hop"
    assert best["label"] != backup["label"]
    assert {best["hops"][0]["peer_id"], backup["hops"][0]["peer_id"]} == {b.peer_id, c.peer_id}
    assert all(route["hops"][-1]["peer_id"] == d.peer_id for route in (best, backup))
    text = a.run("resolve", d.ip6).stdout
    assert text.index(best["label"]) < text.index(backup["label"])
    assert f"{b.peer_id}  bee" in text
    assert "cheapest in the map" in text

    slots = a.slots()
    for route in (best, backup):
        hop = route["hops"][0]
        assert hop["slot"] == slots[hop["peer_id"]]
        assert a.run("ping", "-c", "1", route["label"]).returncode == 0

    other = square.cut()
    assert square.in_use()["label"] != square.before
    wait_until(lambda: a.ask("map")["links"] == 3, timeout=20)
    found = a.ask("resolve", d.peer_id)
    assert found["routes"][0]["hops"][0]["peer_id"] == square.nodes[other].peer_id
    assert square.before not in [r["label"] for r in found["routes"] if r["state"] == "active"]
    assert lines(a.run("map"))[-1] == "4 nodes, 3 links"
    table = lines(a.run("routes"))
    assert table[0] == "PEER LABEL HOPS COST RTT MTU STATE AGE"
    assert any(line.startswith("bee /rovyrt/") and " 1 " in line for line in table)
    assert any(f" {found['routes'][0]['label']} 2 " in line and "active" in line for line in table)


def test_traceroute_before_and_after_a_cut(square: Square) -> None:
    a, d = square.a, square.d
    a.ask("resolve", d.peer_id)
    for look in (square.first_hop, square.cut):
        used = look()
        near = square.nodes[used]
        traced = a.ask("traceroute", d.peer_id)
        assert traced["reached"]
        assert [hop["peer_id"] for hop in traced["hops"]] == [near.peer_id, d.peer_id]
        assert [hop["address"] for hop in traced["hops"]] == [near.ip6, d.ip6]
        assert all(0 < rtt < 1 for hop in traced["hops"] for rtt in hop["rtts"] if rtt)
        head, first, second = lines(a.run("traceroute", d.ip6))
        assert head.endswith(f"({d.ip6}), 2 hops along {traced['label']}")
        assert first.startswith(f"1 bee ({near.ip6})" if used == "b" else "1 bafzqai…")
        assert second.startswith(f"2 bafzqai…{d.peer_id[-4:]} ({d.ip6}) ")
        assert second.count(" ms") >= 2


def test_traceroute_ends_where_the_route_does(square: Square) -> None:
    a, d = square.a, square.d
    label = a.ask("resolve", d.peer_id)["routes"][0]["label"]
    square.links[f"{square.first_hop()}d"].down()
    done = a.run("traceroute", "-w", "0.5", label, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[2].startswith(" 2  * * *")
    assert done.stderr == "Nobody behind hop 1 answered.\n"


def test_who_cannot_be_reached_is_said_with_a_remedy(square: Square) -> None:
    a, d = square.a, square.d
    shortened = f"bafzqai…{d.peer_id[-6:]}"
    assert a.ask("resolve", shortened)["peer_id"] == d.peer_id, "known by the map alone"
    for link in (square.links["bd"], square.links["cd"]):
        link.down()
    done = a.run("resolve", "-W", "1", "fc00::1", check=False)
    assert done.returncode == 1
    assert "rovyctl map" in done.stderr
    wait_until(lambda: len(a.ask("map")["nodes"]) == 3, timeout=30)
    done = a.run("resolve", "-W", "1", d.peer_id, "--json", check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["remedy"]
    assert a.run("routes", "nobody", check=False).returncode == 1


def test_watch_sees_traffic_and_the_cut(square: Square) -> None:
    a, d = square.a, square.d
    a.ask("resolve", d.peer_id)
    log = a.directory / "watch.log"
    watch = a.host.spawn(a.command("watch", "--interval", "0.2", "--json"), log=log)
    wait_until(lambda: len(looks(log)) >= 2, timeout=10)
    a.run("ping", "-c", "5", "-i", "0.05", "-s", "1000", d.peer_id)
    other = square.cut()
    wait_until(lambda: events(log, "path_changed"), timeout=10)
    wait_until(lambda: looks(log)[-1]["info"]["map"]["links"] == 3, timeout=20)
    os.kill(watch.pid, signal.SIGINT)
    assert watch.wait(5) == 0
    seen = looks(log)
    to_d = [r for look in seen for r in look["routes"] if r["peer_id"] == d.peer_id]
    assert max(route["sent_rate"] or 0 for route in to_d) > 5000
    assert to_d[-1]["hops"][0]["peer_id"] == square.nodes[other].peer_id
    assert {peer["state"] for look in seen for peer in look["peers"]} == {"up"}
    (event, *_) = events(log, "path_changed")
    assert event["peer_id"] == d.peer_id


def test_watch_once(square: Square) -> None:
    square.a.ask("resolve", square.d.peer_id)
    done = square.a.run("watch", "--once", "--interval", "0.3")
    shown = lines(done)
    assert shown[0].startswith(square.a.peer_id)
    assert "2 peers, 3 sessions, map of 4 nodes and 4 links" in shown
    assert any(line.startswith("bee up * 10.0.0.2:1312 ") for line in shown)
    label = square.in_use()["label"]
    assert any(line.startswith(f"bafzqai…{square.d.peer_id[-4:]} {label} 2 ") for line in shown)
    assert "\x1b" not in done.stdout


def looks(log: Path) -> list[dict[str, Any]]:
    """The lines that are whole."""
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if "\n" in line]


def events(log: Path, kind: str) -> list[dict[str, Any]]:
    return [event for look in looks(log) for event in look["events"] if event["kind"] == kind]
