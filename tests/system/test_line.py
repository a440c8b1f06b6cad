"""Six daemons in a row, each told only its neighbours: stock programs from end to end."""

import json
import re

import pytest

from rovy.dataplane.types import Drop
from testnet import topology
from testnet.fleet import Fleet
from testnet.netns import wait_until
from tests.system.programs import WEB, Download, Site, Ssh

pytestmark = pytest.mark.system

SIZE = 6
MTU = 1500 - 28 - 34
"""Of the route: Ethernet's less IPv4, UDP and what rovy adds to a routed packet."""
LONGEST = MTU - 48
"""Data of the longest ping."""
REFUSED = 7
"""How curl ends where nothing listens."""


@pytest.fixture(scope="module")
def line(tun, shared_lab):
    fleet = Fleet(topology.line(shared_lab, SIZE), shared_lab.log_directory)
    for daemon in fleet.daemons:
        # Kernels refuse no more than a few packets a second, fewer than these tests ask for.
        daemon.host.sysctl("net.ipv6.icmp.ratelimit", "0")
    fleet.start()
    yield fleet
    assert fleet.complaints() == []


@pytest.fixture(scope="module")
def far(line):
    """The address at the other end."""
    return line[-1].ip6


@pytest.fixture(scope="module")
def run(line):
    """Runs a command at this end."""
    return line[0].host.run


@pytest.fixture
def opened(line):
    """Opens a port at the other end, for one test."""
    rules = []

    def opened(rule):
        line[-1].run("firewall", "allow", rule)
        rules.append(rule)

    yield opened
    for rule in rules:
        line[-1].run("firewall", "deny", rule)


def nodes(line):
    """The addresses on the way, the last one included."""
    return [daemon.ip6 for daemon in line.daemons[1:]]


def counters(daemon, group):
    return daemon.ask("counters")["counters"][group]


def test_ping_of_every_node(line, run):
    for hops, address in enumerate(nodes(line), start=1):
        shown = run(["ping", "-n", "-c5", "-i0.05", "-W2", address]).stdout
        assert "5 received, 0% packet loss" in shown
        assert set(re.findall(r"ttl=(\d+)", shown)) == {str(64 - (hops - 1))}


@pytest.mark.parametrize("way", ["-U", "-I", "-T"])
def test_traceroute_names_every_node(line, run, far, way):
    shown = run(["traceroute", "-n", way, "-q1", "-w3", far]).stdout
    assert re.findall(r"^ *(\d+)  (\S+)  [\d.]+ ms", shown, re.M) == [
        (str(hop), address) for hop, address in enumerate(nodes(line), start=1)
    ]


def test_tracepath_finds_the_mtu(line, run, far):
    shown = run(["tracepath", "-n", far]).stdout
    assert f"pmtu {MTU} hops {SIZE - 1} back {SIZE - 1}" in shown
    hops = dict(re.findall(r"^ *(\d+): +(fc\S+) .*(?:ms|reached) *$", shown, re.M))
    assert list(hops.values()) == nodes(line)
    assert active_route(line[0], far)["mtu"] == MTU


def active_route(daemon, address):
    routes = daemon.call("GET", "/routes")["routes"]
    return next(r for r in routes if r["address"] == address and r["state"] == "active")


def test_mtr_reports_no_loss(line, run, far):
    options = ["--report", "--json", "-c3", "-i0.2", "-G1"]
    report = json.loads(run(["mtr", "-n", *options, far]).stdout)["report"]
    assert [(hub["host"], hub["Loss%"]) for hub in report["hubs"]] == [
        (address, 0.0) for address in nodes(line)
    ]


@pytest.mark.parametrize("size", [1232, LONGEST])
def test_pings_that_fit_arrive_whole(run, far, size):
    shown = run(["ping", "-n", "-c3", "-i0.1", "-W2", "-Mdo", f"-s{size}", far]).stdout
    assert shown.count(f"{size + 8} bytes from") == 3


def test_ping_that_does_not_fit_is_told_the_mtu(run, far):
    done = run(["ping", "-n", "-c2", "-i0.1", "-W1", "-Mdo", f"-s{LONGEST + 1}", far], check=False)
    assert done.returncode == 1
    assert f"message too long, mtu: {MTU}" in done.stdout + done.stderr


def test_fragments_are_put_together(line, run, far):
    for host, target in ((line[-1].host, line[0].ip6), (line[0].host, far)):
        # Each end learns the MTU from the first packet that is too long.
        host.run(["ping", "-n", "-c1", "-W0.5", "-s1600", target], check=False)
    shown = run(["ping", "-n", "-c3", "-i0.1", "-W2", "-s8000", far]).stdout
    assert shown.count("8008 bytes from") == 3


def test_hop_limit_ends_at_the_node_it_counts_to(line, run, far):
    for hops, address in enumerate(nodes(line)[:-1], start=1):
        done = run(["ping", "-n", "-c1", "-W2", f"-t{hops}", far], check=False)
        assert done.returncode == 1
        assert f"From {address} icmp_seq=1 Time exceeded: Hop limit" in done.stdout
    assert "1 received" in run(["ping", "-n", "-c1", "-W2", f"-t{SIZE - 1}", far]).stdout


def test_file_arrives_whole(line, far, opened):
    opened(f"tcp/{WEB}")
    site = Site(line[-1].host, far, 20_000_000)
    Download(line[0].host, site).finish(timeout=30)


@pytest.mark.parametrize("options", [["-C", "cubic"], ["-u", "-b4M", "-l1200"]])
def test_iperf3(line, run, far, opened, options):
    opened("tcp/5201")
    opened("udp/5201")
    line[-1].host.spawn(["iperf3", "-s", "-1", "-B", far])
    wait_until(lambda: bool(line[-1].host.run(["ss", "-Hltn", "sport = :5201"]).stdout))
    end = json.loads(run(["iperf3", "-J", "-c", far, "-t2", *options]).stdout)["end"]
    total = end["sum" if "-u" in options else "sum_received"]
    print(f"{'UDP' if '-u' in options else 'TCP'}: {total['bits_per_second'] / 1e6:.1f} Mbit/s")
    assert total["bits_per_second"] > 3e6
    assert total.get("lost_percent", 0.0) < 5


def test_ssh_and_scp(line, run, far, opened, tmp_path, all_users):
    opened("tcp/2222")
    ssh = Ssh(line[-1].host, far, tmp_path / "ssh")
    ssh.start()
    assert run(["ssh", "-p2222", *ssh.options(), far, "echo", "ok"]).stdout == "ok\n"
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(range(256)) * 4000)
    run(["scp", "-qP2222", *ssh.options(), str(source), f"[{far}]:{copy}"])
    assert copy.read_bytes() == source.read_bytes()


def test_nothing_but_unicast_leaves(line, run):
    """Multicast and link-local packets are counted apart, and the neighbour hears none."""
    host, interface = line[0].host, "rovy0"
    host.add_address(interface, "fe80::1/64")
    before, heard = counters(line[0], "dropped"), counters(line[1], "interface")
    run(["ping", "-n", "-c3", "-i0.05", "-W0.2", "-L", f"ff02::1%{interface}"], check=False)
    run(["ping", "-n", "-c2", "-i0.05", "-W0.2", f"fe80::2%{interface}"], check=False)
    after = counters(line[0], "dropped")
    for drop, least in ((Drop.IP6_MULTICAST, 3), (Drop.IP6_LINK_LOCAL, 2)):
        assert after[drop] - before.get(drop, 0) >= least
    assert counters(line[1], "interface")["packets_written"] == heard["packets_written"]
    host.del_address(interface, "fe80::1/64")


def test_foreign_source_is_dropped(line, run):
    """A packet from the machine with an address that is not the node's own."""
    line[0].host.add_address("lo", "fc99::1/128")
    before = counters(line[0], "dropped").get(Drop.IP6_SOURCE, 0)
    ping = ["ping", "-n", "-c2", "-i0.05", "-W0.2", "-I", "fc99::1", line[1].ip6]
    assert run(ping, check=False).returncode == 1
    assert counters(line[0], "dropped")[Drop.IP6_SOURCE] == before + 2
    line[0].host.del_address("lo", "fc99::1/128")


def test_firewall_is_closed_until_it_is_opened(line, run, far):
    site = Site(line[-1].host, far, 1000)
    curl = ["curl", "-sS", "-m3", "-o", "/dev/null", site.url]
    assert run(curl, check=False).returncode == REFUSED
    line[-1].run("firewall", "allow", f"tcp/{WEB}", "from", line[0].peer_id)
    assert run(curl).returncode == 0
    assert line[1].host.run(curl, check=False).returncode == REFUSED
    line[-1].run("firewall", "deny", f"tcp/{WEB}", "from", line[0].peer_id)
    assert run(curl, check=False).returncode == REFUSED


def test_unknown_address_is_unreachable(run):
    done = run(["ping", "-n", "-c1", "-W3", "fc00::1234"], check=False)
    assert done.returncode == 1
    assert "Destination unreachable: No route" in done.stdout
