"""A node behind address translation whose state expires and changes under its session."""

import time

import pytest

from testnet.daemons import PORT
from testnet.emulator import LinkQuality
from testnet.fleet import Fleet
from testnet.netns import wait_until
from testnet.topology import Topology
from tests.system.programs import OPEN_WEB, Download, Ping, Site

pytestmark = pytest.mark.system

RATE = 4_000_000
"""Of the link behind the router, bits a second."""
EXPIRY = 2
"""Seconds a silent mapping lasts: less than lies between two probes of a peering at rest."""
GAP = 8.0
"""Seconds without an answer at most: what comes from outside may wait for a probe from inside."""


class World:
    """A behind a router, B outside; only A knows where the other one is."""

    def __init__(self, lab, kind):
        self.a, router, self.b = (lab.host(name) for name in ("a", "router", "b"))
        inner = lab.emulated(self.a, router, net="10.0.1.0/24", quality=LinkQuality(rate=RATE))
        outer = lab.link(router, self.b, net="10.0.2.0/24")
        self.a.route("default", via="10.0.1.2")
        names = inner.interface(router), outer.interface(router)
        self.nat = lab.nat(router, *names, kind=kind, udp_timeout=EXPIRY)
        net = Topology([self.a, self.b], {}, [{1: f"/ip4/10.0.2.2/udp/{PORT}"}, {}])
        self.fleet = Fleet(net, lab.log_directory, OPEN_WEB)
        self.fleet.spawn()
        self.fleet.wait_ready()
        wait_until(lambda: bool(self.fleet[0].slots()) and bool(self.fleet[1].slots()), timeout=15)
        self.ids = self.sessions()

    def sessions(self):
        return [
            [session["id"] for session in daemon.call("GET", "/sessions")["sessions"]]
            for daemon in self.fleet.daemons
        ]

    def mapping(self):
        """Where B sends what is for A."""
        (session,) = self.fleet[1].call("GET", "/sessions")["sessions"]
        return next(path["route"] for path in session["paths"] if path["active"])

    def ping(self, outward):
        """Of B by A, or of A by B."""
        source, target = (0, 1) if outward else (1, 0)
        return Ping(self.fleet[source].host, self.fleet[target].ip6, every=0.1)

    def check(self):
        assert self.sessions() == self.ids
        assert self.fleet.complaints() == []


@pytest.fixture(params=["port-restricted", "symmetric"])
def world(tun, lab, request):
    world = World(lab, request.param)
    yield world
    world.check()


@pytest.mark.parametrize("outward", [True, False], ids=["from inside", "from outside"])
def test_traffic_survives_a_lost_and_a_changed_mapping(world, outward):
    ping = world.ping(outward)
    for disturb in (world.nat.expire, world.nat.rebind):
        disturb()
        ping.wait_answers(10, timeout=20)
    pinged = ping.stop()
    print(f"{pinged.lost} of {pinged.sent} pings lost, {pinged.gap:.1f} s without answer")
    assert pinged.gap <= GAP
    before = world.mapping()
    world.nat.rebind()
    wait_until(lambda: world.mapping() != before, timeout=GAP)


def test_download_survives_a_changed_mapping_and_silence_the_loss_of_it(tun, lab):
    world = World(lab, "port-restricted")
    download = Download(world.a, Site(world.b, world.fleet[1].ip6, 2_000_000))
    download.wait_more(200_000, timeout=10)
    world.nat.rebind()
    download.finish(timeout=40)
    time.sleep(2 * EXPIRY)
    world.ping(outward=False).wait_answers(10, timeout=GAP)
    world.check()
