"""IPv6 packets of programs: over several nodes, parked, refused, too long, expired."""

from collections import Counter
from random import Random

import networkx as nx
import pytest

from rovy.node import edge as constants
from rovy.node.edge import DESTINATIONS, ERRORS, PARKED
from rovy.wire.ip6 import DESTINATION, HEADER, HOP_LIMIT, LEAST_MTU, SOURCE
from tests.sim.overlay import asyncio, now, overlay, square
from tests.sim.support import private_key, virtual
from tests.unit.fcnet.packets import icmp, ip6, ping, tcp, udp

NO_ROUTE, ADMIN, ADDRESS = 0, 1, 3
UNREACHABLE, TOO_BIG, TIME_EXCEEDED = 1, 2, 3
LINK_MTU = 1452
"""UDP payload of the simulated links: 1500 bytes less IPv6 and UDP."""
DIRECT, ROUTED = 1455, 1418
"""What they leave for a packet, by docs/protocol/ip6.md §4."""
BEFORE_IT = 1.05
"""Seconds in which a destination that nobody knows is looked for."""


def packet(net, a, b, number=0, *, size=0, hop=64):
    """A UDP packet from one node's programs to another's; `b` may be an address."""
    target = b if isinstance(b, bytes) else net[b].peer_id.address
    whole = ip6(net[a].peer_id.address, target, udp(1000, 2000, number.to_bytes(8, "big")))
    if size > len(whole):
        body = number.to_bytes(8, "big") + bytes(size - len(whole))
        whole = ip6(net[a].peer_id.address, target, udp(1000, 2000, body))
    return whole[:HOP_LIMIT] + bytes((hop,)) + whole[HOP_LIMIT + 1 :]


def number_of(whole):
    """What `packet` numbered."""
    return int.from_bytes(whole[48:56], "big")


def send(net, a, *packets):
    net.interfaces[a].inject(packets)


def got(net, number, kind=None):
    """Packets a node's machine got, ICMPv6 errors apart."""
    return [whole for whole in net.interfaces[number].written if not is_error(whole)]


def is_error(whole):
    return whole[6] == 58 and whole[40] < 128


class Error:
    """An ICMPv6 error as a program's system sees it."""

    def __init__(self, whole):
        self.kind, self.code = whole[40:42]
        self.mtu = int.from_bytes(whole[44:48], "big")
        self.source, self.to = whole[SOURCE:DESTINATION], whole[DESTINATION:HEADER]
        self.quote = whole[48:]

    def __repr__(self):
        return f"Error({self.kind}, {self.code}, {self.mtu})"


def errors(net, number):
    return [Error(whole) for whole in net.interfaces[number].written if is_error(whole)]


def counts(net, number):
    return Counter(net[number].stats().interface)


# Over several nodes


@pytest.mark.parametrize("hops", [1, 2, 5])
@virtual
async def test_packets_arrive_and_their_hop_limit_tells_how_far_they_came(hops):
    async with overlay(nx.path_graph(hops + 1), ip6=True) as net:
        await net.settled()
        await asyncio.sleep(1.0)
        sent = [packet(net, 0, hops, number) for number in range(12)]
        send(net, 0, *sent)
        await asyncio.sleep(2.0)
        assert got(net, hops) == [lowered(whole, hops - 1) for whole in sent]
        answer = packet(net, hops, 0, 77)
        send(net, hops, answer)
        await asyncio.sleep(1.0)
        assert got(net, 0) == [lowered(answer, hops - 1)]
        assert not errors(net, 0)
        assert not any(net.interfaces[between].written for between in range(1, hops))


def lowered(whole, by):
    return whole[:HOP_LIMIT] + bytes((whole[HOP_LIMIT] - by,)) + whole[HOP_LIMIT + 1 :]


@virtual
async def test_packets_wait_for_the_session_and_leave_in_order():
    async with overlay(nx.path_graph(4), ip6=True) as net:
        await net.settled()
        for number in range(10):
            send(net, 0, packet(net, 0, 3, number))
            await asyncio.sleep(0.005)
        await asyncio.sleep(1.0)
        assert [number_of(whole) for whole in got(net, 3)] == list(range(10))
        assert not errors(net, 0)


@virtual
async def test_packets_sent_before_the_map_is_there_wait_too():
    async with overlay(nx.path_graph(3), ip6=True) as net:
        send(net, 0, packet(net, 0, 2, 1), packet(net, 0, 2, 2))
        await asyncio.sleep(2.0)
        assert [number_of(whole) for whole in got(net, 2)] == [1, 2]
        assert not errors(net, 0)


@virtual
async def test_of_too_many_that_wait_the_oldest_give_way():
    async with overlay(nx.path_graph(3), ip6=True) as net:
        await net.settled()
        send(net, 0, *[packet(net, 0, 2, number) for number in range(PARKED + 5)])
        await asyncio.sleep(1.0)
        assert [number_of(whole) for whole in got(net, 2)] == list(range(5, PARKED + 5))
        assert counts(net, 0)["parked too many"] == 5


@virtual
async def test_both_ends_begin_at_the_same_moment():
    """Hellos cross; nothing that waited is lost or overtaken."""
    for latency in (0.001, 0.02, 0.1):
        async with overlay(nx.path_graph(4), ip6=True, latency=latency) as net:
            await net.settled()
            send(net, 0, *[packet(net, 0, 3, number) for number in range(8)])
            await asyncio.sleep(latency)
            send(net, 3, *[packet(net, 3, 0, number) for number in range(8)])
            await asyncio.sleep(1.0 + 20 * latency)
            for end in (0, 3):
                assert [number_of(whole) for whole in got(net, end)] == list(range(8))


@virtual
async def test_a_session_that_ends_as_it_opens_costs_no_packet():
    """The node that waits is told that it can send, and then it cannot."""
    async with overlay(nx.path_graph(3), ip6=True) as net:
        await net.settled()
        waiters = net.services(0).waiters
        opened, told = waiters.open, []

        async def too_soon(*arguments):
            told.append(arguments)
            return await opened(*arguments) if len(told) > 2 else None

        waiters.open = too_soon
        send(net, 0, packet(net, 0, 2, 1), packet(net, 0, 2, 2))
        await asyncio.sleep(1.0)
        assert [number_of(whole) for whole in got(net, 2)] == [1, 2]
        assert len(told) == 3
        assert not net.services(0).edge._parked


@virtual
async def test_a_session_in_use_by_packets_alone_stays_open():
    async with overlay(nx.path_graph(3), ip6=True) as net:
        await net.settled()
        for number in range(45):
            send(net, 0, packet(net, 0, 2, number))
            await asyncio.sleep(10.0)
        assert len(got(net, 2)) == 45
        kinds = [e.kind for e in net.lab.events[net[2]] if e.peer == net[0].peer_id]
        assert "session_closed" not in kinds


# Nobody there


@virtual
async def test_an_address_nobody_has_is_unreachable_after_a_second_and_then_at_once():
    async with overlay(nx.path_graph(2), ip6=True) as net:
        await net.settled()
        stranger = b"\xfc" + bytes(14) + b"\x01"
        first, began = packet(net, 0, stranger, 1), now()
        send(net, 0, first)
        while not errors(net, 0):
            await asyncio.sleep(0.01)
        assert now() - began <= BEFORE_IT
        [error] = errors(net, 0)
        assert (error.kind, error.code) == (UNREACHABLE, NO_ROUTE)
        assert error.source == error.to == net[0].peer_id.address
        assert error.quote == first
        send(net, 0, packet(net, 0, stranger, 2))
        assert len(errors(net, 0)) == 2  # at once
        await asyncio.sleep(1.1)
        send(net, 0, packet(net, 0, stranger, 3))
        assert len(errors(net, 0)) == 2  # looked for again
        await asyncio.sleep(1.1)
        assert len(errors(net, 0)) == 3
        assert counts(net, 0)["unreachable"] == 3


@virtual
async def test_a_node_that_comes_in_time_gets_what_waits():
    async with overlay(nx.path_graph(2), ip6=True) as net:
        await net.settled()
        late = private_key(2).peer_id.address
        send(net, 0, packet(net, 0, late, 7))
        await net.start(2, ip6=True)
        net.link(2, 1)
        await asyncio.sleep(2.0)
        assert [number_of(whole) for whole in got(net, 2)] == [7]
        assert not errors(net, 0)


@virtual
async def test_a_node_that_does_not_answer_is_unreachable_with_another_code():
    async with overlay(nx.path_graph(4), ip6=True) as net:
        await net.settled()
        net.cut(2, 3)
        began = now()
        send(net, 0, packet(net, 0, 3))
        while not errors(net, 0):
            await asyncio.sleep(0.05)
        assert now() - began <= constants.PATIENCE + BEFORE_IT
        [error] = errors(net, 0)
        assert (error.kind, error.code) in ((UNREACHABLE, ADDRESS), (UNREACHABLE, NO_ROUTE))


@virtual
async def test_a_peer_without_an_interface_is_prohibited():
    async with overlay(nx.path_graph(2), ip6=True) as net:
        await net.start(2)
        net.link(2, 1)
        await net.settled()
        send(net, 0, packet(net, 0, 2))
        send(net, 1, packet(net, 1, 2))
        await asyncio.sleep(1.0)
        for number in (0, 1):
            [error] = errors(net, number)
            assert (error.kind, error.code) == (UNREACHABLE, ADMIN)
            assert error.source == net[number].peer_id.address


@virtual
async def test_a_scan_of_addresses_is_bounded():
    async with overlay(nx.path_graph(3), ip6=True) as net:
        await net.settled()
        random, since, sent = Random(1), now(), 0
        edge, tasks = net.services(0).edge, 0
        while now() < since + 5.0:
            for _ in range(64):
                send(net, 0, packet(net, 0, b"\xfc" + random.randbytes(15)))
            sent += 64
            assert len(edge._parked) <= DESTINATIONS
            await asyncio.sleep(0.01)
            tasks = max(tasks, len(edge._tasks))
        assert tasks <= DESTINATIONS
        assert len(edge._failed) <= constants.REMEMBERED
        assert sent > 30_000
        rate, burst = ERRORS
        assert len(errors(net, 0)) <= burst + 5.1 * rate
        assert len(net.services(0).engine.sessions) <= 2  # of nodes there are
        asked = net[0].stats().node["too many unknown addresses"]
        assert asked > sent / 2
        assert net[0].dht_info().requests < 1000
        # What is known goes on all the while, and afterwards.
        send(net, 0, packet(net, 0, 1, 5))
        await asyncio.sleep(2.0)
        assert [number_of(whole) for whole in got(net, 1)] == [5]
        assert not edge._parked


# Lengths


async def probe_length(net, a, b, seconds=3.0, size=1500):
    """Send packets that are too long until an error says so; (time of the first, all errors)."""
    began = now()
    while now() < began + seconds:
        send(net, a, packet(net, a, b, size=size))
        if errors(net, a):
            break
        await asyncio.sleep(0.01)
    return now() - began, errors(net, a)


@pytest.mark.parametrize("hops", [1, 2, 3])
@virtual
async def test_too_big_tells_what_the_route_takes_and_not_before_it_is_known(hops):
    async with overlay(nx.path_graph(hops + 1), ip6=True) as net:
        await net.settled()
        took, _ = await probe_length(net, 0, hops)
        assert took <= 2.0
        await asyncio.sleep(2.0)
        for error in errors(net, 0):
            assert (error.kind, error.code) == (TOO_BIG, 0)
            assert error.mtu == (DIRECT if hops == 1 else ROUTED)
            assert error.source == net[0].peer_id.address
            assert len(error.quote) == LEAST_MTU - 48
        before = len(errors(net, 0))
        longest = packet(net, 0, hops, 9, size=errors(net, 0)[0].mtu)
        send(net, 0, longest)
        await asyncio.sleep(1.0)
        assert got(net, hops) == [lowered(longest, hops - 1)]
        assert len(errors(net, 0)) == before


@pytest.mark.parametrize("narrow", [1300, 1380, 1420])
@virtual
async def test_too_big_tells_of_the_narrowest_link(narrow):
    """It is behind a node in between, so only probes along the route find it."""
    async with overlay(nx.path_graph(4), ip6=True) as net:
        net.link(1, 2, mtu=narrow)
        await net.settled()
        await asyncio.sleep(2.0)
        await probe_length(net, 0, 3)
        told = {error.mtu for error in errors(net, 0)}
        assert len(told) == 1
        [mtu] = told
        assert LEAST_MTU <= mtu <= max(narrow - 34, LEAST_MTU)
        send(net, 0, packet(net, 0, 3, 9, size=mtu))
        await asyncio.sleep(1.0)
        assert [number_of(whole) for whole in got(net, 3)] == [9]


@virtual
async def test_a_route_that_shrinks_tells_its_new_length():
    async with overlay(nx.path_graph(3), ip6=True) as net:
        await net.settled()
        await probe_length(net, 0, 2)
        assert {error.mtu for error in errors(net, 0)} == {ROUTED}
        net.link(1, 2, mtu=1350)
        net.interfaces[0].written.clear()
        for number in range(400):
            send(net, 0, packet(net, 0, 2, number, size=ROUTED))
            await asyncio.sleep(0.05)
        assert errors(net, 0)
        assert {error.kind for error in errors(net, 0)} == {TOO_BIG}
        mtu = errors(net, 0)[-1].mtu
        assert LEAST_MTU <= mtu <= 1350 - 34
        for _ in range(3):  # a packet may yet meet a node that knows better
            send(net, 0, packet(net, 0, 2, 9999, size=errors(net, 0)[-1].mtu))
            await asyncio.sleep(1.0)
        assert number_of(got(net, 2)[-1]) == 9999


@pytest.mark.parametrize("hops", [1, 3])
@virtual
async def test_1280_bytes_pass_where_a_datagram_is_shorter(hops):
    async with overlay(nx.path_graph(hops + 1), ip6=True, mtu=1252) as net:
        await net.settled()
        await asyncio.sleep(2.0)
        sizes = [1100, 1190, 1220, 1256, 1279, 1280] * 3
        sent = [packet(net, 0, hops, number, size=size) for number, size in enumerate(sizes)]
        for whole in sent:
            send(net, 0, whole)
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        assert sorted(got(net, hops)) == sorted(lowered(whole, hops - 1) for whole in sent)
        assert not errors(net, 0)
        await probe_length(net, 0, hops, size=1281)
        assert {(error.kind, error.mtu) for error in errors(net, 0)} == {(TOO_BIG, LEAST_MTU)}


@virtual
async def test_long_packets_that_wait_for_the_length_are_bounded():
    async with overlay(nx.path_graph(3), ip6=True) as net:
        await net.settled()
        await net[0].ping(net[2].peer_id)
        for _ in range(40):
            send(net, 0, *[packet(net, 0, 2, size=1500)] * 64)
            assert len(net.services(0).edge._settling) <= 4 * PARKED
            await asyncio.sleep(0.01)
        await asyncio.sleep(2.0)
        assert not net.services(0).edge._settling
        assert {error.mtu for error in errors(net, 0)} == {ROUTED}


# Hop limits


@virtual
async def test_every_hop_limit_names_the_node_where_it_ends():
    async with overlay(nx.path_graph(6), ip6=True) as net:
        await net.settled()
        send(net, 0, packet(net, 0, 5))
        await asyncio.sleep(1.0)
        for hop in range(1, 5):
            net.interfaces[0].written.clear()
            sent = packet(net, 0, 5, hop, hop=hop)
            send(net, 0, sent)
            await asyncio.sleep(0.04 * hop + 0.01)
            [error] = errors(net, 0)
            assert (error.kind, error.code) == (TIME_EXCEEDED, 0)
            assert error.source == net[hop].peer_id.address
            assert error.to == net[0].peer_id.address
            assert error.quote == sent
        send(net, 0, packet(net, 0, 5, 99, hop=5))
        await asyncio.sleep(1.0)
        assert [number_of(whole) for whole in got(net, 5)] == [0, 99]
        assert got(net, 5)[-1][HOP_LIMIT] == 1


@virtual
async def test_the_first_packet_may_be_one_that_ends_on_the_way():
    async with overlay(nx.path_graph(4), ip6=True) as net:
        await net.settled()
        send(net, 0, packet(net, 0, 3, hop=1))
        await asyncio.sleep(1.0)
        [error] = errors(net, 0)
        assert (error.kind, error.source) == (TIME_EXCEEDED, net[1].peer_id.address)


@virtual
async def test_no_packet_leaves_with_a_hop_limit_of_0():
    async with overlay(nx.path_graph(3), ip6=True) as net:
        await net.settled()
        for target in (1, 2):
            send(net, 0, packet(net, 0, target), packet(net, 0, target, hop=0))
            await asyncio.sleep(1.0)
        assert not errors(net, 0)
        assert counts(net, 0)["hop limit"] == 2
        assert len(got(net, 1)) == len(got(net, 2)) == 1


@virtual
async def test_a_node_that_does_not_say_its_name_is_left_out():
    async with overlay(nx.path_graph(4), ip6=True) as net:
        await net.settled()
        send(net, 0, packet(net, 0, 3))
        await asyncio.sleep(1.0)
        net[1].reconfigure(net[1].config.__class__(**{**vars(net[1].config), "notice_rate": 0.0}))
        net.services(1).notices._all.tokens = 0.0
        send(net, 0, packet(net, 0, 3, hop=1), packet(net, 0, 3, hop=2))
        await asyncio.sleep(2.0)
        assert [error.source for error in errors(net, 0)] == [net[2].peer_id.address]
        assert counts(net, 0)["hop did not answer"] == 1


@virtual
async def test_names_asked_for_at_a_time_are_bounded():
    async with overlay(nx.path_graph(4), ip6=True) as net:
        await net.settled()
        send(net, 0, packet(net, 0, 3))
        await asyncio.sleep(1.0)
        net.cut(0, 1)
        for _ in range(10):
            send(net, 0, *[packet(net, 0, 3, hop=2)] * 64)
        assert len(net.services(0).edge._tasks) <= constants.TRACES
        await asyncio.sleep(3.0)
        assert not net.services(0).edge._tasks
        assert net.services(0).edge._tracing == 0


# What is not carried


@virtual
async def test_what_is_not_carried_is_counted_by_its_kind():
    async with overlay(nx.path_graph(2), ip6=True) as net:
        await net.settled()
        own, peer = net[0].peer_id.address, net[1].peer_id.address
        link = b"\xfe\x80" + bytes(13) + b"\x01"
        every = b"\xff\x02" + bytes(13) + b"\x01"
        private = b"\xfd" + bytes(15)
        send(net, 0, ip6(own, every, icmp(135)), ip6(link, every, icmp(133)))
        send(net, 0, ip6(link, peer, udp(1, 2)), ip6(own, link, udp(1, 2)))
        send(net, 0, ip6(private, peer, udp(1, 2)), ip6(peer, peer, udp(1, 2)))
        send(net, 0, ip6(own, private, udp(1, 2)), b"\x45" + bytes(60), b"")
        await asyncio.sleep(2.0)
        assert net[0].stats().dropped == {
            "ip6_multicast": 2,
            "ip6_link_local": 2,
            "ip6_source": 2,
            "ip6_destination": 1,
            "ip6_header": 2,
        }
        assert not net.interfaces[0].written
        assert not net.interfaces[1].written


@virtual
async def test_a_packet_to_ourselves_goes_nowhere():
    async with overlay(nx.path_graph(2), ip6=True) as net:
        await net.settled()
        send(net, 0, packet(net, 0, 0))
        await asyncio.sleep(2.0)
        assert not got(net, 0)
        assert len(errors(net, 0)) == 1


@virtual
async def test_errors_about_errors_are_not_made():
    async with overlay(nx.path_graph(2), ip6=True) as net:
        await net.settled()
        own, stranger = net[0].peer_id.address, b"\xfc" + bytes(15)
        send(net, 0, ip6(own, stranger, icmp(UNREACHABLE, 0, bytes(4) + bytes(40))))
        await asyncio.sleep(1.5)
        assert not net.interfaces[0].written
        send(net, 0, ip6(own, stranger, ping()), ip6(own, stranger, tcp("S", 1, 2)))
        assert len(errors(net, 0)) == 2


# Change


@pytest.mark.parametrize("what", ["near link", "far link", "node"])
@virtual
async def test_a_stream_of_packets_fails_over(what):
    async with overlay(square(), ip6=True, latency=0.0125) as net:
        await net.settled()
        send(net, 0, packet(net, 0, 3))
        times, numbers = {}, iter(range(1, 10_000))

        async def stream(seconds):
            until = now() + seconds
            while now() < until:
                number = next(numbers)
                times[number] = now()
                send(net, 0, packet(net, 0, 3, number))
                send(net, 3, packet(net, 3, 0, number))
                await asyncio.sleep(0.01)

        await stream(8.0)
        _, via, _ = net.route(0, 3)
        at = now()
        if what == "node":
            await net.crash(via)
        else:
            net.cut(*((0, via) if what == "near link" else (via, 3)))
        await stream(3.0)
        await asyncio.sleep(0.5)
        for end in (0, 3):
            came = [number_of(whole) for whole in got(net, end)]
            late = [sent for number, sent in times.items() if number not in set(came)]
            assert max(late, default=at) - at <= 0.22
            assert len(came) == len(set(came))
        assert not errors(net, 0)
        assert not errors(net, 3)


@virtual
async def test_an_interface_that_breaks_drops_and_counts():
    async with overlay(nx.path_graph(2), ip6=True) as net:
        await net.settled()
        net.interfaces[1].change("it is gone")
        send(net, 0, packet(net, 0, 1))
        await asyncio.sleep(1.0)
        assert counts(net, 1)["interface not open"] == 1
        assert net.lab.events[net[1]][-1].detail == "it is gone"
        net.interfaces[1].change("")
        send(net, 0, packet(net, 0, 1, 2))
        await asyncio.sleep(1.0)
        assert [number_of(whole) for whole in got(net, 1)] == [2]


@virtual
async def test_a_node_that_stops_closes_its_interface_while_packets_wait():
    async with overlay(nx.path_graph(3), ip6=True) as net:
        await net.settled()
        interface = net.interfaces[0]
        send(net, 0, packet(net, 0, b"\xfc" + bytes(15)), packet(net, 0, 2, hop=1))
        await net.crash(0)
        send(net, 0, b"late")
        assert interface.counters()["interface not open"] == 1
