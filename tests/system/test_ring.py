"""Five daemons in a ring: a link is cut under traffic, the other way round takes over."""

import pytest

from testnet import topology
from testnet.emulator import LinkQuality
from testnet.fleet import Fleet
from testnet.netns import wait_until
from tests.system.programs import OPEN_WEB, Download, Ping, Site

pytestmark = pytest.mark.system

SIZE = 5
DELAY = 0.015
"""Seconds one way on each link: one hop less must be worth a change, loaded links or not."""
GAP = 1.0
"""Seconds without an answer at most; 0.2 are what is aimed at on a machine with time to spare."""
RATE = 1_000_000
"""Of the links, bytes a second, and so of the download."""


@pytest.fixture(scope="module")
def ring(tun, shared_lab):
    net = topology.ring(shared_lab, SIZE, LinkQuality(delay=DELAY, rate=8 * RATE))
    fleet = Fleet(net, shared_lab.log_directory, OPEN_WEB)
    fleet.start()
    yield fleet
    assert fleet.complaints() == []


@pytest.fixture(scope="module")
def site(ring):
    return Site(ring[2].host, ring[2].ip6, 6 * RATE)


def hops(fleet):
    """Of the route that packets from the first node to the third take now."""
    routes = fleet[0].call("GET", "/routes")["routes"]
    return [
        len(r["hops"]) for r in routes if r["address"] == fleet[2].ip6 and r["state"] == "active"
    ]


@pytest.mark.parametrize(
    ("edge", "told"),
    [((0, 1), False), ((1, 2), False), ((0, 1), True)],
    ids=["first link, silently", "second link, silently", "first link, interfaces down"],
)
def test_traffic_takes_the_other_way_and_comes_back(ring, site, edge, told):
    link = ring.net.links[edge]
    ping = Ping(ring[0].host, ring[2].ip6, every=0.02)
    wait_until(lambda: hops(ring) == [2], timeout=15)
    download = Download(ring[0].host, site)
    download.wait_more(RATE // 2, timeout=10)
    ping.wait_answers(20, timeout=5)
    link.down(interfaces=told)
    ping.wait_answers(100, timeout=10)
    assert hops(ring) == [3]
    download.wait_more(RATE // 2, timeout=10)
    link.up()
    wait_until(lambda: hops(ring) == [2], timeout=40)
    ping.wait_answers(20, timeout=5)
    download.finish(timeout=20)
    pinged = ping.stop()
    print(f"cut of {edge}: {pinged.lost} of {pinged.sent} lost, {pinged.gap:.3f} s without answer")
    assert pinged.gap <= GAP
    assert pinged.lost <= GAP / 0.02
