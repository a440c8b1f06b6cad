"""Settings that a running node takes over: whom it answers, whom it takes, how much it does."""

import asyncio
from dataclasses import replace

import pytest

from rovy.errors import Unreachable
from rovy.node import Node, NodeConfig
from rovy.session.guard import Limits
from tests.sim.support import KEYS, forge_hello, nodes, pair, virtual


def peers(node: Node) -> set[object]:
    return {session.peer for session in node.sessions()}


def peerings(node: Node) -> set[object]:
    return {session.peer for session in node.sessions() if session.slot}


@virtual
async def test_denied_peers_lose_their_session_and_get_no_other():
    async with pair() as (lab, a, b):
        assert b.reconfigure(replace(b.config, deny=frozenset((a.peer_id,)))) == []
        assert not b.sessions()
        await asyncio.sleep(1.0)
        assert not a.sessions()  # it was told
        with pytest.raises(Unreachable):
            await a.connect(lab.url(b), timeout=5.0)
        assert b.stats().refused["not accepted"] >= 1
        b.reconfigure(replace(b.config, deny=frozenset()))
        await a.connect(lab.url(b), timeout=10.0)
        assert peers(b) == {a.peer_id}


@virtual
async def test_denied_peers_are_kept_no_longer():
    async with pair(kept=True) as (_, a, b):
        a.reconfigure(replace(a.config, deny=frozenset((b.peer_id,))))
        await asyncio.sleep(30.0)
        assert not a.sessions()
        assert all(session.state == "opening" for session in b.sessions())  # it may knock


@virtual
async def test_allow_closes_the_sessions_of_others_but_not_of_kept_peers():
    async with nodes(4) as (lab, a, b, c, d):
        a.keep(lab.url(b))
        await lab.join(c, a)
        await lab.join(d, a)
        await asyncio.sleep(1.0)
        a.reconfigure(replace(a.config, allow=frozenset((c.peer_id,))))
        assert peers(a) == {b.peer_id, c.peer_id}
        await lab.crash(b)
        b = await lab.start(1)
        await lab.join(b, a)  # a kept peer gets an answer too
        assert peers(a) == {b.peer_id, c.peer_id}
        with pytest.raises(Unreachable):
            await d.connect(lab.url(a), timeout=5.0)


@virtual
async def test_no_more_peers_are_taken_and_surplus_ones_end():
    async with nodes(4) as (lab, a, b, c, d):
        for other in (b, c, d):
            other.keep(lab.url(a))
            await asyncio.sleep(0.5)
        assert peerings(a) == {b.peer_id, c.peer_id, d.peer_id}
        a.reconfigure(replace(a.config, max_peers=1))
        await asyncio.sleep(1.0)
        assert peerings(a) == {b.peer_id}
        assert [event.detail for event in lab.events[a] if event.kind == "peering_down"] == [
            "limit",
            "limit",
        ]
        assert not peerings(c)
        assert peers(c) == {a.peer_id}  # the session stays
        a.reconfigure(replace(a.config, accept_peers=False))
        await asyncio.sleep(1.0)
        assert not peerings(a)


@virtual
async def test_peers_that_we_keep_are_not_counted_as_taken():
    async with pair() as (lab, a, b):
        b.keep(lab.url(a))
        await asyncio.sleep(1.0)
        a.keep(lab.url(b))
        a.reconfigure(replace(a.config, accept_peers=False))
        await asyncio.sleep(1.0)
        assert peerings(a) == {b.peer_id}


@virtual
async def test_limits_of_handshakes_change():
    async with nodes(1) as (lab, a):
        none = Limits(free=0.0, strangers=0.0, known=0.0, source=0.0, cookies=0.0)
        a.reconfigure(replace(a.config, limits=none))
        _, hello = forge_hello(KEYS[5], a)
        lab.inject(lab.endpoint(a), a, hello)
        assert a.stats().refused["cookie"] == 1
        assert not a.sessions()
        a.reconfigure(replace(a.config, limits=Limits()))
        await asyncio.sleep(1.0)
        lab.inject(lab.endpoint(a), a, hello)
        assert len(a.sessions()) == 1


@virtual
async def test_rate_of_notices_changes():
    async with pair(kept=True) as (_, a, b):
        slot = a.sessions()[0].slot
        b.reconfigure(replace(b.config, notice_rate=0.0))
        with pytest.raises(Unreachable):
            await a.trace(f"/rovyrt/{slot:02x}", timeout=2.0)
        assert b.stats().notices_sent["rate limited"] >= 1
        b.reconfigure(replace(b.config, notice_rate=50.0))
        assert await a.trace(f"/rovyrt/{slot:02x}", timeout=2.0) == b.peer_id


@virtual
async def test_what_cannot_change_is_named_and_stays():
    async with nodes(1) as (_, a):
        wanted = NodeConfig(port_tries=99, psks=(b"k" * 32,), max_peers=3)
        assert a.reconfigure(wanted) == ["listen", "port_tries", "psks"]
        assert a.config.max_peers == 3
        assert a.config.port_tries != 99


def test_a_node_that_does_not_run_yet_takes_it_too():
    node = Node(KEYS[0])
    assert node.reconfigure(replace(node.config, max_peers=2)) == []
    assert node.config.max_peers == 2
