"""Ends that move under traffic, and others that would like to make it look so."""

import time
from contextlib import ExitStack

import pytest

from rovy.wire.datagram import Type
from testnet.daemons import PORT
from testnet.emulator import LinkQuality
from testnet.fleet import Fleet
from testnet.netns import wait_until
from testnet.topology import Topology
from tests.system.programs import OPEN_WEB, Download, Ping, Site
from tests.system.wire import Tap, inject

pytestmark = pytest.mark.system

NET, V6 = "10.0.1.0/24", "fd00:1::/64"
GAP = 3.0
"""Seconds without an answer at most, after each change."""
RATE = 500_000
"""Of the link, bytes a second, and so of the download."""


def pair(lab, a, b, target):
    """Two daemons of which the first alone knows an endpoint of the second."""
    fleet = Fleet(Topology([a, b], {}, [{1: target}, {}]), lab.log_directory, OPEN_WEB)
    fleet.spawn()
    fleet.wait_ready()
    wait_until(lambda: bool(session(fleet[0], fleet[1])) and bool(session(fleet[1], fleet[0])))
    return fleet


def session(daemon, peer):
    """The open session with a peer, or nothing."""
    sessions = daemon.call("GET", "/sessions")["sessions"]
    return next((s for s in sessions if s["peer_id"] == peer.peer_id and s["paths"]), {})


def active(daemon, peer):
    """The path that carries the data now."""
    return next((p for p in session(daemon, peer).get("paths", ()) if p["active"]), {})


class Moving:
    """A and B on one link, with a ping and a download from B to A that must survive."""

    def __init__(self, lab):
        self.a, self.b = lab.host("a"), lab.host("b")
        quality = LinkQuality(rate=8 * RATE)
        self.link = lab.emulated(self.a, self.b, net=NET, v6=V6, quality=quality)
        self.fleet = pair(lab, self.a, self.b, f"/ip4/10.0.1.2/udp/{PORT}")
        self.ids = self._ids()
        self._ping = Ping(self.a, self.fleet[1].ip6)
        site = Site(self.b, self.fleet[1].ip6, 5 * RATE)
        self.download = Download(self.a, site)
        self.download.wait_more(RATE // 4, timeout=15)

    def change(self, host, remove, *add):
        interface = self.link.interface(host)
        host.del_address(interface, remove)
        for address in add:
            host.add_address(interface, address)

    def wait_path(self, number, remote):
        """Wait until a daemon sends to such an endpoint, and traffic goes on."""
        daemon, peer = self.fleet[number], self.fleet[1 - number]
        wait_until(lambda: active(daemon, peer).get("route") == remote, timeout=15)
        self._ping.wait_answers(10, timeout=10)
        self.download.wait_more(RATE // 4, timeout=10)

    def finish(self):
        """All arrived, over the same sessions as in the beginning."""
        self.download.finish(timeout=30)
        pinged = self._ping.stop()
        print(f"{pinged.lost} of {pinged.sent} pings lost, {pinged.gap:.3f} s without answer")
        assert pinged.gap <= GAP
        assert self._ids() == self.ids
        assert self.fleet.complaints() == []

    def _ids(self):
        first, second = self.fleet.daemons
        return session(first, second)["id"], session(second, first)["id"]


@pytest.fixture
def moving(tun, lab):
    return Moving(lab)


def test_both_ends_move_to_other_ipv4_addresses(moving):
    moving.change(moving.a, "10.0.1.1/24", "10.0.1.77/24")
    moving.wait_path(1, f"10.0.1.77:{PORT}")
    moving.change(moving.b, "10.0.1.2/24", "10.0.1.88/24")
    moving.wait_path(0, f"10.0.1.88:{PORT}")
    moving.finish()


def test_ends_move_to_ipv6(moving):
    moving.fleet[0].run("peer", "add", f"/ip6/fd00:1::2/udp/{PORT}/rovy/{moving.fleet[1].peer_id}")
    moving.change(moving.a, "10.0.1.1/24")
    moving.wait_path(1, f"[fd00:1::1]:{PORT}")
    moving.change(moving.b, "fd00:1::2/64", "fd00:1::88/64")
    moving.wait_path(0, f"[fd00:1::88]:{PORT}")
    moving.finish()


def test_port_changes(moving):
    """As behind a router that was restarted: our port looks like another one from outside."""
    moving.a.run(["nft", "-f", "-"], stdin=OTHER_PORT)
    moving.wait_path(1, "10.0.1.1:4000")
    moving.finish()


OTHER_PORT = f"""table ip port {{
    chain out {{ type filter hook output priority raw; udp sport {PORT} udp sport set 4000; }}
    chain in {{ type filter hook prerouting priority raw; udp dport 4000 udp dport set {PORT}; }}
}}"""


def test_answers_leave_from_the_address_that_was_asked(tun, lab):
    """B has two uplinks; from the one that its system would choose nothing gets through."""
    a, router, b = (lab.host(name) for name in ("a", "router", "b"))
    router.forward()
    inner = lab.link(a, router, net="10.0.9.0/24")
    for number in (1, 2):
        lab.link(router, b, net=f"10.0.{number}.0/24")
    a.route("default", via="10.0.9.2")
    b.route("default", via="10.0.1.1")
    router.run(["nft", "-f", "-"], stdin=FIRST_UPLINK_BROKEN)
    with Tap(a, inner.interface(a)) as tap:
        fleet = pair(lab, a, b, f"/ip4/10.0.2.2/udp/{PORT}")
        ping = Ping(a, fleet[1].ip6, every=0.02)
        ping.wait_answers(100, timeout=10)
        assert ping.stop().lost == 0
        seen = [datagram for datagram in tap.seen() if not datagram.outgoing]
    assert {Type.RESPONSE, Type.DATA} <= {datagram.payload[0] for datagram in seen}
    assert {datagram.source for datagram in seen} == {"10.0.2.2"}
    assert active(fleet[1], fleet[0])["local"] == "10.0.2.2"
    assert fleet.complaints() == []


FIRST_UPLINK_BROKEN = """table ip broken {
    chain way { type filter hook forward priority filter; ip saddr 10.0.1.2 drop; }
}"""


class Spoofing:
    """A and B on a switch with C, who sees what A sends and sends what it likes."""

    def __init__(self, lab):
        self.a, self.b, self.c = (lab.host(name) for name in "abc")
        bridge = lab.bridge("switch", self.a, self.b, self.c, net=NET)
        self.taps = ExitStack()
        self.fleet = pair(lab, self.a, self.b, f"/ip4/10.0.1.2/udp/{PORT}")
        self.session = session(self.fleet[1], self.fleet[0])["id"]
        self.from_a = self._tap(self.a, bridge.link(self.a).interface(self.a))
        self.at_c = self._tap(self.c, bridge.link(self.c).interface(self.c))
        self.ping = Ping(self.a, self.fleet[1].ip6)

    def _tap(self, host, interface):
        return self.taps.enter_context(Tap(host, interface))

    def repeat(self, source, seconds):
        """C sends A's datagrams to B on, as if they came from `source`; how many, how long."""
        sent = size = 0
        self.from_a.seen()
        self.at_c.seen()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for datagram in self.from_a.seen():
                if datagram.outgoing and datagram.destination == "10.0.1.2":
                    inject(self.c, source, 5000, "10.0.1.2", PORT, datagram.payload)
                    sent, size = sent + 1, size + len(datagram.payload)
            assert self.route() == f"10.0.1.1:{PORT}"
            time.sleep(0.001)
        return sent, size

    def route(self):
        return active(self.fleet[1], self.fleet[0])["route"]

    def dropped(self):
        return sum(self.fleet[1].call("GET", "/counters")["counters"]["dropped"].values())

    def check(self):
        """The session is where it was, and nothing got lost."""
        assert self.ping.stop().lost == 0
        now = session(self.fleet[1], self.fleet[0])
        assert now["id"] == self.session
        assert [
            path for path in now["paths"] if path["valid"] and "10.0.1.1:" not in path["route"]
        ] == []
        assert self.fleet.complaints() == []


@pytest.fixture
def spoofing(tun, lab):
    spoofing = Spoofing(lab)
    with spoofing.taps:
        yield spoofing


@pytest.mark.parametrize("source", ["10.0.1.3", "10.0.1.99"], ids=["own", "forged"])
def test_repeated_datagrams_do_not_move_the_session(spoofing, source):
    before = spoofing.dropped()
    sent, _ = spoofing.repeat(source, seconds=1.0)
    assert sent >= 15
    assert spoofing.dropped() - before >= 0.8 * sent  # as replays; the first may win the race
    spoofing.check()


def test_datagrams_sent_on_from_elsewhere_do_not_move_the_session(spoofing):
    """B gets them from C alone, never seen before: they authenticate, and yet C is not A."""
    spoofing.b.run(["nft", "-f", "-"], stdin=DEAF_TO_A)
    sent, size = spoofing.repeat("10.0.1.3", seconds=1.0)
    back = [d.payload for d in spoofing.at_c.seen() if not d.outgoing and d.source == "10.0.1.2"]
    assert sent >= 15
    assert sum(map(len, back)) <= size
    spoofing.b.run(["nft", "delete", "table", "ip", "deaf"])
    spoofing.check()


DEAF_TO_A = """table ip deaf {
    chain in { type filter hook input priority raw; ip saddr 10.0.1.1 drop; }
}"""


def test_garbage_with_a_forged_source_changes_nothing(spoofing):
    spoofing.ping.wait_answers(5, timeout=5)
    good = next(d.payload for d in spoofing.from_a.seen() if d.payload[0] == Type.DATA)
    damaged = good[:-1] + bytes([good[-1] ^ 1])
    before = spoofing.dropped()
    for payload in (damaged, bytes([Type.DATA]) + bytes(100), bytes(29), b"\xff" * 1200):
        for _ in range(50):
            inject(spoofing.c, "10.0.1.1", PORT, "10.0.1.2", PORT, payload)
    wait_until(lambda: spoofing.dropped() - before >= 200, timeout=5)
    spoofing.check()
