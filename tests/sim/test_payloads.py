"""Payloads in a session: codecs, long ones in pieces."""

import asyncio

import pytest

from rovy.errors import UsageError
from rovy.session.const import FLOOR_MTU
from rovy.session.pieces import LIFE, MEMORY
from rovy.session.session import NEVER
from rovy.wire.datagram import DATA_FIXED
from rovy.wire.piece import MAX_WHOLE, Piece
from tests.sim.support import layer, pair, session, virtual


def send(node, peer, codec, *payloads) -> None:
    node._running.engine.send(session(node, peer), codec, payloads)


@virtual
async def test_a_codec_added_at_run_time_is_told_and_used():
    async with pair() as (lab, a, b):
        with pytest.raises(UsageError, match="test/new"):
            await a.send(b.peer_id, "test/new", b"x")
        got = []
        b.handle("test/new")(lambda _, payload: got.append(payload))
        await asyncio.sleep(0.1)
        await a.send(b.peer_id, "test/new", b"x")
        await asyncio.sleep(0.1)
        assert got == [b"x"]
        await a.send(b.peer_id, "test/data", b"y")
        await asyncio.sleep(0.1)
        assert lab.got[b] == [b"y"], "the others keep their numbers"


@virtual
async def test_a_codec_added_while_the_network_loses_packets_is_told_again():
    async with pair() as (lab, a, b):
        with lab.lost(lambda p: p.source == lab.endpoint(b)):
            b.handle("test/new")(lambda *_: None)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)
        await a.send(b.peer_id, "test/new", b"x")
        await asyncio.sleep(10)
        assert session(b, a).announced == 3
        assert session(b, a).announce_at == NEVER


@virtual
async def test_a_codec_added_during_a_handshake_is_told_after_it():
    async with pair(joined=False) as (lab, a, b):
        opening = asyncio.create_task(a.connect(lab.url(b)))
        await asyncio.sleep(0.01)
        got = []
        a.handle("test/new")(lambda _, payload: got.append(payload))
        await opening
        await asyncio.sleep(0.2)
        await b.send(a.peer_id, "test/new", b"x")
        await asyncio.sleep(0.1)
        assert got == [b"x"]


@virtual
async def test_a_table_may_only_grow():
    async with pair() as (_, a, b):
        keys = session(a, b).current
        names = keys.peer.codecs
        for other in (names[:-1], (*names[:-1], "test/other"), names[::-1]):
            layer(a)._learn_codecs(session(a, b), keys.index, other)
            assert keys.peer.codecs == names
        layer(a)._learn_codecs(session(a, b), keys.index ^ 1, (*names, "test/more"))
        assert keys.codec("test/more") is None, "of other keys"
        layer(a)._learn_codecs(session(a, b), keys.index, (*names, "test/more"))
        assert keys.codec("test/more") == len(names) + 1


@virtual
async def test_a_payload_of_an_unknown_codec_is_counted_and_dropped():
    async with pair() as (lab, a, b):
        keys = session(a, b).current
        keys.learn((*keys.peer.codecs, "test/imagined"))
        send(a, b, "test/imagined", b"x")
        await asyncio.sleep(0.1)
        assert b.stats().node == {"unknown codec": 1}
        assert lab.got[b] == []
        await a.ping(b.peer_id)


@pytest.mark.parametrize("size", [0, 1, 1222, 1223, 1224, 1252, 5000, MAX_WHOLE - 1])
@virtual
async def test_payloads_of_any_size_up_to_16_kb_arrive(size):
    async with pair() as (lab, a, b):
        payload = bytes(n * 7 % 251 for n in range(size))
        before = len(lab.sent)
        await a.send(b.peer_id, "test/data", payload)
        sent = lab.sent[before:]
        await asyncio.sleep(0.1)
        assert lab.got[b] == [payload]
        assert max(len(p.data) for p in sent) <= FLOOR_MTU[4]
        assert (len(sent) == 1) is (size <= FLOOR_MTU[4] - DATA_FIXED)


@virtual
async def test_a_payload_that_is_too_long_even_for_pieces_is_refused_here():
    async with pair() as (lab, a, b):
        with pytest.raises(UsageError):
            await a.send(b.peer_id, "test/data", bytes(MAX_WHOLE))
        await asyncio.sleep(0.1)
        assert lab.got[b] == []
        await a.ping(b.peer_id)


@virtual
async def test_pieces_arrive_in_any_order_and_twice():
    async with pair(5, jitter=0.1, duplicate=0.5) as (lab, a, b):
        payloads = [bytes((n,)) * 9000 for n in range(20)]
        for payload in payloads:
            await a.send(b.peer_id, "test/data", payload)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        assert sorted(lab.got[b]) == payloads
        assert session(b, a).pieces.held == 0


@virtual
async def test_a_lost_piece_costs_its_payload_only_and_its_memory_for_two_seconds():
    async with pair() as (lab, a, b):
        counted = iter(range(1000))
        with lab.lost(lambda p: p.source == lab.endpoint(a) and next(counted) == 3):
            await a.send(b.peer_id, "test/data", b"1" * 9000)
            await a.send(b.peer_id, "test/data", b"2" * 9000)
        await asyncio.sleep(0.1)
        assert lab.got[b] == [b"2" * 9000]
        pieces = session(b, a).pieces
        assert 9000 - 1300 <= pieces.held < 9000
        await asyncio.sleep(LIFE)
        await a.send(b.peer_id, "test/data", b"3" * 9000)
        await asyncio.sleep(0.1)
        assert lab.got[b][1:] == [b"3" * 9000]
        assert pieces.held == 0
        assert pieces.dropped == 1


@virtual
async def test_a_peer_that_sends_parts_only_holds_64_kb():
    async with pair() as (lab, a, b):
        for number in range(200):
            send(a, b, "piece", *(Piece(number, i, 20, bytes(1000)).emit() for i in range(15)))
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)
        assert 0 < session(b, a).pieces.held <= MEMORY
        assert lab.got[b] == []
        await a.ping(b.peer_id)


@virtual
async def test_pieces_of_pieces_and_of_forward_packets_are_refused():
    async with pair() as (lab, a, b):
        for codec in (1, 2, 200):
            send(a, b, "piece", Piece(codec, 0, 1, bytes((codec,)) + b"body").emit())
        send(a, b, "piece", b"\0\0\0\1", bytes(5))
        await asyncio.sleep(0.1)
        assert b.stats().node == {"malformed payload": 5}
        assert lab.got[b] == []
        await a.ping(b.peer_id)
