"""From what is heard to peers, on LANs in memory and in virtual time."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import networkx
import pytest

from rovy.address.multiaddr import Endpoint
from rovy.discovery.const import BURST, MEETING, OFFER_AGAIN, RATE, SIGHTINGS
from rovy.discovery.discovery import DiscoveryConfig
from rovy.discovery.fake import FakeLan
from rovy.discovery.interface import Address
from rovy.discovery.medium import Announcement
from tests.sim.support import virtual
from tests.unit.discovery.test_sightings import strangers
from tests.unit.discovery.world import PEERS, PORT, World, nic, now, until

LISTEN = DiscoveryConfig("listen")
HERE = ("10.0.0.99",)


@asynccontextmanager
async def couple():
    """Two nodes on one LAN."""
    async with World() as world:
        lan = FakeLan()
        yield lan, world.station(0, lan), world.station(1, lan)


def said(name: object, hosts=HERE, port=PORT, version="1") -> Announcement:
    return Announcement(str(name), port, tuple(hosts), version)


def node(station, peer):
    return next(each for each in station.discovery.report().nodes if each.peer == peer)


def interface(station, name="eth0"):
    return next(each for each in station.discovery.report().interfaces if each.name == name)


@virtual
async def test_two_find_each_other():
    async with couple() as (_, a, b):
        began = now()
        await until(lambda: a.peerings() and b.peerings())
        assert now() - began < 1.5
        assert a.tried[0][2] == [Endpoint("10.0.0.2", PORT), Endpoint("fe80::2", PORT, "eth0")]
        await asyncio.sleep(60)
        assert len(a.tried) + len(b.tried) <= 2
        found = node(a, b.peer)
        assert (found.state, found.wanted, found.interfaces) == ("peer", True, ("eth0",))
        report = interface(a)
        assert (report.state, report.announced, report.heard_back) == ("on", True, True)
        assert (report.others, report.problem) == (1, "")
        assert a.discovery.report().problems == []


@virtual
async def test_a_late_one_and_one_that_goes():
    async with World() as world:
        lan = FakeLan()
        a = world.station(0, lan)
        await asyncio.sleep(100)
        b = world.station(1, lan)
        await asyncio.sleep(2)
        assert a.peerings() == {b.peer}
        await b.discovery.close()
        b.crash()
        await asyncio.sleep(6)
        assert a.discovery.report().nodes == ()
        assert a.favoured == set()


@virtual
async def test_one_that_dies_without_a_word_is_tried_less_and_less():
    async with couple() as (_, a, b):
        await asyncio.sleep(2)
        b.crash()
        b.discovery._segments.in_use["eth0"].closed = True
        a.tried.clear()
        await asyncio.sleep(1800)
        assert 6 <= len(a.tried) <= 10
        assert node(a, b.peer).state == "waiting"
        assert a.favoured == set()


@virtual
async def test_what_is_heard_is_a_hint():
    """Nothing is believed of who does not answer, and attempts have a rate."""
    async with couple() as (lan, a, b):
        await asyncio.sleep(2)
        assert a.peerings() == {b.peer}
        a.tried.clear()
        began = now()
        for peer in strangers(3 * SIGHTINGS):
            lan.tell(said(peer))
        await asyncio.sleep(60)
        assert len(a.tried) <= BURST + RATE * 60
        assert len(a.tried) >= 50
        first = [at for at, _, _ in a.tried if at < began + 1]
        assert len(first) <= BURST + RATE
        assert len(a.discovery.report().nodes) <= SIGHTINGS
        assert a.favoured == {b.peer}
        assert a.peerings() == {b.peer}


@virtual
async def test_an_honest_one_is_found_in_a_flood():
    async with World() as world:
        lan = FakeLan()
        a = world.station(0, lan)
        await asyncio.sleep(1)
        for peer in strangers(100):
            lan.tell(said(peer))
        b = world.station(1, lan, config=replace(DiscoveryConfig(), lan_peers=0))
        await asyncio.sleep(120)
        assert a.peerings() == {b.peer}


@pytest.mark.parametrize(
    ("announcement", "count"),
    [
        (said("b" * 59), None),
        (said("bafzqai" + "a" * 52), "no peer id"),
        (said("bafzqai" + "!" * 52), "no peer id"),
        (said("x" * 1000), None),
        (said(""), None),
        (said(PEERS[5], version="2"), "other version"),
        (said(PEERS[5], version=""), "other version"),
        (said(PEERS[5], hosts=()), "no address on the link"),
        (said(PEERS[5], hosts=("8.8.8.8", "::1", "fc00::1", "?")), "no address on the link"),
        (said(PEERS[5], port=0), "no address on the link"),
        (said(PEERS[5], port=70000), "no address on the link"),
    ],
)
@virtual
async def test_what_is_left_alone(announcement, count):
    async with World() as world:
        lan = FakeLan()
        a = world.station(0, lan)
        await asyncio.sleep(1)
        lan.tell(announcement)
        lan.forget(announcement.name)
        await asyncio.sleep(10)
        assert a.tried == []
        assert a.discovery.report().nodes == ()
        assert dict(a.discovery.counts) == ({count: 1} if count else {})


@virtual
async def test_only_addresses_of_the_link_are_tried():
    async with World() as world:
        lan = FakeLan()
        a = world.station(0, lan)
        await asyncio.sleep(1)
        lan.tell(said(PEERS[5], hosts=("192.0.2.1", *HERE, "2001:db8::1")))
        await asyncio.sleep(1)
        assert [endpoints for _, _, endpoints in a.tried] == [[Endpoint(*HERE, PORT)]]


@virtual
async def test_lists_of_the_node_hold():
    async with World() as world:
        lan = FakeLan()
        a = world.station(0, lan, denied={PEERS[1]})
        b = world.station(1, lan, denied={PEERS[0]})
        await asyncio.sleep(30)
        assert a.tried == b.tried == []
        assert node(a, b.peer).state == "not accepted"
        a.denied.clear()
        b.denied.clear()
        await asyncio.sleep(10)
        assert a.peerings() == {b.peer}
        a.denied.add(b.peer)
        await asyncio.sleep(10)
        assert a.favoured == set()


@virtual
async def test_one_that_takes_no_peers_is_left_for_a_while():
    async with World() as world:
        lan = FakeLan()
        a = world.station(0, lan)
        b = world.station(1, lan, unwilling=True, config=replace(DiscoveryConfig(), lan_peers=0))
        await asyncio.sleep(600)
        assert 4 <= len(a.offers) <= 40
        gaps = [later[0] - sooner[0] for sooner, later in zip(a.offers, a.offers[1:], strict=False)]
        assert min(gaps) >= OFFER_AGAIN
        b.unwilling = False
        await asyncio.sleep(620)
        assert a.peerings() == {b.peer}
        assert a.discovery.counts["peering refused"] >= 3


@virtual
async def test_a_peering_the_other_gives_up_is_asked_for_again():
    async with World() as world:
        lan = FakeLan()
        a = world.station(0, lan)
        b = world.station(1, lan, config=replace(DiscoveryConfig(), lan_peers=0))
        await asyncio.sleep(20)
        a.favoured.clear()  # as the node does when the other side takes it back
        a.discovery.nudge()
        await asyncio.sleep(1)
        assert a.peerings() == {b.peer}


@virtual
async def test_listening_announces_nothing():
    async with World() as world:
        lan = FakeLan()
        a, b = world.station(0, lan, config=LISTEN), world.station(1, lan)
        await asyncio.sleep(2)
        assert lan.said == 1
        assert a.peerings() == {b.peer}
        assert [peer for _, peer, _ in a.tried] == [b.peer]
        report = interface(a)
        assert (report.announced, report.heard_back, report.problem) == (False, None, "")
        assert b.discovery.report().nodes == ()


@virtual
async def test_settings_change_while_it_runs():
    async with World() as world:
        lan = FakeLan()
        a, b = world.station(0, lan), world.station(1, lan, config=DiscoveryConfig("off"))
        await asyncio.sleep(5)
        assert (len(lan.media), a.tried) == (1, [])
        await b.discovery.configure(DiscoveryConfig("listen", lan_peers=0))
        await asyncio.sleep(2)
        assert (lan.said, b.tried) == (1, [])
        await b.discovery.configure(DiscoveryConfig("on"))
        await asyncio.sleep(2)
        assert a.peerings() == {b.peer}
        await b.discovery.configure(DiscoveryConfig("on", interfaces=("wl*",)))
        await asyncio.sleep(2)
        assert interface(b).problem == "not in discovery_interfaces"
        await b.discovery.configure(DiscoveryConfig("off"))
        assert (b.favoured, b.discovery.report().nodes) == (set(), ())
        assert len(lan.media) == 1
        await b.discovery.configure(DiscoveryConfig("on"))
        await asyncio.sleep(2)
        assert b.peerings() == {a.peer}


@virtual
async def test_filtered_multicast_is_said_and_tried_again(caplog):
    async with World() as world:
        lan = FakeLan()
        lan.filtered = True
        a = world.station(0, lan)
        await asyncio.sleep(2)
        assert (interface(a).problem, interface(a).heard_back) == ("", None)
        await asyncio.sleep(10)
        assert interface(a).problem == "own announcement not heard back on eth0"
        assert interface(a).heard_back is False
        (problem,) = a.discovery.report().problems
        assert problem.startswith("discovery on eth0: own announcement not heard back on eth0; let")
        assert caplog.text.count("not heard back on eth0") == 1
        lan.filtered = False
        await asyncio.sleep(40)
        assert interface(a).heard_back is True
        assert a.discovery.report().problems == []


@virtual
async def test_echo_of_another_interface_is_not_ours():
    """Two interfaces on one LAN, of which one cannot send."""
    async with World() as world:
        lan, mute = FakeLan(), FakeLan()
        a = world.station(0, lan, mute)
        mute.filtered = True
        await asyncio.sleep(1)
        heard = said(a.peer, hosts=("10.0.0.1",))
        a.discovery._segments.in_use["eth1"].heard(heard)
        await asyncio.sleep(10)
        assert interface(a, "eth0").heard_back is True
        assert interface(a, "eth1").heard_back is False
        assert a.tried == []


@virtual
async def test_interface_that_cannot_be_used_is_said_and_tried_again():
    async with World() as world:
        lan = FakeLan()
        lan.refused = "cannot use UDP port 5353"
        a, b = world.station(0, lan), world.station(1, lan)
        await asyncio.sleep(1)
        assert (interface(a).state, interface(a).announced) == ("failed", False)
        assert a.discovery.report().problems == [
            "discovery on eth0: cannot use UDP port 5353; wait for better times"
        ]
        lan.refused = ""
        await asyncio.sleep(40)
        assert a.peerings() == {b.peer}


@virtual
async def test_node_that_receives_nowhere_on_the_interface():
    async with World() as world:
        lan = FakeLan()
        a = world.station(0, lan, bound=[Endpoint("127.0.0.1", PORT)])
        await asyncio.sleep(1)
        assert interface(a).problem == "the node receives on no address of it"
        assert lan.said == 0


@virtual
async def test_late_vanishing_and_changing_interfaces():
    async with World() as world:
        lan = FakeLan()
        a, b = world.station(0, lan), world.station(1, lan, nics=[])
        await asyncio.sleep(5)
        assert (a.tried, len(lan.media)) == ([], 1)
        b.nics.append(nic("eth0", 2))
        b.discovery.interfaces_changed()
        began = now()
        await until(a.peerings)
        assert now() - began < 1.5
        former = b.discovery._segments.in_use["eth0"]
        b.nics[0] = replace(b.nics[0], addresses=(Address("10.0.0.77", 24),))
        b.discovery.interfaces_changed()
        await asyncio.sleep(0.5)
        assert b.discovery._segments.in_use["eth0"] is not former
        assert Endpoint("10.0.0.77", PORT) in node(a, b.peer).endpoints
        again = b.discovery._segments.in_use["eth0"]
        b.discovery.interfaces_changed()
        await asyncio.sleep(0.5)
        assert b.discovery._segments.in_use["eth0"] is again
        b.nics.clear()
        b.discovery.interfaces_changed()
        await asyncio.sleep(0.5)
        assert len(lan.media) == 1
        assert b.discovery.report().interfaces == ()
        assert node(b, a.peer).state == "peer"  # alive, as far as the node knows


@virtual
async def test_two_interfaces_on_one_lan():
    async with World() as world:
        lan = FakeLan()
        a, b = world.station(0, lan, lan), world.station(1, lan)
        await asyncio.sleep(3)
        assert a.peerings() == {b.peer}
        found = node(a, b.peer)
        assert found.interfaces == ("eth0", "eth1")
        zones = {each.zone: each.host for each in found.endpoints}
        assert zones == {"": "10.0.0.2", "eth0": "fe80::2", "eth1": "fe80::2"}
        assert len(a.tried) <= 1


@virtual
async def test_a_node_on_two_lans_joins_them():
    async with World() as world:
        left, right = FakeLan(), FakeLan()
        for number in range(10):
            world.station(2 * number, left)
            world.station(2 * number + 1, right)
        world.station(20, left, right)
        await asyncio.sleep(90)
        graph = world.graph()
        assert networkx.is_connected(graph)
        degrees = dict(graph.degree())
        joint = degrees.pop(PEERS[20])
        assert max(degrees.values()) <= 14
        assert joint <= 18  # it is a neighbour of twice as many


@pytest.mark.parametrize("apart", [0.0, 0.5])
@virtual
async def test_thirty_on_one_lan(apart):
    """Started at once or one after the other: connected, bounded, and at rest after a while."""
    async with World() as world:
        lan = FakeLan()
        for number in range(30):
            world.station(number, lan)
            await asyncio.sleep(apart)
        await asyncio.sleep(60)
        graph = world.graph()
        degrees = dict(graph.degree()).values()
        assert networkx.is_biconnected(graph)
        assert networkx.diameter(graph) <= 4
        assert max(degrees) <= 14
        assert sum(degrees) / 30 <= 10
        assert all(len(each.favoured) <= 8 for each in world.stations.values())
        tried = sum(len(each.tried) for each in world.stations.values())
        assert tried <= 30 * 16
        dropped = sum(each.dropped for each in world.stations.values())
        offers = sum(len(each.offers) for each in world.stations.values())
        await asyncio.sleep(3600)
        assert sum(each.dropped for each in world.stations.values()) == dropped
        assert sum(len(each.offers) for each in world.stations.values()) <= offers + 30
        assert set(world.graph().edges) == set(graph.edges)
        assert lan.said == 30


@virtual
async def test_ring_closes_after_deaths():
    async with World() as world:
        lan = FakeLan()
        for number in range(30):
            world.station(number, lan)
        await asyncio.sleep(60)
        for peer in PEERS[3:15]:
            world.stations[peer].crash()
        await asyncio.sleep(60)
        assert len(world.stations) == 18
        assert networkx.is_biconnected(world.graph())


@virtual
async def test_attempt_that_lasts_is_not_doubled():
    async with World() as world:
        lan = FakeLan()
        a = world.station(0, lan)
        await asyncio.sleep(1)
        for _ in range(10):
            lan.tell(said(PEERS[5]))
            await asyncio.sleep(MEETING / 12)
        assert len(a.tried) == 1
        assert node(a, PEERS[5]).state == "meeting"
