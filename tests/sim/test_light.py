"""Light requests and sessions: what they cost, and what does not count as use.

docs/protocol/control.md §3
"""

import asyncio

import pytest

from rovy.address.path import Direct
from rovy.errors import Unreachable
from rovy.node import requests
from rovy.node.waiters import LIGHT_IDLE
from rovy.session.const import IDLE
from rovy.wire.datagram import Type
from rovy.wire.dht import Ping
from rovy.wire.mapping import emit_ask
from rovy.wire.piece import cut
from tests.sim.support import ELSEWHERE, layer, nodes, pair, plane, session, virtual

NOWHERE = [Direct(0, ELSEWHERE)]
LIGHT = [("dht", Ping().emit()), ("map", emit_ask(4096))]


async def ask(node, other, codec, body):
    return await node._running.requests.request(session(node, other), codec, body, 3.0)


def waiters(node):
    return node._running.waiters


def clocks(node):
    """Whether what a node seals from now on expects something."""
    told = []
    seal = plane(node).seal

    def noting(*args, expects=True, **options):
        told.append(expects)
        return seal(*args, expects=expects, **options)

    plane(node).seal = noting
    return told


@pytest.mark.parametrize(("codec", "body"), LIGHT)
@virtual
async def test_light_requests_are_no_use_of_a_session(codec, body):
    async with pair() as (_, a, b):
        await ask(a, b, codec, body)
        assert session(a, b).used_at == session(b, a).used_at == 0.0
        await ask(a, b, "test/late", b"x")
        assert session(a, b).used_at > 0.0 < session(b, a).used_at


@pytest.mark.parametrize("size", [10, 5000])
@virtual
async def test_replies_to_light_requests_start_no_clock(size):
    async with pair() as (_, a, b):
        b._running.requests.answerers["map"] = lambda peer, body: bytes(size)
        told, asking = clocks(b), clocks(a)
        assert await ask(a, b, "map", emit_ask(8192)) == bytes(size)
        assert len(told) >= 1
        assert not any(told)
        assert asking[0]
        await ask(a, b, "test/size", str(size).encode())
        assert any(told)


@virtual
async def test_nor_do_refusals(monkeypatch):
    monkeypatch.setattr(requests, "RUNNING", 0)
    async with pair() as (_, a, b):
        told = clocks(b)
        with pytest.raises(Unreachable, match="busy"):
            await ask(a, b, "map", emit_ask(8192))
        assert told == [False]
        b._running.requests.answerers["map"] = lambda peer, body: bytes(70_000)
        monkeypatch.undo()
        with pytest.raises(Unreachable, match="too long"):
            await ask(a, b, "map", emit_ask(8192))
        assert told == [False, False]


@virtual
async def test_a_light_session_ends_after_half_a_minute():
    async with nodes(2) as (lab, a, b):
        await waiters(a).open_lightly(b.peer_id, [lab.path(b)], 5.0)
        await asyncio.sleep(LIGHT_IDLE - 1.0)
        assert session(a, b).sending
        await asyncio.sleep(2.0)
        assert layer(a).with_peer(b.peer_id) is None
        assert layer(b).with_peer(a.peer_id) is None


@virtual
async def test_a_light_session_that_is_opened_for_more_stays():
    async with nodes(2) as (lab, a, b):
        light = await waiters(a).open_lightly(b.peer_id, [lab.path(b)], 5.0)
        assert light.idle == LIGHT_IDLE
        assert await waiters(a).open(b.peer_id, [], 5.0) is light
        assert light.idle == IDLE
        await asyncio.sleep(LIGHT_IDLE + 10.0)
        assert session(a, b) is light


@virtual
async def test_a_session_opened_for_more_does_not_become_light():
    async with pair() as (lab, a, b):
        assert await waiters(a).open_lightly(b.peer_id, [lab.path(b)], 5.0) is session(a, b)
        assert session(a, b).idle == IDLE


@virtual
async def test_an_unanswered_light_opening_is_given_up_with_its_request():
    async with nodes(2) as (lab, a, b):
        with pytest.raises(Unreachable):
            await waiters(a).open_lightly(b.peer_id, NOWHERE, 2.0)
        with pytest.raises(Unreachable):
            await waiters(a).ask_lightly(b.peer_id, NOWHERE, "dht", Ping().emit(), 2.0)
        assert layer(a).with_peer(b.peer_id) is None
        hellos = len(lab.packets(a, Type.HELLO))
        assert hellos == 8
        await asyncio.sleep(60.0)
        assert len(lab.packets(a, Type.HELLO)) == hellos


@virtual
async def test_it_is_not_given_up_while_somebody_else_waits():
    async with nodes(2) as (lab, a, b):
        light = asyncio.create_task(waiters(a).open_lightly(b.peer_id, NOWHERE, 2.0))
        await asyncio.sleep(0.5)
        other = asyncio.create_task(waiters(a).open(b.peer_id, NOWHERE, 20.0))
        with pytest.raises(Unreachable):
            await light
        assert session(a, b).opening
        with lab.lost(lambda packet: packet.destination == ELSEWHERE):
            layer(a).connect(b.peer_id, [lab.path(b)], asyncio.get_running_loop().time())
            a._running.engine.pump()
            assert (await other).sending


@virtual
async def test_pieces_are_no_use_but_what_they_carry_is():
    async with pair() as (_, a, b):
        index = session(a, b).current.codec("test/data")
        parts = [part.emit() for part in cut(7, bytes((index,)) + bytes(3000), 1000)]
        pieces = session(a, b).current.codec("piece")

        async def send(plains):
            engine = a._running.engine
            engine._take(engine.dataplane.seal(session(a, b).id, pieces, plains, engine.now()), 0)
            await asyncio.sleep(0.5)

        await send(parts[:-1])
        assert session(b, a).used_at == 0.0
        await send(parts[-1:])
        assert session(b, a).used_at > 0.0
