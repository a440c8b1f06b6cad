"""Floods of hellos: cookies, reserves, bounds."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from rovy.address.label import Label
from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct, Routed
from rovy.errors import Unreachable
from rovy.node import NodeConfig
from rovy.session import answering
from rovy.session.const import REKEY_AFTER, UNCONFIRMED_LIFE
from rovy.session.guard import Limits
from rovy.session.limits import source_exact
from rovy.session.state import State
from rovy.wire.datagram import CookieReply, Hello, Type
from tests.sim.support import (
    ELSEWHERE,
    KEYS,
    Lab,
    forge_hello,
    forge_mac1,
    layer,
    nodes,
    pair,
    session,
    virtual,
)

CAREFUL = NodeConfig(limits=Limits(free=0.0))
"""Always under load: a cookie is demanded for every handshake."""


def flood(lab: Lab, target: object, count: int, random: Random) -> None:
    """Hellos of right form and mac1 from as many addresses; opening them costs work for nothing."""
    noise = random.randbytes(264)
    for _ in range(count):
        host = f"203.0.{random.randrange(256)}.{random.randrange(1, 255)}"
        signed = Hello(random.getrandbits(32), random.randbytes(32) + noise[32:], b"", b"").signed()
        lab.inject(
            Endpoint(host, 1024 + random.randrange(60000)), target, forge_mac1(signed, target)
        )


async def flood_for(lab, target, seconds: float, rate: int, random: Random) -> None:
    for _ in range(int(seconds * 10)):
        flood(lab, target, rate // 10, random)
        await asyncio.sleep(0.1)


@virtual
async def test_under_load_a_cookie_is_demanded_and_the_same_hello_comes_back_with_it():
    async with pair(joined=False) as (lab, a, b):
        c = await lab.start(2, config=CAREFUL)
        start = asyncio.get_running_loop().time()
        await a.connect(lab.url(c))
        assert asyncio.get_running_loop().time() - start < 0.1, "not with the first retry"
        assert [p.type for p in lab.packets(c)] == [Type.COOKIE, Type.RESPONSE]
        first, second = lab.hellos(a)
        assert first.signed() == second.signed()
        assert first.mac1 == second.mac1
        assert first.mac2 == bytes(16) != second.mac2
        assert len(lab.packets(c)[0].data) <= len(lab.packets(a)[0].data)
        assert session(a, c).state is State.OPEN
        assert b.peer_id not in {s.peer for s in a.sessions()}


@virtual
async def test_a_cookie_serves_the_next_handshake_on_its_path_for_two_minutes():
    async with nodes(1) as (lab, a):
        b = await lab.start(1, config=CAREFUL)
        with lab.lost(lambda p: p.type == Type.RESPONSE):
            opening = asyncio.create_task(a.connect(lab.url(b), timeout=60))
            await asyncio.sleep(20)
        await opening
        assert len({hello.noise for hello in lab.hellos(a)}) > 2
        assert len(lab.packets(b, Type.COOKIE)) == 1
        assert all(hello.mac2 != bytes(16) for hello in lab.hellos(a)[1:])
        with lab.lost(lambda p: p.type == Type.RESPONSE):
            await a.request(b.peer_id, "test/late", b"x")
            a.keep(lab.url(b))
            await asyncio.sleep(REKEY_AFTER + 20)
        await asyncio.sleep(20)
        assert len(lab.packets(b, Type.COOKIE)) >= 2, "an old cookie is not used"
        await a.ping(b.peer_id)


@virtual
async def test_a_response_needs_a_cookie_too_where_its_receiver_is_under_load():
    async with nodes(1) as (lab, b):
        a = await lab.start(1, config=CAREFUL)
        await a.connect(lab.url(b))
        assert [p.type for p in lab.packets(a)][:2] == [Type.HELLO, Type.COOKIE]
        assert lab.responses(b)[0].mac2 == bytes(16) != lab.responses(b)[1].mac2
        await a.ping(b.peer_id)


@virtual
async def test_a_cookie_is_good_for_one_address_and_port_only():
    async with Lab() as lab:
        b = await lab.start(1, config=CAREFUL)
        a = await lab.start(0)
        await a.connect(lab.url(b))
        with_cookie = lab.packets(a, Type.HELLO)[-1].data
        await lab.crash(b)
        start = asyncio.get_running_loop().time()
        b = await lab.start(1, config=CAREFUL)  # the same secret, as the seed of a test has it
        own = lab.endpoint(a)
        for source in (ELSEWHERE, Endpoint(own.host, own.port + 1)):
            lab.inject(source, b, with_cookie)
        assert {p.type for p in lab.packets(b, since=start)} == {Type.COOKIE}
        assert len(layer(b)) == 0


def test_a_cookie_binds_the_whole_label():
    labels = [Label.of(*slots) for slots in ((1, 2, 3), (1, 2, 4), (1, 2), (1, 2, 3, 4))]
    assert len({source_exact(Routed(label)) for label in labels}) == len(labels)
    directs = [Direct(0, Endpoint(h, p)) for h in ("192.0.2.1", "192.0.2.2") for p in (1, 2)]
    assert len({source_exact(path) for path in directs}) == 4
    assert source_exact(directs[0]) == source_exact(replace(directs[0], local="192.0.2.9"))


@virtual
async def test_a_flood_leaves_a_bounded_amount_of_work_and_answers():
    async with Lab() as lab:
        b = await lab.start(1, config=NodeConfig(limits=Limits(cookies=100.0)))
        start = asyncio.get_running_loop().time()
        await flood_for(lab, b, 2.0, 1000, Random(1))
        refused = b.stats().refused
        assert refused["cookie"] == pytest.approx(2000 - 3 * 50, abs=20)
        assert refused["malformed"] == pytest.approx(3 * 50, abs=20), "opened without a cookie"
        assert set(refused) == {"cookie", "malformed"}
        answers = lab.packets(b, since=start)
        assert {p.type for p in answers} == {Type.COOKIE}
        assert len(answers) == pytest.approx(3 * 100, abs=20)
        assert len(layer(b)) == 0


@pytest.mark.slow
@virtual
async def test_known_peers_renew_their_keys_and_strangers_get_in_through_a_flood():
    async with pair(kept=True, latency=0.005) as (lab, a, b):
        keys = session(a, b).current
        await asyncio.sleep(REKEY_AFTER - 3)
        await flood_for(lab, b, 5.0, 3000, Random(2))
        assert session(a, b).current is not keys
        assert session(b, a).current.created == pytest.approx(session(a, b).current.created, abs=1)
        stranger = await lab.start(2)
        flooding = asyncio.create_task(flood_for(lab, b, 2.0, 3000, Random(3)))
        await stranger.connect(lab.url(b), timeout=5)
        await flooding


@virtual
async def test_a_path_in_use_gets_cookies_when_a_flood_uses_up_the_rest():
    limits = Limits(free=0.0, cookies=1.0)
    async with nodes(1) as (lab, a):
        b = await lab.start(1, config=NodeConfig(limits=limits))
        await lab.join(a, b)
        flooding = asyncio.create_task(flood_for(lab, b, 10.0, 500, Random(4)))
        start = asyncio.get_running_loop().time()
        session(a, b).cookies.clear()
        layer(a)._asking.open(session(a, b), start)
        a._running.engine.pump()
        await asyncio.sleep(0.1)
        flooding.cancel()
        assert session(a, b).current.created > start


@virtual
async def test_known_paths_have_a_reserve_of_work():
    limits = Limits(strangers=0.0, known=10.0)
    async with Lab() as lab:
        b = await lab.start(1, config=NodeConfig(limits=limits))
        a = await lab.start(0)
        with pytest.raises(Unreachable):
            await a.connect(lab.url(b), timeout=2)
        assert b.stats().refused["limit"] > 0
        await b.connect(lab.url(a))
        await asyncio.sleep(0.1)
        session(a, b)
        layer(a)._asking.open(session(a, b), asyncio.get_running_loop().time())
        a._running.engine.pump()
        await asyncio.sleep(0.1)
        assert session(a, b).current.initiator


@virtual
async def test_one_source_is_limited_alone():
    async with Lab() as lab:
        b = await lab.start(1, config=NodeConfig(limits=Limits(free=1e6, source=5.0)))
        for _ in range(20):
            signed = Hello(1, Random(3).randbytes(264), b"", b"").signed()
            lab.inject(ELSEWHERE, b, forge_mac1(signed, b))
        assert b.stats().refused == {"malformed": 5, "source limit": 15}
        a = await lab.start(0)
        await a.connect(lab.url(b))


@virtual
async def test_unconfirmed_sessions_are_few_silent_and_displace_nothing(monkeypatch):
    monkeypatch.setattr(answering, "UNCONFIRMED", 4)
    async with pair() as (lab, a, b):
        start = asyncio.get_running_loop().time()
        for number in range(3, 12):
            _, hello = forge_hello(KEYS[number], b)
            lab.inject(replace(ELSEWHERE, port=40000 + number), b, hello)
        assert [s.state for s in layer(b)] == [State.OPEN] + [State.ANSWERED] * 4
        assert b.stats().refused == {"full": 5}
        await asyncio.sleep(UNCONFIRMED_LIFE - 1)
        away = [p for p in lab.packets(b, since=start) if p.destination.host == ELSEWHERE.host]
        assert [p.type for p in away] == [Type.RESPONSE] * 4
        assert len(layer(b)) == 5
        await a.ping(b.peer_id)
        await asyncio.sleep(2)
        assert [s.state for s in layer(b)] == [State.OPEN]
        c = await lab.start(2)
        await lab.join(c, b)


@virtual
async def test_an_unconfirmed_session_leaves_the_keys_in_use(monkeypatch):
    """A hello from elsewhere under a known key: data goes on under the old keys and path."""
    async with pair(kept=True) as (lab, a, b):
        path, keys = session(b, a).path, session(b, a).current
        _, hello = forge_hello(KEYS[0], b, stamp=3e9)
        lab.inject(ELSEWHERE, b, hello)
        assert session(b, a).state is State.RENEWED
        assert session(b, a).current is keys
        await asyncio.sleep(5)
        assert session(b, a).path == path
        await b.send(a.peer_id, "test/data", b"x")
        await asyncio.sleep(0.1)
        assert lab.got[a] == [b"x"]
        away = [p for p in lab.packets(b) if p.destination.host == ELSEWHERE.host]
        assert [p.type for p in away] == [Type.RESPONSE]
        await asyncio.sleep(UNCONFIRMED_LIFE)
        assert session(b, a).state is State.OPEN
        assert session(b, a).current is keys


@virtual
async def test_no_stranger_displaces_a_session_when_the_table_is_full(monkeypatch):
    monkeypatch.setattr("rovy.session.core.SESSIONS", 3)
    monkeypatch.setattr(answering, "SESSIONS", 3)
    async with nodes(4) as (lab, a, b, c, d):
        await lab.join(a, b)
        await lab.join(c, b)
        lab.net.cut("192.0.2.2", "192.0.2.4")
        opening = asyncio.create_task(b.connect(lab.url(d), timeout=30))
        await asyncio.sleep(1)
        _, hello = forge_hello(KEYS[7], b)
        lab.inject(ELSEWHERE, b, hello)
        assert {s.peer for s in layer(b)} == {a.peer_id, c.peer_id, d.peer_id}
        assert b.stats().refused == {"full": 1}
        lab.net.link("192.0.2.2", "192.0.2.4")
        await opening


@virtual
async def test_sessions_that_others_open_have_a_bound_of_their_own(monkeypatch):
    monkeypatch.setattr(answering, "STRANGERS", 1)
    async with nodes(3) as (lab, a, b, c):
        await a.connect(lab.url(b))
        with pytest.raises(Unreachable):
            await c.connect(lab.url(b), timeout=1)
        assert b.stats().refused["full"] >= 1
        await b.connect(lab.url(c))  # what we open ourselves is not counted
        await asyncio.sleep(1)
        assert {s.peer for s in layer(b)} == {a.peer_id, c.peer_id}


@virtual
async def test_cookies_turn_up_in_no_state_but_the_asker_s():
    """The responder answers a flood from its secret alone."""
    async with Lab() as lab:
        b = await lab.start(1, config=CAREFUL)
        flood(lab, b, 500, Random(5))
        assert len(layer(b)) == len(layer(b)._core.answered) == 0
        assert len(layer(b)._core.guard._sources) == 0
        cookies = {CookieReply.parse(p.data).sealed for p in lab.packets(b)}
        assert len(cookies) == 500
