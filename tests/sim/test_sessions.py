"""A session's life: keys renewed, both sides opening, restarts, ends."""

import asyncio
from itertools import pairwise

import pytest

from rovy.dataplane.types import HARD_LIMIT
from rovy.errors import Unreachable
from rovy.session import upkeep
from rovy.session.const import (
    GIVE_UP,
    IDLE,
    OVERLAP,
    REFUSE_AFTER,
    REKEY_AFTER,
    REKEY_AFTER_MESSAGES,
    RESPONDER_REKEY,
    RESTART,
    UNCONFIRMED_LIFE,
)
from rovy.session.state import State
from rovy.wire.datagram import DATA, Type
from tests.sim.support import (
    LATENCY,
    Lab,
    layer,
    nodes,
    pair,
    plane,
    session,
    virtual,
)

YEAR = 365 * 86400.0


def clock() -> float:
    return asyncio.get_running_loop().time()


async def talk(a, b, seconds: float, every: float = 0.25, first: int = 0) -> None:
    """Numbered payloads both ways."""
    for number in range(first, first + int(seconds / every)):
        for here, there in ((a, b), (b, a)):
            here._running.engine.send(session(here, there), "test/data", [b"%d" % number])
        await asyncio.sleep(every)


# Keys


@pytest.mark.slow
@virtual
async def test_keys_are_renewed_under_traffic_and_nothing_that_arrives_is_refused():
    """20 minutes at 5 % loss and with packets overtaking each other."""
    async with Lab(3, loss=0.05, jitter=0.05) as lab:
        a, b = await lab.start(0), await lab.start(1)
        a.keep(lab.url(b))
        await asyncio.sleep(2)
        indices = set()
        for number in range(80):
            await talk(a, b, 15.0, first=60 * number)
            indices.add(session(a, b).current.index)
        await asyncio.sleep(1)
        assert 9 <= len(indices) <= 11
        for node, peer in ((a, b), (b, a)):
            assert node.stats().dropped == {}, "what arrived was opened"
            assert len(lab.got[node]) == len(set(lab.got[node]))
            assert len(lab.got[node]) == pytest.approx(4800 * 0.95, rel=0.02)
            assert len(session(node, peer).old) <= 1
            assert lab.kinds(node).count("session_established") == 1
            assert "session_closed" not in lab.kinds(node)


@virtual
async def test_the_initiator_renews_after_two_minutes_and_the_responder_later():
    async with pair(kept=True) as (lab, a, b):
        start = lab.packets(a)[0].at
        await asyncio.sleep(REKEY_AFTER * 2 + 10)
        times = [p.at - start for p in lab.packets(a, Type.HELLO)]
        assert times == pytest.approx([0, REKEY_AFTER, 2 * REKEY_AFTER], abs=1)
        assert lab.hellos(b) == []
        renewed = session(b, a).current.created
        with lab.lost(lambda p: p.type == Type.HELLO and p.source == lab.endpoint(a)):
            await asyncio.sleep(renewed + RESPONDER_REKEY + 11 - clock())
            assert len(lab.hellos(b)) >= 1
        assert session(a, b).current.created > renewed + REKEY_AFTER
        await a.ping(b.peer_id)


@virtual
async def test_replaced_keys_open_for_a_moment_more_and_are_gone_then():
    async with pair(kept=True) as (lab, a, b):
        old = session(b, a).current
        await asyncio.sleep(old.created + REKEY_AFTER - 1 - clock())
        with lab.lost(lambda p: p.type == Type.DATA and p.source == lab.endpoint(a)) as held:
            await a.send(b.peer_id, "test/data", b"late")
            await a.send(b.peer_id, "test/data", b"too late")
            late = held[-2:]
        await asyncio.sleep(2)
        assert session(b, a).current is not old
        assert [k.index for k in session(b, a).old] == [old.index]
        lab.inject(a, b, late[0].data)
        assert lab.got[b] == [b"late"]
        await asyncio.sleep(OVERLAP)
        assert session(b, a).old == []
        lab.inject(a, b, late[1].data)
        assert lab.got[b] == [b"late"]
        assert b.stats().dropped == {"index": 1}
        assert len(plane(b)._openers) == 1


@virtual
async def test_keys_are_refused_after_three_minutes_on_both_sides():
    async with pair(kept=True) as (lab, a, b):
        keys = {node: session(node, peer).current for node, peer in ((a, b), (b, a))}
        with lab.lost(lambda p: p.type in (Type.HELLO, Type.RESPONSE)):
            await asyncio.sleep(REFUSE_AFTER - 3)
            await a.send(b.peer_id, "test/data", b"in time")
            await asyncio.sleep(0.1)
            last = [p.data for p in lab.packets(a, Type.DATA)]
            await asyncio.sleep(3)
            assert session(a, b).current is session(b, a).current is None
            assert session(a, b).state is State.OPENING
            assert plane(a)._openers == plane(b)._openers == {}
            before = len(lab.sent)
            with pytest.raises(Unreachable):
                await a.send(b.peer_id, "test/data", b"late", timeout=1)
            assert {p.type for p in lab.sent[before:]} <= {Type.HELLO, Type.RESPONSE}
            lab.inject(a, b, last[-1])
            assert b.stats().dropped["index"] >= 1
        assert lab.got[b] == [b"in time"]
        await asyncio.sleep(20)
        assert session(a, b).current is not keys[a]
        await a.ping(b.peer_id)


@virtual
async def test_key_bytes_are_wiped_once_handed_over_or_dropped(monkeypatch):
    taken: list[bytearray] = []
    for module in ("rovy.session.asking.Initiator", "rovy.session.guard.Responder"):
        path, _, name = module.rpartition(".")
        base = getattr(__import__(path, fromlist=[name]), name)

        def keys(self, base=base):
            pair_of_keys = base.keys(self)
            taken.extend(pair_of_keys)
            return pair_of_keys

        monkeypatch.setattr(module, type(name, (base,), {"keys": keys}))
    async with pair() as (lab, a, b):
        assert len(taken) == 4
        assert not any(any(key) for key in taken)
        # Of a response that nobody confirms the sealing key waits, and is wiped in the end.
        await lab.crash(a)
        await asyncio.sleep(REFUSE_AFTER)
        a = await lab.start(0)
        await asyncio.sleep(300)  # b has given up asking it for anything
        taken.clear()
        with lab.lost(lambda p: p.type == Type.RESPONSE):
            opening = asyncio.create_task(a.connect(lab.url(b), timeout=3))
            await asyncio.sleep(1)
            assert [any(key) for key in taken] == [True, False]
            assert session(b, a).fresh.sealing is taken[0]
            with pytest.raises(Unreachable):
                await opening
            await lab.crash(a)
            await asyncio.sleep(UNCONFIRMED_LIFE + 1)
        assert not any(any(key) for key in taken)
        assert len(layer(b)) == 0
        assert plane(b)._openers == plane(b)._tunnels == {}


@virtual
async def test_keys_are_renewed_before_their_counters_run_out():
    async with pair(kept=True) as (_, a, b):
        keys = session(a, b).current
        plane(a)._tunnels[session(a, b).id].counter = REKEY_AFTER_MESSAGES - 1
        await asyncio.sleep(10)
        assert session(a, b).current is not keys
        assert clock() < keys.created + REKEY_AFTER / 2
        assert plane(a).traffic(session(a, b).id).counter < 100
        await a.ping(b.peer_id)


@virtual
async def test_a_key_without_counters_seals_nothing_and_is_renewed():
    async with pair() as (lab, a, b):
        keys = session(a, b).current
        plane(a)._tunnels[session(a, b).id].counter = HARD_LIMIT - 1
        for payload in (b"last", b"refused", b"refused"):
            await a.send(b.peer_id, "test/data", payload)
        assert lab.packets(a, Type.HELLO)[-1].at == clock()
        counters = [DATA.unpack_from(p.data)[0] & (1 << 56) - 1 for p in lab.packets(a, Type.DATA)]
        assert max(counters) == HARD_LIMIT - 1
        assert a.stats().dropped == {"counter_exhausted": 2}
        await asyncio.sleep(0.2)
        assert lab.got[b] == [b"last"]
        assert session(a, b).current is not keys
        await a.send(b.peer_id, "test/data", b"again")
        await asyncio.sleep(0.1)
        assert lab.got[b] == [b"last", b"again"]


# Both at once


@pytest.mark.parametrize("lag", [0.0, 0.005, 0.015, 0.0199, 0.0201, 0.03, 0.04, 0.05, 0.3])
@pytest.mark.parametrize("lower_first", [True, False])
@virtual
async def test_both_opening_at_once_gives_one_session(lag, lower_first):
    async with nodes(2) as (lab, a, b):
        first, second = (a, b) if lower_first else (b, a)
        both = [asyncio.create_task(first.connect(lab.url(second)))]
        await asyncio.sleep(lag)
        both.append(asyncio.create_task(second.connect(lab.url(first))))
        await asyncio.gather(*both)
        await asyncio.sleep(1)
        one_session(a, b)
        await a.ping(b.peer_id)
        await b.ping(a.peer_id)
        assert clock() - lab.sent[0].at < 2 + lag
        if 0 < lag < LATENCY:
            assert session(a, b).current.initiator, "the lower key's hello counts"


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("seed", range(6))
@virtual
async def test_both_opening_at_once_over_a_bad_link_gives_one_session(seed, kept):
    async with nodes(2, seed, loss=0.3, jitter=0.1) as (lab, a, b):
        if kept:
            a.keep(lab.url(b))
            b.keep(lab.url(a))
            await asyncio.sleep(20)
        else:
            opening = (a.connect(lab.url(b), timeout=60), b.connect(lab.url(a), timeout=60))
            await asyncio.gather(*opening)
            await asyncio.sleep(3)
        lab.net.link("192.0.2.1", "192.0.2.2", loss=0.0, jitter=0.0)
        await a.ping(b.peer_id)
        await b.ping(a.peer_id)
        await asyncio.sleep(3)
        one_session(a, b)


@pytest.mark.parametrize("knows", ["lower", "higher"])
@pytest.mark.parametrize("blocked", ["from the lower", "from the higher"])
@virtual
async def test_both_opening_at_once_while_one_path_works_one_way_only(knows, blocked):
    """One side knows a good path, the other one that lets packets pass in one direction."""
    async with Lab() as lab:
        a = await lab.start(0, "198.51.100.1")
        b = await lab.start(1, "198.51.100.2")
        source = lab.endpoint(a if blocked == "from the lower" else b)
        targets = {a: lab.url(b), b: lab.url(a)}
        good = a if knows == "lower" else b
        targets[good] = targets[good].replace("192.0.2.", "198.51.100.")
        bad = {"192.0.2.1", "192.0.2.2"}
        with lab.lost(lambda p: p.source == source and p.destination.host in bad):
            start = clock()
            await asyncio.gather(*(node.connect(url) for node, url in targets.items()))
            assert clock() - start < 2
            await asyncio.sleep(1)
            one_session(a, b)
            await a.ping(b.peer_id)
            await b.ping(a.peer_id)


@virtual
async def test_the_lower_key_answers_when_its_own_hello_gets_nowhere():
    """Hellos of the lower key never pass: the next retry answers the higher one's instead."""
    async with nodes(2) as (lab, a, b):
        with lab.lost(lambda p: p.type == Type.HELLO and p.source == lab.endpoint(a)):
            start = clock()
            await asyncio.gather(a.connect(lab.url(b)), b.connect(lab.url(a)))
            assert clock() - start < 1.0
        await asyncio.sleep(0.2)
        one_session(a, b)
        assert session(b, a).current.initiator
        await a.ping(b.peer_id)


@virtual
async def test_the_lower_key_sends_its_hello_where_the_others_came_from():
    async with nodes(2) as (lab, a, b):
        nowhere = lab.url(b).replace("192.0.2.2", "203.0.113.9")
        start = clock()
        await asyncio.gather(a.connect(nowhere), b.connect(lab.url(a)))
        assert clock() - start < 0.2
        await asyncio.sleep(0.2)
        assert session(a, b).current.initiator
        one_session(a, b)


@virtual
async def test_both_renewing_at_once_gives_one_pair_of_keys(monkeypatch):
    monkeypatch.setattr("rovy.session.session.RESPONDER_REKEY", REKEY_AFTER + LATENCY)
    async with pair(kept=True) as (lab, a, b):
        await asyncio.sleep(3 * REKEY_AFTER)
        assert len(lab.hellos(a)) > 1
        assert len(lab.hellos(b)) > 1
        one_session(a, b)
        assert a.stats().dropped == b.stats().dropped == {}
        await a.ping(b.peer_id)


# Restarts


@pytest.mark.parametrize("restarted", ["initiator", "responder"])
@virtual
async def test_a_restarted_peer_is_reached_again_within_seconds(restarted):
    async with pair() as (lab, a, b):
        stays, falls, number = (b, a, 0) if restarted == "initiator" else (a, b, 1)
        await talk(a, b, 5)
        old = session(stays, falls)
        await lab.crash(falls)
        await asyncio.sleep(0.5)
        falls = await lab.start(number)
        start = clock()
        while not lab.got[falls]:
            stays._running.engine.send(old, "test/data", [b"there?"])
            await asyncio.sleep(0.1)
            assert clock() - start < RESTART + 1
        one_session(stays, falls)
        assert session(stays, falls) is old, "the session goes on with new keys"
        await falls.ping(stays.peer_id)


@pytest.mark.parametrize("latency", [LATENCY, 0.5])
@virtual
async def test_a_peer_that_is_silent_on_all_paths_is_opened_anew_and_its_old_keys_kept(latency):
    async with pair(kept=True, latency=latency) as (lab, a, b):
        await asyncio.sleep(10)
        keys, since = session(a, b).current, clock()
        with lab.lost(lambda p: p.source == lab.endpoint(b)):
            for _ in range(70):
                a._running.engine.send(session(a, b), "test/data", [b"x"])
                await asyncio.sleep(0.1)
        again = [p.at - since for p in lab.packets(a, Type.HELLO, since=since)]
        assert again[0] < RESTART + latency
        await asyncio.sleep(12)
        assert session(b, a).state is State.OPEN
        await a.ping(b.peer_id)
        assert session(a, b).current is not keys
        assert "session_closed" not in lab.kinds(a)


@pytest.mark.parametrize("latency", [0.3, 0.5, 1.0])
@virtual
async def test_a_slow_path_is_not_given_up_before_its_first_answer(latency):
    async with pair(kept=True, latency=latency) as (lab, a, b):
        await asyncio.sleep(60)
        for node in (a, b):
            assert lab.kinds(node).count("session_established") == 1
            (path,) = node.sessions()[0].paths
            assert path.valid
            assert path.rtt == pytest.approx(2 * latency, rel=0.05)
        assert len({hello.noise for hello in lab.hellos(a)}) == 1


@virtual
async def test_a_hello_that_nobody_answers_leaves_the_session_as_it_was():
    async with pair(kept=True) as (lab, a, b):
        keys = session(a, b).current
        with lab.lost(lambda p: p.type == Type.HELLO):
            layer(a)._asking.open(session(a, b), clock())
            a._running.engine.pump()
            await asyncio.sleep(2)
            assert session(a, b).state is State.REKEYING
            await a.send(b.peer_id, "test/data", b"under the old keys")
            await asyncio.sleep(0.1)
            assert lab.got[b] == [b"under the old keys"]
            assert session(a, b).current is keys
        await asyncio.sleep(10)
        assert session(a, b).state is State.OPEN


@virtual
async def test_a_clock_set_back_does_not_stop_a_running_node():
    async with pair(kept=True) as (lab, a, b):
        lab.skew[a] = -YEAR
        await asyncio.sleep(5 * REKEY_AFTER)
        assert len(lab.hellos(a)) > 4
        assert b.stats().refused == {}
        stamps = [h.noise for h in lab.hellos(a)]
        assert len(set(stamps)) == len(stamps)
        await a.ping(b.peer_id)


@pytest.mark.parametrize("written", [True, False])
@virtual
async def test_a_clock_set_back_over_a_restart_needs_the_bound_that_was_written_down(written):
    async with Lab() as lab:
        lab.skew.default_factory = lambda: 2 * YEAR
        a, b = await lab.start(0), await lab.start(1)
        await lab.join(a, b)
        bound = a.stamp_bound
        await lab.crash(a)
        lab.skew.default_factory = lambda: YEAR
        a = await lab.start(0, stamp_bound=bound if written else 0)
        if written:
            await lab.join(a, b)
            await a.ping(b.peer_id)
            assert b.stats().refused == {}
            assert a.stamp_bound > bound
        else:
            with pytest.raises(Unreachable):
                await lab.join(a, b, timeout=8)
            assert b.stats().refused["replay"] > 0


# Ends


@virtual
async def test_a_closed_session_is_closed_on_both_sides():
    async with pair() as (lab, a, b):
        layer(a).close(session(a, b), clock())
        a._running.engine.pump()
        assert len(layer(a)) == 0
        await asyncio.sleep(0.1)
        assert len(layer(b)) == 0
        assert [e.detail for e in lab.events[b] if e.kind == "session_closed"] == ["bye"]
        assert plane(a)._openers == plane(b)._openers == {}


@virtual
async def test_an_idle_session_ends_and_costs_nothing_until_then():
    async with pair() as (lab, a, b):
        await a.send(b.peer_id, "test/data", b"x")
        await asyncio.sleep(30)
        sent = len(lab.sent)
        await asyncio.sleep(IDLE - 60)
        assert len(lab.sent) - sent <= 12, "a renewal of the keys at most"
        await asyncio.sleep(60)
        assert len(layer(a)) == len(layer(b)) == 0
        assert a.stats().dropped == {} or a.stats().dropped == {"index": 1}


@virtual
async def test_a_session_in_use_goes_on():
    async with pair() as (lab, a, b):
        for _ in range(60):
            await a.send(b.peer_id, "test/data", b"x")
            await asyncio.sleep(10)
        assert lab.kinds(a).count("session_established") == 1
        assert "session_closed" not in lab.kinds(a) + lab.kinds(b)
        assert len(lab.got[b]) == 60


@pytest.mark.slow
@virtual
async def test_a_kept_session_goes_on_without_use():
    async with pair(kept=True) as (lab, a, b):
        await asyncio.sleep(3600)
        assert lab.kinds(a).count("session_established") == 1
        assert "session_closed" not in lab.kinds(a) + lab.kinds(b)
        hellos = [p.at for p in lab.packets(a, Type.HELLO)]
        assert all(after - before < REFUSE_AFTER for before, after in pairwise(hellos))


@virtual
async def test_a_kept_peer_that_went_away_is_tried_until_it_is_back():
    async with pair(kept=True) as (lab, a, b):
        await lab.crash(b)
        await asyncio.sleep(REFUSE_AFTER + 3 * GIVE_UP)
        b = await lab.start(1)
        await asyncio.sleep(70)
        one_session(a, b)


@virtual
async def test_a_session_that_both_sides_lost_interest_in_leaves_nothing_behind():
    async with pair() as (lab, a, b):
        await lab.crash(b)
        for _ in range(20):
            with pytest.raises(Unreachable):
                await a.ping(b.peer_id, timeout=1)
            if not len(layer(a)):
                break
            await asyncio.sleep(20)
        await asyncio.sleep(GIVE_UP + IDLE)
        assert len(layer(a)) == 0
        core = layer(a)._core
        assert core.by_peer == core.pending == core.answered == core.openers == core._by_path == {}
        assert plane(a)._openers == plane(a)._tunnels == {}


@virtual
async def test_the_number_of_sessions_is_bounded(monkeypatch):
    monkeypatch.setattr("rovy.session.core.SESSIONS", 2)
    async with nodes(4) as (lab, a, b, c, d):
        await lab.join(a, b)
        lab.net.cut("192.0.2.1", "192.0.2.3")
        waiting = asyncio.create_task(a.connect(lab.url(c)))
        await asyncio.sleep(0.1)
        await lab.join(a, d)  # takes the place of what carries nothing
        with pytest.raises(Unreachable, match="displaced"):
            await waiting
        with pytest.raises(Exception, match="too many"):
            await a.connect(lab.url(c))
        assert {s.peer for s in layer(a)} == {b.peer_id, d.peer_id}


def test_the_hook_of_upkeep_is_one_packet_long():
    """A challenge is never longer than what triggers it: probes are the shortest of all."""
    assert upkeep.CHALLENGE == 38


def one_session(a, b) -> None:
    """Each has one session with the other, under the same pair of keys."""
    assert len(layer(a)) == len(layer(b)) == 1
    here, there = session(a, b), session(b, a)
    assert here.state is there.state is State.OPEN
    assert here.opening is there.opening is here.fresh is there.fresh is None
    assert here.current.index == there.current.receiver
    assert there.current.index == here.current.receiver
    assert here.current.initiator != there.current.initiator
