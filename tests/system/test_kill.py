"""Daemons that are killed without a word, in the middle and at the ends, under a download."""

import time

import pytest

from testnet import topology
from testnet.daemons import BIN
from testnet.emulator import LinkQuality
from testnet.fleet import Fleet
from testnet.netns import wait_until
from tests.system.programs import OPEN_WEB, Download, Site

pytestmark = pytest.mark.system

RATE = 1_000_000
"""Of the links, bytes a second, and so of the download."""
SIZE = 5 * RATE
DEAD = 1.0
"""Seconds a daemon stays dead at least."""
PATIENCE = 40.0
"""Seconds the rest of a download may take: TCP waits ever longer between two tries."""
CLIENT, SERVER = 0, 2


@pytest.fixture(scope="module")
def square(tun, shared_lab):
    """Two ways from the first to the third of four daemons."""
    fleet = Fleet(
        topology.ring(shared_lab, 4, LinkQuality(rate=8 * RATE)), shared_lab.log_directory, OPEN_WEB
    )
    fleet.start()
    yield fleet
    assert fleet.complaints() == []


@pytest.fixture(scope="module")
def site(square):
    return Site(square[SERVER].host, square[SERVER].ip6, SIZE)


@pytest.fixture
def download(square, site):
    """Under way."""
    square.wait_known()
    download = Download(square[CLIENT].host, site)
    download.wait_more(RATE // 4, timeout=15)
    return download


def middle(fleet):
    """The node through which the server reaches the client."""
    routes = fleet[SERVER].call("GET", "/routes")["routes"]
    address = fleet[CLIENT].ip6
    used = next(r for r in routes if r["address"] == address and r["state"] == "active")
    return [daemon.peer_id for daemon in fleet.daemons].index(used["hops"][0]["peer_id"])


def interfaces(host):
    return host.run(["ip", "-o", "link", "show", "type", "tun"]).stdout.count("rovy0")


def tables(host):
    return host.run(["nft", "list", "tables"]).stdout.splitlines()


def test_another_way_takes_over_from_a_killed_node(square, download):
    used = middle(square)
    square[used].kill()
    killed = time.monotonic()
    wait_until(lambda: middle(square) != used, timeout=20)
    download.wait_more(RATE // 10, timeout=20)
    print(f"killed in the middle, another way: {time.monotonic() - killed:.1f} s to 0.1 MB more")
    download.finish(PATIENCE)
    square.restart(used)


def test_download_goes_on_when_the_only_way_is_back(square, download):
    used = middle(square)
    others = [link for edge, link in square.net.links.items() if used not in edge]
    for link in others:
        link.down(interfaces=True)
    download.wait_more(RATE // 2, timeout=10)
    square[used].kill()
    time.sleep(DEAD)
    began = time.monotonic()
    square.restart(used)
    download.finish(PATIENCE)
    print(f"killed in the middle, no other way: {time.monotonic() - began:.1f} s to the end")
    for link in others:
        link.up()


@pytest.mark.parametrize("number", [CLIENT, SERVER], ids=["client", "server"])
def test_download_goes_on_when_a_killed_end_is_back(square, download, number):
    daemon = square[number]
    daemon.kill()
    assert (interfaces(daemon.host), tables(daemon.host)) == (0, ["table ip6 rovy-rovy0"])
    time.sleep(DEAD)
    began = time.monotonic()
    square.restart(number)
    assert (interfaces(daemon.host), tables(daemon.host)) == (1, ["table ip6 rovy-rovy0"])
    download.finish(PATIENCE)
    print(f"killed at an end: {time.monotonic() - began:.1f} s to the end of the download")


def test_state_directory_serves_one_daemon(square):
    daemon = square[CLIENT]
    command = [str(BIN / "rovyd"), "--state-dir", str(daemon.directory), "--socket"]
    done = daemon.host.run([*command, str(daemon.directory / "other.sock")], check=False)
    assert done.returncode == 1
    assert "another rovyd uses" in done.stderr
    assert interfaces(daemon.host) == 1
    assert daemon.answers()


def test_stop_leaves_nothing_behind(square):
    daemon = square[CLIENT]
    daemon.run("stop")
    assert (interfaces(daemon.host), tables(daemon.host)) == (0, [])
    square.restart(CLIENT)
    wait_until(lambda: (interfaces(daemon.host), len(tables(daemon.host))) == (1, 1))
