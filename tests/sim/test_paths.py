"""Which path carries a session's data: proof, roaming, several addresses, silence, rest."""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random

import pytest

from rovy.address.label import Label
from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct, Routed
from rovy.dataplane.types import Drop
from rovy.errors import Unreachable
from rovy.wire.datagram import Type
from tests.sim.support import PORT, Lab, layer, pair, session, virtual

SECOND = "198.51.100.{}"
"""The nodes' addresses at their second provider, which the first cannot reach."""
SPOOFED = Endpoint("203.0.113.9", 999)
EVERY = 0.01
SLACK = 2 * EVERY


class Flow:
    """Numbered packets both ways, 100 a second, and when which of them came."""

    def __init__(self, a, b, *, one_way=False, every=EVERY):
        self.ends = [(a, b)] if one_way else [(a, b), (b, a)]
        self._other = {a: b, b: a}
        self.sent = {a: [], b: []}
        self.came = {a: {}, b: {}}
        self._every = every
        for node in (a, b):
            node.handle("test/flow")(lambda _, data, node=node: self._note(node, data))

    async def __aenter__(self):
        await asyncio.sleep(0.5)  # until both know the codec
        self._tasks = [asyncio.create_task(self._send(*ends)) for ends in self.ends]
        return self

    async def __aexit__(self, *error):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lost(self, to, since=0.0, settle=0.5):
        """How many packets to a node did not come, but for the last half second's."""
        sender = self._other[to]
        until = now() - settle
        wanted = [n for n, at in enumerate(self.sent[sender]) if since <= at < until]
        return sum(n not in self.came[to] for n in wanted)

    def gap(self, to, since):
        """The longest time without a packet at a node."""
        times = [at for at in sorted(self.came[to].values()) if at >= since]
        return max(b - a for a, b in pairwise(times))

    async def _send(self, a, b):
        while True:
            number = len(self.sent[a])
            self.sent[a].append(now())
            await a.send(b.peer_id, "test/flow", number.to_bytes(4, "big") + bytes(60))
            await asyncio.sleep(self._every)

    def _note(self, node, data):
        number = int.from_bytes(data[:4], "big")
        assert number not in self.came[node]
        self.came[node][number] = now()


def now():
    return asyncio.get_running_loop().time()


def host(lab, node):
    return lab._hosts[node]


def changes(lab, node, peer):
    return [e for e in lab.events[node] if e.kind == "path_changed" and e.peer == peer.peer_id]


def states(node, peer):
    return session(node, peer).paths.states


def ends(state):
    return state.path.local, state.path.remote.host


@asynccontextmanager
async def two_providers(seed=1, *, latency=0.02, second=None, **quality):
    """Two nodes with an address at each of two providers; the first is the faster one."""
    async with Lab(seed, latency=latency, **quality) as lab:
        a = await lab.start(0, SECOND.format(1))
        b = await lab.start(1, SECOND.format(2))
        lab.net.cut("192.0.2.1", SECOND.format(2))
        lab.net.cut("192.0.2.2", SECOND.format(1))
        wanted = latency * 1.5 if second is None else second
        lab.net.link(SECOND.format(1), SECOND.format(2), latency=wanted)
        a.keep(lab.url(b))
        a.keep(f"/ip4/{SECOND.format(2)}/udp/{PORT}/rovy/{b.peer_id}")
        await asyncio.sleep(5 + 10 * latency)
        yield lab, a, b


def cut(lab, number=1):
    """Break a provider's link; gives the time."""
    form = "192.0.2.{}" if number == 1 else SECOND
    lab.net.cut(form.format(1), form.format(2))
    return now()


# Several addresses


@virtual
async def test_each_pair_of_addresses_that_works_is_a_path():
    async with two_providers() as (lab, a, b):
        await asyncio.sleep(5)
        for node, peer in ((a, b), (b, a)):
            paths = session(node, peer).paths
            mine, theirs = (1, 2) if node is a else (2, 1)
            assert ends(paths.active) == (f"192.0.2.{mine}", f"192.0.2.{theirs}")
            assert ends(paths.warm) == (SECOND.format(mine), SECOND.format(theirs))
            assert len(paths.states) == 2
            assert paths.active.rtt == pytest.approx(0.04)
            assert paths.warm.rtt == pytest.approx(0.06)
        for packet in lab.sent:
            if now() - packet.at < 4:
                assert packet.source.host[:5] == packet.destination.host[:5]


@pytest.mark.parametrize("latency", [0.001, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1])
@virtual
async def test_a_hard_cut_costs_no_more_than_promised(latency):
    """From the cut to the first packet by the other path: max(200 ms, 3 RTT) and one packet."""
    bound = max(0.2, 3 * 2 * latency) + SLACK
    for seed in range(4):
        async with two_providers(seed, latency=latency) as (lab, a, b), Flow(a, b) as flow:
            await asyncio.sleep(1 + Random(seed).random())
            at = cut(lab)
            await asyncio.sleep(2)
            for node, peer in ((a, b), (b, a)):
                assert ends(session(node, peer).paths.active)[0].startswith("198.51.100")
                moved = next(
                    p.at
                    for p in lab.packets(node, Type.DATA, since=at)
                    if p.source.host.startswith("198") and len(p.data) > 64
                )
                assert moved - at <= bound
                assert flow.gap(peer, at - 0.1) <= bound + latency
            # Also at the path's second break, and with no time to get used to it.
            lab.net.link("192.0.2.1", "192.0.2.2", up=True)


@virtual
async def test_a_path_that_works_again_is_found_again():
    async with two_providers() as (lab, a, b):
        cut(lab)
        await asyncio.sleep(30)
        assert [ends(s) for s in states(a, b).values()] == [(SECOND.format(1), SECOND.format(2))]
        assert len(states(b, a)) == 1
        lab.net.link("192.0.2.1", "192.0.2.2", up=True)
        await asyncio.sleep(130)
        assert ends(session(a, b).paths.active) == ("192.0.2.1", "192.0.2.2")
        assert len(states(a, b)) == len(states(b, a)) == 2


@virtual
async def test_a_path_cut_at_rest_is_left_within_five_seconds():
    async with two_providers() as (lab, a, b):
        await asyncio.sleep(7)
        at = cut(lab)
        await asyncio.sleep(6)
        for node in (a, b):
            moved = [p.at for p in lab.packets(node, since=at) if p.source.host.startswith("198")]
            assert moved
        assert (await a.ping(b.peer_id)).rtt == pytest.approx(0.06)
        assert len(states(a, b)) == len(states(b, a)) == 1


@virtual
async def test_the_better_path_is_taken_without_loss():
    async with two_providers() as (lab, a, b), Flow(a, b, every=0.05) as flow:
        await asyncio.sleep(1)
        lab.net.link(SECOND.format(1), SECOND.format(2), latency=0.005)
        await asyncio.sleep(60)
        assert ends(session(a, b).paths.active) == (SECOND.format(1), SECOND.format(2))
        assert ends(session(b, a).paths.active) == (SECOND.format(2), SECOND.format(1))
        # Make before break: what was left may end.
        cut(lab)
        await asyncio.sleep(20)
        assert flow.lost(a) == flow.lost(b) == 0


# Silence


@pytest.mark.parametrize("every", [0.01, 0.3, 0.7])
@virtual
async def test_one_way_traffic_does_not_fail_over(every):
    async with two_providers() as (lab, a, b), Flow(a, b, one_way=True, every=every) as flow:
        for node in (a, b):
            lab.events[node].clear()
        await asyncio.sleep(25)
        assert changes(lab, a, b) == changes(lab, b, a) == []
        assert flow.lost(b) == 0


@pytest.mark.slow
@virtual
async def test_one_way_traffic_over_a_lossy_path_does_not_fail_over():
    async with two_providers(loss=0.02) as (lab, a, b), Flow(a, b, one_way=True):
        await asyncio.sleep(5)
        lab.events[a].clear()
        await asyncio.sleep(60)
        assert len(changes(lab, a, b)) <= 2


@virtual
async def test_a_cut_of_one_direction_moves_both():
    async with two_providers() as (lab, a, b), Flow(a, b) as flow:
        await asyncio.sleep(1)
        lab.net.filters.append(
            lambda source, to, data: None if (source.host, to.host) == FORTH else data
        )
        at = now()
        await asyncio.sleep(3)
        assert flow.gap(b, at) < 0.6
        assert flow.gap(a, at) < 0.6
        assert ends(session(a, b).paths.active)[0].startswith("198")


FORTH = ("192.0.2.1", "192.0.2.2")


@pytest.mark.slow
@virtual
async def test_like_paths_with_jitter_do_not_take_turns():
    quality = {"latency": 0.02, "second": 0.02, "jitter": 0.02}
    for seed in range(3):
        async with two_providers(seed, **quality) as (lab, a, b):
            await asyncio.sleep(30)
            for node in (a, b):
                lab.events[node].clear()
            await asyncio.sleep(900)
            assert len(changes(lab, a, b)) <= 1
            assert len(changes(lab, b, a)) <= 1
            assert session(a, b).paths.active.loss == 0.0


# Rest


@virtual
async def test_at_rest_a_path_is_probed_every_three_seconds():
    async with pair(kept=True) as (lab, a, b):
        await asyncio.sleep(20)
        since = now()
        await asyncio.sleep(90)
        for node in (a, b):
            sent = lab.packets(node, since=since)
            # A probe of ours and an answer to theirs every 3 s; each 30 s one for the MTU. Maps,
            # anchors and the DHT have a little to say too.
            assert len(sent) <= 2 * 31 + 2 * 4 + 10
            assert len(sent) >= 2 * 25
            assert {p.type for p in sent} == {Type.DATA}


@virtual
async def test_a_session_nobody_keeps_or_uses_says_nothing():
    async with pair() as (lab, a, b):
        await asyncio.sleep(20)
        since = now()
        await asyncio.sleep(90)
        assert lab.packets(a, since=since) == lab.packets(b, since=since) == []


@virtual
async def test_the_loss_figure_is_the_share_of_lost_probes():
    async with pair(kept=True, loss=0.05) as (_, a, b):
        figures = []
        await asyncio.sleep(60)
        for _ in range(100):
            await asyncio.sleep(9)
            [state] = states(a, b).values()
            figures.append(state.loss)
        assert sum(figures) / len(figures) == pytest.approx(0.0975, abs=0.05)
    async with pair(kept=True) as (_, a, b):
        await asyncio.sleep(100)
        assert [s.loss for s in states(a, b).values()] == [0.0]


# Validation


@asynccontextmanager
async def relayed(lab, a, b, *, sources, copies=1):
    """Whatever a sends to b comes from elsewhere first, or only."""

    def relay(source, destination, data):
        if source.host == "192.0.2.1" and data[0] == Type.DATA and sources:
            lab.net.inject(sources.pop(), destination, data)
            return None if copies == 0 else data
        return data

    lab.net.filters.append(relay)
    yield
    lab.net.filters.remove(relay)


def to(lab, endpoint, since):
    return [p for p in lab.sent if p.destination == endpoint and p.at >= since]


@virtual
async def test_a_packet_repeated_from_elsewhere_moves_nothing():
    async with pair() as (lab, a, b):
        before = session(b, a).path
        since = now()
        async with relayed(lab, a, b, sources=[SPOOFED]):
            await a.send(b.peer_id, "test/data", bytes(300))
            await asyncio.sleep(10)
        assert lab.got[b] == [bytes(300)]  # once: the other copy is a replay
        [challenge] = to(lab, SPOOFED, since)
        assert len(challenge.data) <= 300
        assert session(b, a).path == before
        assert [s.path for s in states(b, a).values()] == [before]
        assert SPOOFED not in [p.remote for p in session(b, a).hints]
        await b.send(a.peer_id, "test/data", b"back")
        await asyncio.sleep(0.1)
        assert lab.got[a] == [b"back"]


@virtual
async def test_an_old_packet_repeated_from_elsewhere_does_nothing():
    async with pair() as (lab, a, b):
        await a.send(b.peer_id, "test/data", bytes(300))
        await asyncio.sleep(0.1)
        old = [p.data for p in lab.packets(a, Type.DATA) if len(p.data) <= 1452]
        since = now()
        for data in old:
            lab.inject(SPOOFED, b, data)
        await asyncio.sleep(10)
        assert to(lab, SPOOFED, since) == []
        assert b.stats().dropped[Drop.REPLAY] == len(old)
        assert len(states(b, a)) == 1


@virtual
async def test_a_packet_too_short_to_pay_for_a_challenge_gets_none():
    async with pair() as (lab, a, b):
        since = now()
        async with relayed(lab, a, b, sources=[SPOOFED]):
            await a.send(b.peer_id, "test/data", b"tiny")
            await asyncio.sleep(5)
        assert to(lab, SPOOFED, since) == []


@virtual
async def test_a_diverted_flow_is_never_multiplied():
    """An attacker on the way sends every packet on from a victim's address."""
    async with pair() as (lab, a, b):
        before = session(b, a).path
        since = now()
        async with relayed(lab, a, b, sources=[SPOOFED] * 1000), Flow(a, b) as flow:
            await asyncio.sleep(5)
        there = to(lab, SPOOFED, since)
        assert sum(len(p.data) for p in there) < sum(len(p.data) for p in lab.packets(a)) / 10
        assert session(b, a).path == before
        assert flow.lost(a) == 0
        assert len(states(b, a)) <= 2


@virtual
async def test_many_spoofed_addresses_displace_no_proved_path():
    async with two_providers() as (lab, a, b):
        proved = set(states(b, a))
        victims = [Endpoint(f"203.0.113.{n}", 999) for n in range(100)]
        since = now()
        async with relayed(lab, a, b, sources=list(victims)), Flow(a, b):
            await asyncio.sleep(5)
        assert proved <= set(states(b, a))
        assert sum(bool(to(lab, victim, since)) for victim in victims) > 50
        for victim in victims:  # a challenge and, where the packet was a probe, its answer
            assert sum(len(p.data) for p in to(lab, victim, since)) <= 2 * 38
        assert len(states(b, a)) <= len(proved) + 3
        await asyncio.sleep(10)
        assert set(states(b, a)) == proved


# Roaming


def readdress(lab, node, old, new, *, told=True):
    lab.net.remove_address(host(lab, node), old)
    if new:
        lab.net.add_address(host(lab, node), new)
    if told:
        host(lab, node).changed()
    return now()


def rebind(lab, node, port):
    """As a NAT does: another port outside, and the old one leads nowhere."""
    sockets = host(lab, node)._sockets
    sockets[0] = Endpoint("0.0.0.0", port)


@pytest.mark.parametrize("kept", [True, False])
@virtual
async def test_a_new_address_costs_about_a_round_trip(kept):
    async with pair(kept=kept) as (lab, a, b), Flow(a, b) as flow:
        await asyncio.sleep(1)
        at = readdress(lab, a, "192.0.2.1", "192.0.2.77")
        await asyncio.sleep(3)
        assert session(b, a).path.remote.host == "192.0.2.77"
        assert session(a, b).path.local == "192.0.2.77"
        assert 1 <= flow.lost(b, at - 1) <= 6  # 40 ms
        assert 1 <= flow.lost(a, at - 1) <= 10  # 80 ms: seen, asked, answered
        assert len(states(a, b)) == 1
        await asyncio.sleep(5)
        assert len(states(b, a)) == 1
        assert "session_closed" not in lab.kinds(a) + lab.kinds(b)


@virtual
async def test_the_other_end_moves_too():
    async with pair(kept=True) as (lab, a, b), Flow(a, b) as flow:
        for number in range(3):
            for node, last in ((a, 1), (b, 2)):
                old = f"192.0.2.{last + 10 * number}"
                new = f"192.0.2.{last + 10 * (number + 1)}"
                at = readdress(lab, node, old, new)
                await asyncio.sleep(3)
                assert flow.lost(a, at - 1) <= 10
                assert flow.lost(b, at - 1) <= 10
        assert session(a, b).path.remote.host == "192.0.2.32"
        assert "session_closed" not in lab.kinds(a) + lab.kinds(b)


@virtual
async def test_a_nat_gives_another_port():
    async with pair() as (lab, a, b), Flow(a, b) as flow:
        await asyncio.sleep(1)
        rebind(lab, a, 4242)
        at = now()
        await asyncio.sleep(3)
        assert session(b, a).path.remote == Endpoint("192.0.2.1", 4242)
        assert flow.lost(b, at - 1) == 0
        assert flow.lost(a, at - 1) <= 10


@virtual
async def test_a_lost_challenge_is_repeated():
    async with pair() as (lab, a, b), Flow(a, b) as flow:
        await asyncio.sleep(1)
        rebind(lab, a, 4242)
        at = now()
        with lab.lost(
            lambda p: p.destination.port == 4242 and len(p.data) < 64 and p.at < at + 0.1
        ):
            await asyncio.sleep(3)
        assert session(b, a).path.remote == Endpoint("192.0.2.1", 4242)
        assert flow.lost(a, at - 1) <= 35


@virtual
async def test_from_ipv4_to_ipv6():
    async with Lab() as lab:
        a = await lab.start(0)
        b = await lab.start(1, "2001:db8::2")
        a.keep(lab.url(b))
        a.keep(f"/ip6/2001:db8::2/udp/{PORT}/rovy/{b.peer_id}")
        await asyncio.sleep(5)
        assert [ends(s) for s in states(a, b).values()] == [("192.0.2.1", "192.0.2.2")]
        async with Flow(a, b) as flow:
            await asyncio.sleep(1)
            at = readdress(lab, a, "192.0.2.1", "2001:db8::1")
            await asyncio.sleep(3)
            assert ends(session(a, b).paths.active) == ("2001:db8::1", "2001:db8::2")
            assert session(b, a).path.remote.host == "2001:db8::1"
            assert flow.lost(b, at - 1) <= 6
            assert flow.lost(a, at - 1) <= 10


@virtual
async def test_to_a_slower_link_the_peer_follows_and_stays():
    """The new path costs more, but the old one is gone, however good it was."""
    async with pair(kept=True, latency=0.002) as (lab, a, b), Flow(a, b) as flow:
        lab.net.link("192.0.2.77", "192.0.2.2", latency=0.05)
        await asyncio.sleep(1)
        lab.events[b].clear()
        at = readdress(lab, a, "192.0.2.1", "192.0.2.77")
        await asyncio.sleep(3)
        assert flow.lost(b, at - 1) <= 12
        assert flow.lost(a, at - 1) <= 25
        assert len(changes(lab, b, a)) == 1


@virtual
async def test_nothing_is_lost_for_a_longer_time_where_nobody_tells_of_the_change():
    """No word from netlink: what cannot be sent says so."""
    async with pair(kept=True) as (lab, a, b), Flow(a, b) as flow:
        await asyncio.sleep(1)
        at = readdress(lab, a, "192.0.2.1", "192.0.2.77", told=False)
        await asyncio.sleep(10)
        assert session(b, a).path.remote.host == "192.0.2.77"
        assert flow.lost(b, at - 1) <= 450


# Routes


@asynccontextmanager
async def triangle(**quality):
    """a and b, with a session over their own link and over m in between."""
    async with Lab(**quality) as lab:
        a, b, m = [await lab.start(number) for number in range(3)]
        a.keep(lab.url(m))
        b.keep(lab.url(m))
        a.keep(lab.url(b))
        await asyncio.sleep(2)
        way = Label.of(slot(a, m), slot(m, b))
        await a.connect(f"{way}/rovy/{b.peer_id}")
        await asyncio.sleep(2)
        yield lab, a, b, m, Routed(way)


def slot(node, peer):
    [info] = [s for s in node.sessions() if s.peer == peer.peer_id]
    return info.slot


@virtual
async def test_a_direct_path_dies_and_the_session_goes_on_over_a_route():
    async with triangle() as (lab, a, b, m, way):
        async with Flow(a, b) as flow:
            assert isinstance(session(a, b).path, Direct)
            assert session(a, b).paths.warm.path == way
            await asyncio.sleep(1)
            lab.net.cut("192.0.2.1", "192.0.2.2")
            at = now()
            await asyncio.sleep(3)
            assert session(a, b).path == way
            assert isinstance(session(b, a).path, Routed)
            assert flow.gap(b, at - 0.1) <= 0.2 + SLACK + 0.03
            assert flow.gap(a, at - 0.1) <= 0.2 + SLACK + 0.03
        # The peering has no direct path: nothing is forwarded over it, though the session lives.
        assert session(a, b).direct is None
        before = a.stats().dropped.get(Drop.LINK_DOWN, 0)
        with pytest.raises(Unreachable):
            await m.trace(Label.of(slot(m, a), slot(a, b)), timeout=2)
        assert a.stats().dropped[Drop.LINK_DOWN] > before
        # It comes back, and so does what goes over it.
        lab.net.link("192.0.2.1", "192.0.2.2", up=True)
        await asyncio.sleep(130)
        assert isinstance(session(a, b).path, Direct)
        assert await m.trace(Label.of(slot(m, a), slot(a, b))) == b.peer_id


@virtual
async def test_a_route_dies_and_the_session_goes_on_over_its_direct_path():
    async with triangle() as (lab, a, b, _m, way):
        lab.net.link("192.0.2.1", "192.0.2.2", latency=0.2)
        async with Flow(a, b) as flow:
            await asyncio.sleep(30)
            assert session(a, b).path == way
            lab.net.cut("192.0.2.2", "192.0.2.3")
            at = now()
            await asyncio.sleep(5)
            assert isinstance(session(a, b).path, Direct)
            assert isinstance(session(b, a).path, Direct)
            assert flow.gap(b, at - 0.1) <= 0.24 + SLACK + 0.2
        await asyncio.sleep(40)
        assert way not in states(a, b)


@virtual
async def test_forwarding_stops_as_soon_as_a_direct_path_is_suspected():
    async with triangle() as (lab, a, b, m, _way), Flow(a, b):
        await asyncio.sleep(1)
        lab.net.cut("192.0.2.1", "192.0.2.2")
        await asyncio.sleep(0.25)
        assert session(a, b).direct is None
        assert layer(a).with_peer(m.peer_id).direct is not None
