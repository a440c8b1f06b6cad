"""Links that carry less than before, or more than usual, under an open TCP stream."""

import time

import pytest

from testnet import topology
from testnet.emulator import LinkQuality
from testnet.fleet import Fleet
from testnet.netns import wait_until
from testnet.topology import Topology
from tests.system.programs import OPEN_WEB, Download, Site

pytestmark = pytest.mark.system

RATE = 10_000_000
"""Of the links, bits a second."""
SIZE = 3_000_000
"""Bytes of the download, so that it lasts for all steps."""
STEP = 200_000
"""Bytes that must arrive after each step."""
PATIENCE = 15.0
"""Seconds for them; the path is given up for the old size after about one, and TCP waits on top."""
STEPS = (1300, 1280, 1500)
USUAL = 1500 - 28 + 3
"""Of the longest packet over a direct path of a usual link: IPv4 and UDP, and what rovy saves."""


def black_hole(link, mtu):
    """Longer packets vanish, and nobody is told."""
    link.set(mtu=mtu)


def interface(link, mtu):
    """The systems at both ends know."""
    link.set_mtu(mtu)


@pytest.mark.parametrize(
    ("size", "shrink"),
    [(2, black_hole), (3, black_hole), (3, interface)],
    ids=["black hole", "distant black hole", "distant interface"],
)
def test_stream_goes_on_when_the_mtu_changes(tun, lab, size, shrink):
    net = topology.line(lab, size, LinkQuality(delay=0.002, rate=RATE))
    fleet = Fleet(net, lab.log_directory, OPEN_WEB)
    fleet.start()
    download = Download(fleet[0].host, Site(fleet[-1].host, fleet[-1].ip6, SIZE))
    download.wait_more(STEP, timeout=PATIENCE)
    before = mtu(fleet[-1], fleet[0])
    for step in STEPS:
        shrink(net.links[0, 1], step)
        at = time.monotonic()
        download.wait_more(STEP, timeout=PATIENCE)
        print(f"MTU {step}: {time.monotonic() - at:.1f} s for the next {STEP} bytes")
        if step == STEPS[0]:
            assert 1280 <= mtu(fleet[-1], fleet[0]) < before
    download.finish(timeout=30)
    assert fleet.complaints() == []


def mtu(daemon, peer):
    """Of the route that packets take, bytes of IPv6 packet."""
    routes = daemon.call("GET", "/routes")["routes"]
    return next(r["mtu"] for r in routes if r["address"] == peer.ip6 and r["state"] == "active")


def test_jumbo_link_carries_longer_packets(tun, lab):
    a, b = lab.host("a"), lab.host("b")
    lab.link(a, b, net="10.0.1.0/24", mtu=9000)
    fleet = Fleet(Topology([a, b], {}, [{1: "/ip4/10.0.1.2/udp/1312"}, {}]), lab.log_directory)
    fleet.spawn()
    fleet.wait_ready()
    a.run(["ping", "-n", "-c1", "-w10", fleet[1].ip6])
    wait_until(lambda: mtu(fleet[0], fleet[1]) > 8000, timeout=10)
    assert mtu(fleet[0], fleet[1]) == 9000 - 1500 + USUAL
    ping = ["ping", "-n", "-c2", "-i0.1", "-W2", "-Mdo", f"-s{8955 - 48}", fleet[1].ip6]
    assert "8915 bytes from" in a.run(ping).stdout  # the longest that the interface takes
    assert "pmtu 8955 hops 1 back 1" in a.run(["tracepath", "-n", fleet[1].ip6]).stdout
    assert fleet.complaints() == []
