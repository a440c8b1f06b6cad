"""A - B - C in three namespaces, no link between A and C: labels, roaming, faults."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testnet.daemons import Daemon
from testnet.netns import Lab, Link, wait_until

pytestmark = pytest.mark.system


class Line:
    """Three daemons in a row; A and C know an address of B."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        hosts = {name: lab.host(name) for name in "abc"}
        self.left = lab.link(hosts["a"], hosts["b"], net="10.0.1.0/24", v6="fd00:1::/64")
        self.right = lab.link(hosts["b"], hosts["c"], net="10.0.2.0/24", v6="fd00:2::/64")
        self.a, self.b, self.c = (Daemon(host, directory / name) for name, host in hosts.items())
        self.b.start()
        self.a.start("--peer", self.b.address("10.0.1.2"))
        self.c.start("--peer", self.b.address("10.0.2.1"))
        self.wait_peerings()

    def wait_peerings(self) -> None:
        wait_until(lambda: len(self.b.slots()) == 2, timeout=15)
        wait_until(lambda: bool(self.a.slots()) and bool(self.c.slots()), timeout=15)

    def label(self) -> str:
        slots = self.a.slots()[self.b.peer_id], self.b.slots()[self.c.peer_id]
        return "/rovyrt/" + "-".join(f"{slot:02x}" for slot in slots)

    def session(self, daemon: Daemon, peer: Daemon) -> dict[str, Any]:
        sessions = daemon.ask("sessions")["sessions"]
        return next(s for s in sessions if s["peer_id"] == peer.peer_id)

    def ping(self, target: str, count: int = 3) -> dict[str, Any]:
        options = ["-c", str(count), "-i", "0.1", "-W", "2", "--json"]
        done = self.a.run("ping", *options, target, check=False)
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def line(lab: Lab, tmp_path: Path) -> Iterator[Line]:
    line = Line(lab, tmp_path)
    yield line
    for daemon in (line.a, line.b, line.c):
        assert "Traceback" not in daemon.log(), daemon.log()


def active(session: dict[str, Any]) -> dict[str, Any]:
    return next(path for path in session["paths"] if path["active"])


def test_a_reaches_c_by_label_and_then_by_peer_id(line: Line) -> None:
    label = line.label()
    assert line.ping(label)["answered"] == 3
    assert line.ping(line.c.peer_id)["answered"] == 3
    assert active(line.session(line.a, line.c))["route"] == label
    assert line.b.ask("counters")["counters"]["node"]["packets forwarded"] > 6
    direct = line.a.host.run(["ping", "-c1", "-W1", "10.0.2.2"], check=False)
    assert direct.returncode != 0, "A and C must have no way but rovy's"


def test_a_stranger_label_is_an_error_that_says_so(line: Line) -> None:
    done = line.a.run("ping", "-c", "1", "-W", "0.5", "/rovyrt/01-63", check=False)
    assert done.returncode == 1
    assert "/rovyrt/01-63" in done.stdout + done.stderr


def test_sessions_survive_a_new_ipv4_address_of_the_relay(line: Line) -> None:
    line.ping(line.label())
    before = line.session(line.a, line.b)["id"], line.session(line.a, line.c)["id"]
    interface = line.left.interface(line.b.host)
    line.b.host.del_address(interface, "10.0.1.2/24")
    line.b.host.add_address(interface, "10.0.1.77/24")
    wait_until(lambda: moved(line, "10.0.1.77"), timeout=5)
    assert line.ping(line.c.peer_id, 5)["answered"] == 5
    assert (line.session(line.a, line.b)["id"], line.session(line.a, line.c)["id"]) == before


def moved(line: Line, address: str) -> bool:
    paths = line.session(line.a, line.b)["paths"]
    return any(path["active"] and path["valid"] and address in path["route"] for path in paths)


def test_a_second_address_becomes_a_warm_path_and_takes_over(lab: Lab, line: Line) -> None:
    """Two links between A and B; the one in use is cut under a running ping."""
    second = lab.link(line.a.host, line.b.host, net="10.0.9.0/24")
    line.a.run("peer", "add", line.b.address("10.0.9.2"))
    wait_until(lambda: len(both_links(line)) >= 2, timeout=10)
    line.ping(line.label())
    log = line.a.directory / "ping.log"
    command = line.a.command("ping", "-c", "30", "-i", "0.1", "-W", "1", "--json", line.c.peer_id)
    pings = line.a.host.spawn(command, log=log)
    time.sleep(1)
    used = active(line.session(line.a, line.b))["route"]
    (line.left if used.startswith("10.0.1.") else second).down()
    pings.wait(40)
    summary = json.loads(log.read_text().splitlines()[-1])
    assert summary["answered"] >= 26, summary
    now = active(line.session(line.a, line.b))["route"]
    assert now.split(".")[2] != used.split(".")[2]


def both_links(line: Line) -> set[str]:
    paths = line.session(line.a, line.b)["paths"]
    return {path["route"] for path in paths if path["valid"]}


def test_a_killed_relay_comes_back_with_its_slots(line: Line) -> None:
    label = line.label()
    line.ping(label)
    line.b.kill()
    line.b.start()
    line.wait_peerings()
    assert line.label() == label
    wait_until(lambda: line.ping(line.c.peer_id, 1)["answered"] == 1, timeout=15)


def test_a_killed_end_comes_back(line: Line) -> None:
    label = line.label()
    line.ping(label)
    line.c.kill()
    line.c.start("--peer", line.b.address("10.0.2.1"))
    line.wait_peerings()
    assert line.label() == label
    wait_until(lambda: line.ping(label, 1)["answered"] == 1, timeout=15)


def test_a_large_mtu_is_found_and_a_smaller_one_noticed(line: Line) -> None:
    link: Link = line.left
    wait_until(lambda: active(line.session(line.a, line.b))["mtu"] == 1472, timeout=10)
    link.set_mtu(1400)
    sizes = ["ping", "-c", "1", "-W", "1", "-s", "1400", line.b.peer_id]
    wait_until(lambda: line.a.run(*sizes, check=False).returncode != 0, timeout=10)
    wait_until(lambda: active(line.session(line.a, line.b))["mtu"] < 1400, timeout=120)
    assert line.ping(line.b.peer_id)["answered"] == 3
