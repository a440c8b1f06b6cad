"""Daemons that are told nothing find one another on the links between them."""

import time
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from random import Random
from typing import Any

import networkx
import pytest

from rovy.address.keys import PrivateKey
from testnet.daemons import PORT, Daemon
from testnet.netns import Bridge, Host, Lab, wait_until
from testnet.pings import first_answers
from tests.system import mdns

pytestmark = [pytest.mark.system, pytest.mark.slow]

NET = "10.0.1.0/24"
GOAL = 3.0
"""Seconds until two that run have pinged each other."""
REARM = 1.0
"""Seconds until an interface that came or changed is used."""
Document = dict[str, Any]
Make = Callable[..., Daemon]


@pytest.fixture
def make(lab: Lab, tmp_path: Path) -> Iterator[Make]:
    """Daemons on new hosts, whose logs tell of no mistake in the end."""
    made: list[Daemon] = []

    def new(name: str, host: Host | None = None) -> Daemon:
        daemon = Daemon(host or lab.host(name), tmp_path / name)
        daemon.discovery = None
        made.append(daemon)
        return daemon

    yield new
    for daemon in made:
        assert not [w for w in ("Traceback", " ERROR ") if w in daemon.log()], daemon.log()


@pytest.fixture
def pair(lab: Lab, make: Make) -> tuple[Daemon, Daemon, Bridge]:
    """Two hosts on a LAN; their daemons do not run yet."""
    a, b = make("a"), make("b")
    return a, b, lab.bridge("lan", a.host, b.host, net=NET)


def run(*daemons: Daemon) -> None:
    for daemon in daemons:
        daemon.spawn()
    wait_until(lambda: all(daemon.answers() for daemon in daemons), timeout=30)


def report(daemon: Daemon) -> Document:
    return daemon.call("GET", "/discovery")


def interface(daemon: Daemon, name: str) -> Document:
    found = [each for each in report(daemon)["interfaces"] if each["name"] == name]
    return found[0] if found else {"state": "", "announced": False, "heard_back": None}


def node(daemon: Daemon, other: Daemon) -> Document:
    found = [each for each in report(daemon)["nodes"] if each["peer_id"] == other.peer_id]
    return found[0] if found else {"state": "", "endpoints": [], "interfaces": []}


def peers(a: Daemon, b: Daemon) -> bool:
    return b.peer_id in a.slots() and a.peer_id in b.slots()


def pings(a: Daemon, b: Daemon, wait: int = 2) -> bool:
    done = a.host.run(["ping", "-c1", f"-W{wait}", b.ip6], check=False)
    return done.returncode == 0


def took(condition: Callable[[], bool], timeout: float = 10.0) -> float:
    began = time.monotonic()
    wait_until(condition, timeout=timeout)
    return time.monotonic() - began


def test_two_daemons_without_configuration(pair):
    a, b, _ = pair
    run(a, b)
    seconds = took(lambda: peers(a, b) and pings(a, b))
    print(f"found and pinged after {seconds:.2f} s")
    assert seconds < GOAL
    wait_until(lambda: node(a, b)["wanted"], timeout=5)
    (entry,) = a.ask("peers")["peers"]
    assert (entry["peer_id"], entry["state"], entry["origin"]) == (b.peer_id, "up", "lan")
    wait_until(lambda: interface(a, "to-lan")["heard_back"], timeout=5)
    shown = a.run("discovery").stdout
    assert "1 node, 1 of at most 8 chosen" in shown
    assert "to-lan" in shown
    assert "Problem" not in shown
    assert report(a)["problems"] == []
    assert node(a, b)["attempts"] + node(b, a)["attempts"] <= 2


@pytest.mark.parametrize("family", ["4", "6"])
def test_lan_of_one_family(lab, make, family):
    a, b = make("a"), make("b")
    if family == "4":
        for daemon in (a, b):
            daemon.host.sysctl("net.ipv6.conf.default.disable_ipv6", "1")
    lab.bridge("lan", a.host, b.host, net=NET if family == "4" else None)
    for daemon in (a, b):
        daemon.host.sysctl("net.ipv6.conf.default.disable_ipv6", "0")  # rovy's own has it
    run(a, b)
    assert took(lambda: peers(a, b) and pings(a, b)) < GOAL
    (address,) = interface(a, "to-lan")["addresses"]
    assert (":" in address) == (family == "6")


def test_filtered_multicast_is_said(pair):
    a, b, lan = pair
    for daemon in (a, b):
        daemon.host.run(["nft", "add table inet closed"])
        daemon.host.run(["nft", "add chain inet closed in { type filter hook input priority 0; }"])
        daemon.host.run(["nft", "add rule inet closed in udp dport 5353 drop"])
    run(a, b)
    wait_until(lambda: interface(a, "to-lan").get("heard_back") is False, timeout=10)
    shown = a.run("discovery").stdout
    assert "own announcement not heard back on to-lan" in shown
    assert "let UDP port 5353 in" in shown
    assert any("not heard back on to-lan" in each for each in a.ask("info")["problems"])
    assert a.log().count("not heard back on to-lan") == 1
    assert not a.slots()
    for daemon in (a, b):
        daemon.host.run(["nft", "delete table inet closed"])
    lan.link(a.host).down()
    lan.link(a.host).up()
    wait_until(lambda: peers(a, b), timeout=40)
    wait_until(lambda: report(a)["problems"] == [], timeout=5)


def test_interfaces_that_come_go_and_change(lab, make):
    a, b = make("a"), make("b")
    run(a, b)
    assert report(a)["problems"] == []
    lan = lab.bridge("lan", a.host, b.host, net=NET)
    late = took(lambda: interface(a, "to-lan")["announced"])
    found = took(lambda: peers(a, b) and pings(a, b))
    lan.link(b.host).down()
    gone = took(lambda: interface(b, "to-lan")["state"] == "")
    wait_until(lambda: node(b, a)["interfaces"] == [], timeout=2)
    lan.link(b.host).up()
    back = took(lambda: interface(b, "to-lan")["announced"])
    wait_until(lambda: pings(a, b, 1), timeout=30)
    b.host.del_address("to-lan", "10.0.1.2/24")
    b.host.add_address("to-lan", "10.0.1.77/24")
    changed = took(lambda: f"10.0.1.77:{PORT}" in node(a, b)["endpoints"])
    print(f"late {late:.2f} found {found:.2f} gone {gone:.2f} back {back:.2f} new {changed:.2f} s")
    assert max(late, gone, back) < REARM
    assert found < GOAL
    assert changed < 2 * REARM
    wait_until(lambda: pings(a, b, 1), timeout=10)


def test_one_on_two_lans_joins_them(lab, make):
    a, b, c = make("a"), make("b"), make("c")
    lab.bridge("left", a.host, b.host, net=NET)
    lab.bridge("right", b.host, c.host, net="10.0.2.0/24")
    run(a, b, c)
    assert took(lambda: peers(a, b) and peers(b, c)) < GOAL
    assert took(lambda: pings(a, c, 1)) < 10
    assert c.peer_id not in a.slots()
    assert node(b, a)["interfaces"] == ["to-left"]
    assert node(b, c)["interfaces"] == ["to-right"]


def test_two_cards_on_one_lan(pair):
    a, b, lan = pair
    lan.attach(a.host)
    run(a, b)
    assert took(lambda: peers(a, b) and pings(a, b)) < GOAL
    for name in ("to-lan", "to-lan-2"):
        wait_until(lambda name=name: interface(a, name)["heard_back"], timeout=5)
    wait_until(lambda: node(a, b)["interfaces"] == ["to-lan", "to-lan-2"], timeout=5)
    lan.links[0].down()
    wait_until(lambda: pings(a, b, 1), timeout=10)


def test_several_daemons_on_a_host(pair, make, tmp_path):
    a, b, _ = pair
    c = make("c", a.host)
    c.directory.mkdir()
    config = c.directory / "rovy.toml"
    config.write_text("interface = false\n")
    run(a, b)
    c.start("--config", str(config))
    assert took(lambda: peers(a, b) and peers(b, c) and peers(a, c)) < GOAL


def test_goodbye_and_death(pair):
    a, b, _ = pair
    run(a, b)
    wait_until(lambda: peers(a, b), timeout=5)
    b.run("stop")
    assert took(lambda: report(a)["nodes"] == []) < 2
    run(b)
    assert took(lambda: peers(a, b)) < GOAL
    b.kill()
    run(b)
    assert took(lambda: peers(a, b), timeout=30) < 20


def test_listening_and_settings_that_change(pair):
    a, b, _ = pair
    config = a.directory / "rovy.toml"
    a.directory.mkdir()
    config.write_text('discovery = "listen"\n')
    run(b)
    with mdns.Wire(b.host, "to-lan") as wire:
        a.start("--config", str(config))
        wait_until(lambda: peers(a, b), timeout=10)
        assert not [r for r in wire.heard(1.0) if a.peer_id.encode() in r]
        config.write_text('discovery = "on"\n')
        a.run("reload")
        assert took(lambda: any(a.peer_id.encode() in r for r in wire.heard(0.2))) < GOAL
    config.write_text('discovery = "off"\n')
    a.run("reload")
    wait_until(lambda: node(b, a)["interfaces"] == [], timeout=3)
    off = report(a)
    assert (off["mode"], off["interfaces"], off["nodes"], off["problems"]) == ("off", [], [], [])
    assert "off; turn it on" in a.run("discovery").stdout


def test_another_program_sees_the_service(pair):
    """What is announced is what docs/protocol/discovery.md says."""
    a, b, _ = pair
    b.discovery = "off"
    run(a, b)
    wait_until(lambda: interface(a, "to-lan")["heard_back"], timeout=5)
    with mdns.Wire(b.host, "to-lan") as wire:
        wire.send(mdns.question(mdns.TYPE))
        found = {(each.name, each.kind): each for each in wire.records(2.0)}
        name = f"{a.peer_id}.{mdns.TYPE}"
        assert found[mdns.TYPE, mdns.PTR].value == name
        service = found[name, mdns.SRV]
        assert service.data[:6] == bytes(4) + PORT.to_bytes(2)
        assert found[name, mdns.TXT].data == b"\3v=1"
        assert found[service.value, mdns.A].data == bytes([10, 0, 1, 1])
        assert found[service.value, mdns.AAAA].data[:2] == b"\xfe\x80"
        a.run("stop")
        goodbyes = {(each.name, each.ttl) for each in wire.records(1.0) if each.kind == mdns.PTR}
        assert goodbyes == {(mdns.TYPE, 0)}


def test_another_program_announces(pair):
    """A key that is really there is met; one that is not is tried, and nothing comes of it."""
    a, b, _ = pair
    b.discovery = "off"
    run(a, b)
    stranger = PrivateKey.generate(Random(7).randbytes).peer_id
    wait_until(lambda: interface(a, "to-lan")["heard_back"], timeout=5)
    with mdns.Wire(b.host, "to-lan") as wire:
        wire.send(mdns.announcement(str(stranger), PORT, "10.0.1.2"))
        wire.send(mdns.announcement(b.peer_id, PORT, "10.0.1.2", "192.0.2.1", txt=b"v=1"))
        assert took(lambda: peers(a, b)) < GOAL
        wait_until(lambda: len(report(a)["nodes"]) == 2, timeout=5)
        states = {each["peer_id"]: each["state"] for each in report(a)["nodes"]}
        assert states[b.peer_id] == "peer"
        wait_until(lambda: report(a)["counters"].get("attempts failed") == 1, timeout=10)
        assert a.slots().keys() == {b.peer_id}
        assert node(a, b)["endpoints"] == [f"10.0.1.2:{PORT}"]
        wire.send(mdns.announcement(b.peer_id, PORT, "10.0.1.2", ttl=0))
        wait_until(lambda: node(a, b)["interfaces"] == [], timeout=5)
        time.sleep(1)
        assert peers(a, b)  # alive, which counts more than what somebody says


CROWD = 30


@pytest.mark.timeout(150)
def test_thirty_on_one_lan(lab, make):
    daemons = [make(f"n{number}") for number in range(CROWD)]
    lab.bridge("lan", *(daemon.host for daemon in daemons), net="10.0.1.0/24")
    for daemon in daemons:
        daemon.spawn()
    wait_until(lambda: all(each.answers() for each in daemons), timeout=90, interval=0.5)
    began = time.monotonic()
    wait_until(lambda: networkx.is_connected(graph(daemons)), timeout=30, interval=0.5)
    whole = time.monotonic() - began
    time.sleep(8)
    found = graph(daemons)
    degrees = [degree for _, degree in found.degree()]
    chosen = [sum(each["wanted"] for each in report(daemon)["nodes"]) for daemon in daemons]
    attempts = [sum(each["attempts"] for each in report(d)["nodes"]) for d in daemons]
    pairs = [(daemons[n].host, daemons[(7 * n + 5) % CROWD].ip6) for n in range(CROWD)]
    times = first_answers(pairs, timeout=30)
    slowest = max(inf if each is None else each for each in times)
    for daemon in daemons:
        daemon.kill()  # thirty farewells take longer
    print(
        f"connected {whole:.1f} s after the last start; peers {min(degrees)}–{max(degrees)},"
        f" {sum(degrees) / CROWD:.1f} on average; chosen at most {max(chosen)};"
        f" attempts {sum(attempts)}; all pings answered after {slowest:.1f} s"
    )
    assert None not in times
    assert networkx.is_biconnected(found)
    assert max(chosen) <= 8
    assert max(degrees) <= 16
    assert sum(attempts) <= CROWD * 20


def graph(daemons: list[Daemon]) -> networkx.Graph:
    """Who is a peer of whom, as they say."""
    found = networkx.Graph()
    found.add_nodes_from(daemon.peer_id for daemon in daemons)
    for daemon in daemons:
        found.add_edges_from((daemon.peer_id, other) for other in daemon.slots())
    return found
