"""Opening a session: order of messages, repetition, early requests, versions."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from rovy.errors import Unreachable, UsageError
from rovy.node import NodeConfig
from rovy.session import asking, guard
from rovy.session.const import FRESH_HELLO, GIVE_UP, RETRIES, RETRY_JITTER, UNCONFIRMED_LIFE
from rovy.session.state import State
from rovy.wire.datagram import MAX_HANDSHAKE, Type
from rovy.wire.payload import Early, Payload
from tests.sim.support import (
    ELSEWHERE,
    KEYS,
    LATENCY,
    Lab,
    forge_hello,
    layer,
    pair,
    session,
    virtual,
)

NAMES = tuple(f"test/{'x' * 24}{i}" for i in range(100, 130))
"""Codecs whose table is longer than the response to a usual hello; with MANY, than any hello."""
MANY = tuple(f"test/{'y' * 24}{i}" for i in range(100, 130))


@virtual
async def test_hello_response_and_a_first_packet_open_a_session():
    async with pair() as (lab, a, b):
        assert [p.type for p in lab.packets(a)][:2] == [Type.HELLO, Type.DATA]
        assert [p.type for p in lab.packets(b)][:2] == [Type.RESPONSE, Type.DATA]
        assert lab.packets(a)[1].at - lab.packets(a)[0].at == pytest.approx(2 * LATENCY)
        assert session(a, b).state is session(b, a).state is State.OPEN
        assert a.sessions()[0].initiator
        assert b.sessions()[0].initiator is False
        assert (await a.ping(b.peer_id)).rtt == pytest.approx(2 * LATENCY)
        assert (await b.ping(a.peer_id)).rtt == pytest.approx(2 * LATENCY)


@virtual
async def test_a_responder_sends_nothing_but_the_response_before_it_is_confirmed():
    async with pair(joined=False) as (lab, a, b):
        with lab.lost(lambda p: p.type == Type.DATA and p.source == lab.endpoint(a)):
            with pytest.raises(Unreachable):
                await a.request(await a.connect(lab.url(b)), "test/late", b"x", timeout=3)
            assert session(b, a).state is State.ANSWERED
            with pytest.raises(Unreachable):
                await b.send(a.peer_id, "test/data", b"too early", timeout=1)
            assert {p.type for p in lab.packets(b)} == {Type.RESPONSE}
            assert lab.events[b] == []


@virtual
async def test_a_hello_is_repeated_by_the_schedule_and_made_anew_after_five_seconds():
    async with pair(joined=False) as (lab, a, b):
        lab.net.cut("192.0.2.1", "192.0.2.2")
        with pytest.raises(Unreachable, match="timeout"):
            await a.connect(lab.url(b), timeout=200)
        sent = lab.packets(a)
        assert {p.type for p in sent} == {Type.HELLO}
        waits = [after.at - before.at for before, after in pairwise(sent)]
        planned = [*RETRIES, *[RETRIES[-1]] * len(waits)]
        for wait, plan in zip(waits, planned, strict=False):
            assert abs(wait - plan) <= plan * RETRY_JITTER + 0.002
        assert len({round(wait, 4) for wait in waits[5:]}) > 1, "without jitter"
        assert sent[-1].at - sent[0].at < GIVE_UP
        assert sent[-1].at - sent[0].at > GIVE_UP - RETRIES[-1] * 1.2
        assert asyncio.get_running_loop().time() - sent[0].at < GIVE_UP + RETRIES[-1] * 1.2

        born: dict[bytes, float] = {}
        for packet, hello in zip(sent, lab.hellos(a), strict=True):
            made = born.setdefault(hello.noise, packet.at)
            assert packet.at - made < FRESH_HELLO
        first = lab.hellos(a)[0]
        assert sum(hello.noise == first.noise for hello in lab.hellos(a)) == 5
        times = list(born.values())
        assert all(after - before >= FRESH_HELLO for before, after in pairwise(times))
        ephemerals = {noise[:32] for noise in born}
        assert len(ephemerals) == len(born)
        assert len(layer(a)) == 0
        assert lab.kinds(a) == ["session_closed"]
        await asyncio.sleep(100)
        assert len(lab.packets(a)) == len(sent)


@virtual
async def test_a_fresh_hello_carries_a_later_stamp():
    """So that it is taken although the responder saw the one before."""
    async with pair(joined=False) as (lab, a, b):
        with lab.lost(lambda p: p.type == Type.RESPONSE):
            opening = asyncio.create_task(a.connect(lab.url(b), timeout=60))
            await asyncio.sleep(7)
        await opening
        assert len({hello.noise for hello in lab.hellos(a)}) == 2
        assert b.stats().refused == {}


@virtual
async def test_a_repeated_hello_is_answered_by_the_same_response_without_diffie_hellman(
    monkeypatch,
):
    opened = []

    class Counted(guard.Responder):
        def __init__(self, *args):
            opened.append(1)
            super().__init__(*args)

    monkeypatch.setattr(guard, "Responder", Counted)
    async with pair(joined=False) as (lab, a, b):
        with lab.lost(lambda p: p.type == Type.RESPONSE) as lost:
            opening = asyncio.create_task(a.connect(lab.url(b)))
            await asyncio.sleep(1.5)
        await opening
        assert len(lost) == 3
        assert len(lab.responses(b)) == 4
        assert len({p.data for p in lab.packets(b, Type.RESPONSE)}) == 1
        assert len(opened) == 1
        assert b.stats().refused == {}
        await a.ping(b.peer_id)


@virtual
async def test_a_hello_lost_and_a_confirmation_lost_cost_a_repetition_each():
    async with pair(joined=False) as (lab, a, b):
        lost = []

        def first_of(kind, source):
            def chosen(packet):
                fits = packet.type == kind and packet.source == source and not lost
                lost.extend([1] * fits)
                return fits

            return chosen

        with lab.lost(first_of(Type.HELLO, lab.endpoint(a))):
            await a.connect(lab.url(b))
        lost.clear()
        with lab.lost(first_of(Type.DATA, lab.endpoint(a))):
            await asyncio.sleep(0.5)
        assert session(b, a).state is State.ANSWERED or session(b, a).state is State.OPEN
        await a.ping(b.peer_id)
        assert session(b, a).state is State.OPEN
        assert len(lab.hellos(a)) == 2


@virtual
async def test_an_early_request_and_its_answer_take_one_round_trip():
    async with pair() as (lab, a, b):
        await forget(lab, a, b)
        start = asyncio.get_running_loop().time()
        assert await a.request(b.peer_id, "test/upper", b"hello") == b"HELLO"
        assert asyncio.get_running_loop().time() - start == pytest.approx(2 * LATENCY)
        assert lab.asked[b] == [(pytest.approx(start + LATENCY), "test/upper", b"hello")]


@virtual
async def test_a_hello_runs_only_what_was_registered_for_it():
    async with pair() as (lab, a, b):
        await forget(lab, a, b)
        start = asyncio.get_running_loop().time()
        assert await a.request(b.peer_id, "test/late", b"hello") == b"olleh"
        assert asyncio.get_running_loop().time() - start == pytest.approx(4 * LATENCY)
        assert lab.asked[b] == [(pytest.approx(start + 3 * LATENCY), "test/late", b"hello")]
        await forget(lab, a, b)
        with pytest.raises(Unreachable, match="unknown codec"):
            await a.request(b.peer_id, "test/nobody", b"hello")


@virtual
async def test_an_early_answer_that_does_not_fit_follows_in_the_session():
    async with pair() as (lab, a, b):
        for length in (0, 100, 700, 900, 1000, 1039, 1200, 12_000):
            await forget(lab, a, b)
            assert len(await a.request(b.peer_id, "test/size", b"%d" % length)) == length
        for hello, response in zip(
            lab.packets(a, Type.HELLO), lab.packets(b, Type.RESPONSE), strict=True
        ):
            assert len(response.data) <= len(hello.data)


@virtual
async def test_a_request_in_a_hello_that_opens_nothing_is_still_answered():
    """Its hello is dropped for the other's, and the request goes into the session instead."""
    async with pair() as (lab, a, b):
        await forget(lab, a, b)
        asked = [
            asyncio.create_task(x.request(y.peer_id, "test/upper", b"hi"))
            for x, y in ((a, b), (b, a))
        ]
        assert await asyncio.gather(*asked) == [b"HI", b"HI"]
        assert len(layer(a)) == len(layer(b)) == 1


@pytest.mark.parametrize("size", [157, 160, 200, 250, 300, 400, 500, 800, 1131])
@pytest.mark.parametrize("many", [False, True])
@virtual
async def test_a_response_is_never_longer_than_its_hello(size, many):
    async with Lab() as lab:
        b = await lab.start(1, set_up=lambda node: register(node, NAMES if many else ()))
        names = ("forward", "piece")
        for request in (None, Early("test/size", b"%d" % size)):
            _, hello = forge_hello(KEYS[5], b, size=size, request=request, codecs=names)
            lab.inject(ELSEWHERE, b, hello)
            (response,) = lab.packets(b, Type.RESPONSE)[-1:]
            assert len(response.data) <= len(hello)
            await asyncio.sleep(UNCONFIRMED_LIFE + 1)


@virtual
async def test_codecs_that_no_handshake_has_room_for_are_told_in_the_session():
    async with Lab() as lab:
        a = await lab.start(0, set_up=lambda node: register(node, NAMES))
        b = await lab.start(1, set_up=lambda node: register(node, NAMES))
        await lab.join(a, b)
        for here, there in ((a, b), (b, a)):
            for name in NAMES:
                await here.send(there.peer_id, name, name.encode())
            await asyncio.sleep(0.1)
            assert lab.got[there] == [name.encode() for name in NAMES]


@virtual
async def test_a_hello_with_any_number_of_codecs_goes_through():
    async with Lab() as lab:
        a = await lab.start(0, set_up=lambda node: register(node, NAMES + MANY))
        b = await lab.start(1, set_up=lambda node: register(node, NAMES + MANY))
        await lab.join(a, b)
        for here, there in ((a, b), (b, a)):
            await here.send(there.peer_id, MANY[-1], b"x")
            await asyncio.sleep(0.1)
            assert lab.got[there] == [b"x"]
        for packet in lab.packets(a, Type.HELLO) + lab.packets(b, Type.RESPONSE):
            assert len(packet.data) <= MAX_HANDSHAKE


@virtual
async def test_another_version_is_answered_and_told_to_both_users(monkeypatch):
    emit = Payload.emit

    def newer(self, size=0):
        return emit(replace(self, version=2) if self.timestamp else self, size)

    async with pair(joined=False) as (lab, a, b):
        with monkeypatch.context() as patched:
            patched.setattr(asking.Payload, "emit", newer)
            patched.setattr(asking, "VERSION", 2)
            with pytest.raises(Unreachable, match="version"):
                await a.connect(lab.url(b))
            await asyncio.sleep(0)
        assert "version_mismatch" in lab.kinds(a)
        assert lab.kinds(b) == ["version_mismatch"]
        assert [e.detail for e in lab.events[b]] == ["2"]
        assert b.stats().refused == {"version": 1}
        assert len(layer(a)) == len(layer(b)) == 0
        (hello,), (response,) = lab.packets(a), lab.packets(b)
        assert len(response.data) <= len(hello.data)
        await lab.join(a, b)


@virtual
async def test_a_denied_peer_gets_no_answer():
    async with Lab() as lab:
        a = await lab.start(0)
        b = await lab.start(1, config=NodeConfig(deny=frozenset((a.peer_id,))))
        with pytest.raises(Unreachable):
            await a.connect(lab.url(b), timeout=3)
        assert lab.packets(b) == []
        assert b.stats().refused["not accepted"] == 1
        with pytest.raises(UsageError):
            layer(a).connect(a.peer_id, [lab.path(a)], 1.0)


async def forget(lab, a, b):
    """End the session of two nodes; they still know how to reach each other."""
    for node, peer in ((a, b), (b, a)):
        found = layer(node).with_peer(peer.peer_id)
        if found:
            layer(node).close(found, 0.0)
            node._running.engine.pump()
    await asyncio.sleep(0.1)
    assert len(layer(a)) == len(layer(b)) == 0
    lab.asked.clear()


def register(node, names):
    for name in names:
        node.handle(name)(node._handlers["test/data"])
