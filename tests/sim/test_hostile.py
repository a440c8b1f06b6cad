"""Strangers, recordings and forgeries: nothing unauthenticated changes anything."""

import asyncio
from hashlib import blake2s

import pytest

from rovy.address.keys import FIELD_PRIME, LOW_ORDER
from rovy.dataplane.replay import WINDOW
from rovy.errors import Unreachable
from rovy.node import NodeConfig
from rovy.noise import handshake
from rovy.noise.handshake import NO_PSK, Responder
from rovy.noise.mac import seal_cookie
from rovy.session.state import State
from rovy.wire.datagram import CookieReply, Hello, Response, Type
from rovy.wire.payload import Early, Payload
from tests.sim.support import (
    ELSEWHERE,
    KEYS,
    LATENCY,
    PRIVATE,
    Lab,
    counted,
    forge_hello,
    forge_mac1,
    layer,
    nodes,
    pair,
    picture,
    plane,
    session,
    virtual,
)

OTHER = NodeConfig(psks=(blake2s(b"another private network").digest(),))
WEAK = [*sorted(LOW_ORDER), *(n.to_bytes(32, "little") for n in (FIELD_PRIME, FIELD_PRIME + 9))]
NON_CANONICAL = (KEYS[5].peer_id.key[:31] + bytes((KEYS[5].peer_id.key[31] | 0x80,)),)


# Forged and cut


@pytest.mark.parametrize("kind", ["hello", "response", "cookie", "data", "notice", "unknown"])
@virtual
async def test_cut_and_altered_datagrams_change_nothing_and_are_counted(kind):
    async with pair(joined=False) as (lab, a, b):
        opening = asyncio.create_task(a.connect(lab.url(b)))
        with lab.lost(lambda p: p.type == Type.RESPONSE):
            await asyncio.sleep(0.1)
        target = b if kind == "hello" else a
        source = lab.endpoint(a if target is b else b)
        if kind in ("hello", "response", "cookie"):
            original = {
                "hello": lab.packets(a, Type.HELLO)[0].data,
                "response": lab.packets(b, Type.RESPONSE)[0].data,
                "cookie": CookieReply(lab.hellos(a)[0].sender, bytes(24), bytes(32)).emit(),
            }[kind]
        else:
            await opening
            await b.send(a.peer_id, "test/data", b"a payload of some length")
            original = lab.packets(b, Type.DATA)[-1].data
            await asyncio.sleep(0.1)
            if kind != "data":
                original = bytes((5 if kind == "notice" else 77,)) + original[1:]
        forged = [original[:length] for length in range(1, len(original))]
        forged += [original + bytes(extra) for extra in (1, 16, 2000)]
        if kind not in ("notice", "unknown"):
            forged += [flipped(original, at, 1 << at % 8) for at in range(len(original))]
            # With mac1 made anew. As in WireGuard nothing else covers the sender's index.
            if kind in ("hello", "response"):
                places = [1, 2, 3, *range(8, len(original) - 32)]
                kept = [flipped(original[:-32], at, 4) for at in places]
                forged += [forge_mac1(signed, target) for signed in kept]
                forged = [f for f in forged if f[:-16] != original[:-16]]
        before, count = picture(target), counted(target)
        sent = len(lab.sent)
        for each in forged:
            lab.inject(source, target, each)
        assert picture(target) == before
        assert counted(target) - count == len(forged)
        assert {p.type for p in lab.sent[sent:]} <= {Type.COOKIE}
        await opening
        await a.ping(b.peer_id)
        await b.ping(a.peer_id)


@virtual
async def test_an_empty_datagram_is_nothing():
    async with pair() as (lab, a, b):
        before = picture(a)
        lab.inject(b, a, b"")
        assert picture(a) == before
        assert a.stats().underlay["empty"] == 1
        await a.ping(b.peer_id)


@virtual
async def test_a_cookie_reply_counts_only_for_the_hello_it_answers():
    async with pair(joined=False) as (lab, a, b):
        with lab.lost(lambda p: p.source == lab.endpoint(a)):
            opening = asyncio.create_task(a.connect(lab.url(b)))
            await asyncio.sleep(0.1)
        hello = lab.hellos(a)[0]
        key, cookie = b.peer_id.key, bytes(range(16))
        for sealed in (
            seal_cookie(a.peer_id.key, bytes(24), cookie, hello.mac1),  # not from b
            seal_cookie(key, bytes(24), cookie, bytes(16)),  # for another message
            seal_cookie(key, b"\1" * 24, cookie, hello.mac1),  # another nonce
        ):
            lab.inject(b, a, CookieReply(hello.sender, bytes(24), sealed).emit())
        good = seal_cookie(key, bytes(24), cookie, hello.mac1)
        lab.inject(b, a, CookieReply(hello.sender ^ 1, bytes(24), good).emit())
        assert session(a, b).cookies == {}
        assert a.stats().refused == {"malformed": 3, "cookie: not asked": 1}
        await opening


# Recorded and sent again


@virtual
async def test_a_recorded_hello_does_nothing_later_from_anywhere():
    async with pair() as (lab, a, b):
        (hello,) = [p.data for p in lab.packets(a, Type.HELLO)]
        await asyncio.sleep(1)
        sent, before = len(lab.packets(b)), picture(b)
        for source in (lab.endpoint(a), ELSEWHERE):
            lab.inject(source, b, hello)
        assert picture(b) == before
        assert len(lab.packets(b)) == sent
        assert b.stats().refused == {"replay": 2}
        await a.ping(b.peer_id)


@virtual
async def test_a_recorded_hello_takes_nothing_from_a_responder_that_forgot_its_stamp():
    """After a restart it costs one response and an unconfirmed session, which ends by itself."""
    async with pair() as (lab, a, b):
        await a.request(b.peer_id, "test/late", b"x")
        recorded = [p.data for p in lab.packets(a)]
        await lab.crash(a)
        await lab.crash(b)
        b, now = await lab.start(1), asyncio.get_running_loop().time()
        for data in recorded:
            lab.inject(ELSEWHERE, b, data)
        (only,) = layer(b)
        assert only.state is State.ANSWERED
        with pytest.raises(Unreachable):
            await b.send(a.peer_id, "test/data", b"x", timeout=1)
        assert [p.type for p in lab.packets(b, since=now)] == [Type.RESPONSE]
        assert len(lab.asked[b]) == 0
        await asyncio.sleep(30)
        assert len(layer(b)) == 0
        assert lab.kinds(b) == ["session_closed"]


@virtual
async def test_recorded_data_is_taken_once():
    async with pair() as (lab, a, b):
        await a.send(b.peer_id, "test/data", b"once")
        data = lab.packets(a, Type.DATA)[-1].data
        await asyncio.sleep(0.1)
        before = picture(b)
        for source in (lab.endpoint(a), ELSEWHERE):
            lab.inject(source, b, data)
        assert lab.got[b] == [b"once"]
        assert b.stats().dropped == {"replay": 2}
        assert picture(b) == before, "a replay is not a roaming peer"


@virtual
async def test_data_late_by_less_than_the_window_is_taken_once_and_later_never():
    async with pair() as (lab, a, b):
        await a.send(b.peer_id, "test/data", b"first")  # keeps probes away from the counters
        await asyncio.sleep(0.1)
        start = plane(a).traffic(session(a, b).id).counter
        with lab.lost(lambda p: p.type == Type.DATA) as held:
            seal = a._running.engine.send
            seal(session(a, b), "test/data", [b"%d" % n for n in range(WINDOW + 2)])
        lab.got[b].clear()
        data = [p.data for p in held]
        assert len(data) == WINDOW + 2
        assert plane(a).traffic(session(a, b).id).counter == start + WINDOW + 2
        last = WINDOW + 1
        for number in (last, 0, 1, 2, 2, last, 3, WINDOW, 0):
            lab.inject(a, b, data[number])
        assert lab.got[b] == [b"%d" % n for n in (last, 2, 3, WINDOW)]
        assert b.stats().dropped == {"replay": 5}
        for each in data:
            lab.inject(a, b, each)
        assert len(set(lab.got[b])) == len(lab.got[b]) == WINDOW


@virtual
async def test_a_forged_counter_does_not_move_the_window():
    async with pair() as (lab, a, b):
        await a.send(b.peer_id, "test/data", b"first")
        data = lab.packets(a, Type.DATA)[-1].data
        with lab.lost(lambda p: True):
            await a.send(b.peer_id, "test/data", b"second")
        second = lab.packets(a, Type.DATA)[-1].data
        lab.inject(a, b, data[:1] + b"\xff" * 7 + data[8:])
        lab.inject(a, b, second)
        assert lab.got[b] == [b"second"]
        assert b.stats().dropped == {"auth": 1}


# Reflected


@virtual
async def test_own_datagrams_sent_back_change_nothing():
    async with pair() as (lab, a, b):
        await a.send(b.peer_id, "test/data", b"x")
        await b.send(a.peer_id, "test/data", b"y")
        await asyncio.sleep(0.1)
        for node, peer in ((a, b), (b, a)):
            before, count, sent = picture(node), counted(node), len(lab.packets(node))
            own = [p.data for p in lab.packets(node)]
            for data in own:
                lab.inject(peer, node, data)
            assert picture(node) == before
            assert counted(node) - count == len(own)
            assert len(lab.packets(node)) == sent
        await a.ping(b.peer_id)


@virtual
async def test_a_hello_sent_back_while_it_waits_opens_nothing():
    async with pair(joined=False) as (lab, a, b):
        with lab.lost(lambda p: True):
            opening = asyncio.create_task(a.connect(lab.url(b)))
            await asyncio.sleep(0.1)
            lab.inject(b, a, lab.packets(a)[0].data)
        assert a.stats().refused == {"mac1": 1}
        await opening


@virtual
async def test_another_node_with_our_own_key_gets_no_answer():
    async with Lab() as lab:
        b = await lab.start(1)
        _, hello = forge_hello(KEYS[1], b)
        lab.inject(ELSEWHERE, b, hello)
        assert b.stats().refused == {"own": 1}
        assert lab.packets(b) == []
        assert len(layer(b)) == 0


# Keys


@virtual
async def test_a_hello_under_another_key_than_the_nodes_gets_no_answer():
    async with nodes(3) as (lab, a, b, c):
        wrong = lab.url(b).replace(str(b.peer_id), str(c.peer_id))
        with pytest.raises(Unreachable):
            await a.connect(wrong, timeout=3)
        assert lab.packets(b) == lab.packets(c) == []
        assert b.stats().refused == {"mac1": 4}
        assert len(layer(b)) == 0


@pytest.mark.parametrize("key", [*WEAK, *NON_CANONICAL], ids=lambda key: key.hex()[:8])
@virtual
async def test_weak_and_misspelt_keys_are_refused_in_hellos(key, monkeypatch):
    async with Lab() as lab:
        b = await lab.start(1)
        _, hello = forge_hello(KEYS[5], b)
        signed = hello[:8] + key + hello[40:-32]
        lab.inject(ELSEWHERE, b, forge_mac1(signed, b))
        assert b.stats().refused == {"malformed": 1}
        # The same key as the sender's static one, as a hostile program could seal it
        monkeypatch.setattr(handshake, "check_key", lambda key: None)
        noise, hello = forge_hello(KEYS[5], b)
        monkeypatch.undo()
        opened = Responder(KEYS[1], hello[8:-32], NO_PSK, lambda: bytes(32))
        opened.peer_key = key
        assert noise
        monkeypatch.setattr("rovy.session.guard.Responder", lambda *args: opened)
        lab.inject(ELSEWHERE, b, hello)
        assert b.stats().refused == {"malformed": 2}
        assert lab.packets(b) == []


@pytest.mark.parametrize("key", [*WEAK, *NON_CANONICAL], ids=lambda key: key.hex()[:8])
@virtual
async def test_weak_and_misspelt_keys_are_refused_in_responses(key):
    async with pair(joined=False) as (lab, a, b):
        with lab.lost(lambda p: p.type == Type.RESPONSE) as lost:
            opening = asyncio.create_task(a.connect(lab.url(b)))
            await asyncio.sleep(0.1)
        data = lost[0].data
        lab.inject(b, a, forge_mac1(data[:12] + key + data[44:-32], a))
        assert a.stats().refused == {"malformed": 1}
        assert session(a, b).state is State.OPENING
        await opening


# Networks


@pytest.mark.parametrize("config", [NodeConfig(), OTHER], ids=["public", "other"])
@virtual
async def test_a_stranger_to_a_private_network_gets_no_answer(config):
    async with Lab() as lab:
        b = await lab.start(1, config=PRIVATE)
        a = await lab.start(0, config=config)
        with pytest.raises(Unreachable):
            await a.connect(lab.url(b), timeout=3)
        assert lab.packets(b) == []
        assert set(b.stats().refused) == {"mac1"}
        assert len(layer(b)) == 0


@virtual
async def test_members_of_a_private_network_reach_each_other():
    async with pair(config=PRIVATE) as (lab, a, b):
        assert await a.request(b.peer_id, "test/upper", b"x") == b"X"
        await b.ping(a.peer_id)
        assert len(lab.responses(b)) == 1


@virtual
async def test_a_request_of_a_stranger_to_a_private_network_is_not_carried_out():
    """Message 1 does not depend on the PSK; that mac1 does keeps strangers out."""
    async with Lab() as lab:
        b, c = await lab.start(1, config=PRIVATE), await lab.start(2, config=PRIVATE)
        request = Early("test/upper", b"x")
        forged = [
            forge_hello(KEYS[5], b, psk=PRIVATE.psks[0], mac_psk=psk, request=request)[1]
            for psk in (NO_PSK, OTHER.psks[0], b"")
        ]
        _, elsewhere = forge_hello(KEYS[5], c, psk=PRIVATE.psks[0], request=request)
        member = forge_hello(KEYS[6], b, psk=PRIVATE.psks[0], request=request)[1]
        forged += [elsewhere, forged[0][:-32] + member[-32:]]
        for hello in forged:
            lab.inject(ELSEWHERE, b, hello)
        assert lab.asked[b] == []
        assert lab.packets(b) == []
        assert b.stats().refused == {"mac1": len(forged)}
        lab.inject(ELSEWHERE, b, member)
        assert len(lab.asked[b]) == 1


@virtual
async def test_a_response_under_another_psk_is_refused():
    async with pair(joined=False, config=PRIVATE) as (lab, a, b):
        with lab.lost(lambda p: p.type == Type.RESPONSE):
            opening = asyncio.create_task(a.connect(lab.url(b)))
            await asyncio.sleep(0.1)
            hello = lab.hellos(a)[0]
            wrong = Responder(KEYS[1], hello.noise, OTHER.psks[0], lambda: b"\x22" * 32)
            noise = wrong.write(Payload(("forward", "piece"), 1400).emit())
            signed = Response(7, hello.sender, noise, b"", b"").signed()
            lab.inject(b, a, forge_mac1(signed, a, PRIVATE.psks[0]))
        assert a.stats().refused == {"malformed": 1}
        await opening


@virtual
async def test_a_response_of_the_peer_that_does_not_read_costs_a_new_hello():
    async with pair(joined=False) as (lab, a, b):
        with lab.lost(lambda p: p.type == Type.RESPONSE):
            opening = asyncio.create_task(a.connect(lab.url(b)))
            await asyncio.sleep(0.1)
            hello = lab.hellos(a)[0]
            faulty = Responder(KEYS[1], hello.noise, NO_PSK, lambda: b"\x22" * 32)
            signed = Response(7, hello.sender, faulty.write(b"\x01\xff"), b"", b"").signed()
            for _ in range(2):
                lab.inject(b, a, forge_mac1(signed, a))
        assert a.stats().refused == {"malformed": 1, "response: not asked": 1}
        assert session(a, b).state is State.OPENING
        await opening
        assert lab.hellos(a)[-1].noise != hello.noise


@virtual
async def test_one_node_serves_two_networks():
    both = NodeConfig(psks=(PRIVATE.psks[0], NO_PSK))
    async with Lab() as lab:
        b = await lab.start(1, config=both)
        a = await lab.start(0)
        c = await lab.start(2, config=PRIVATE)
        await lab.join(a, b)
        await lab.join(c, b)
        await a.ping(b.peer_id)
        await c.ping(b.peer_id)
        with pytest.raises(Unreachable):
            await lab.join(a, c, timeout=2)


@virtual
async def test_a_stranger_cannot_answer_in_anothers_name():
    async with nodes(3) as (lab, a, b, c):
        with lab.lost(lambda p: p.source == lab.endpoint(b)):
            opening = asyncio.create_task(a.connect(lab.url(b)))
            await asyncio.sleep(0.1)
            hello = lab.packets(a)[0].data
            signed = forge_mac1(hello[:-32], c)
            lab.inject(a, c, signed)
            parsed = Hello.parse(hello)
            fake = bytes(64) + bytes(40)
            response = Response(9, parsed.sender, fake, b"", b"").signed()
            lab.inject(b, a, forge_mac1(response, a))
            await asyncio.sleep(LATENCY * 2)
        assert c.stats().refused == {"malformed": 1}
        assert lab.packets(c) == []
        assert a.stats().refused == {"malformed": 1}
        await opening


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes((data[at] ^ bit,)) + data[at + 1 :]
