"""Liars among the nodes: right answers all the same, and never a wrong one."""

import asyncio

import pytest

from rovy.dht.const import MAX_ASKED, K
from rovy.errors import Malformed, Unreachable
from rovy.wire.dht import Find, Found, Named, parse_request
from tests.sim.support import virtual
from tests.unit.dht import hostile
from tests.unit.dht.network import keys, network, resolves


def near(net, place, count):
    return [net.members[peer] for peer in net.nearest(place, count)]


def honest(members):
    return [member for member in members if member.behaviour is None]


async def newest(asker, target):
    """Whether the target's newest locator is found, and nothing that is none of its."""
    async with asker.dht.find_locator(target.peer.node_id, local=False) as lookup:
        async for value in lookup:
            assert value.signer == target.peer
            if value.sequence == target.locator().sequence:
                return True
    return False


def unlocated(members):
    """Nobody knows a locator but those who store it: the harder case."""
    for member in members:
        for contact in member.dht._table:
            contact.locator = None


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [*((kind,) for kind in hostile.ALL), hostile.ALL])
@virtual
async def test_a_fifth_of_all_lie(kinds):
    async with network(150) as (net, members):
        unlocated(members)
        hostile.corrupt(net, net.random.sample(members, 30), kinds)
        good = honest(members)
        asked = [net.random.sample(good, 2) for _ in range(100)]
        right = [await newest(asker, target) for asker, target in asked]
        assert sum(right) >= 99


@pytest.mark.slow
@virtual
async def test_a_fifth_of_the_nearest_lie():
    async with network(150) as (net, members):
        unlocated(members)
        right = 0
        for _ in range(100):
            asker, target = net.random.sample(members, 2)
            close = [m for m in near(net, target.peer.node_id, 21) if m not in (asker, target)]
            hostile.corrupt(
                net, net.random.sample(close[:10], 2), net.random.sample(hostile.ALL, 2)
            )
            right += await newest(asker, target)
            for member in members:
                member.behaviour = None
        assert right >= 99


@pytest.mark.slow
@virtual
async def test_half_of_the_holders_conspire():
    async with network(150) as (net, members):
        unlocated(members)
        right = 0
        for _ in range(50):
            asker, target = net.random.sample(members, 2)
            close = [m for m in near(net, target.peer.node_id, 12) if m not in (asker, target)]
            hostile.corrupt(net, close[: K // 2], (hostile.conspiring,))
            target.alive = False  # so that it does not answer for itself
            right += await newest(asker, target)
            target.alive = True
            for member in members:
                member.behaviour = None
        assert right >= 48


@virtual
async def test_garbage_is_counted_and_blamed():
    async with network(30) as (net, members):
        asker = members[3]
        liar = net.members[next(iter(asker.dht._table)).peer]
        liar.behaviour = lambda peer, body, early: b"\x05garbage"
        steps = []
        await asker.dht.lookup(liar.peer.node_id, steps.append)
        assert [step.outcome for step in steps if step.who == liar.peer] == ["malformed"]
        assert asker.dht.stats().malformed == 1
        assert asker.dht._table.contact(liar.peer).misses == 1


@virtual
async def test_one_bad_contact_does_not_spoil_the_others():
    async with network(30) as (_net, members):
        asker, liar, real = members[3], members[4], members[5]
        bad = real.locator().raw
        names = (
            Named(b"\xff" * 32, b"", hostile.LABEL, 0),
            Named(b"", bad[:-1] + bytes((bad[-1] ^ 1,)), b"", 0),
            Named(asker.peer.key, b"", hostile.LABEL, 0),
            Named(real.peer.key, b"", hostile.LABEL, 0),
        )
        liar.behaviour = lambda peer, body, early: Found((), names).emit()
        reply = await asker.dht._search.caller.find(
            asker.dht._known.contact(liar.peer), Find(bytes(20), 160, 0, 1100)
        )
        assert [contact.peer for contact in reply.contacts] == [real.peer]
        assert asker.dht.stats().malformed == 2


@pytest.mark.slow
@virtual
async def test_invented_contacts_never_enter_a_bucket():
    async with network(60) as (net, members):
        ghosts = [private.peer_id for private in keys(400)[300:]]
        for liar in members[:12]:
            liar.behaviour = hostile.inventive(liar, [ghost.key for ghost in ghosts])
        for member in members[12:30]:
            await member.dht.lookup(net.random.randbytes(20))
            inside = {contact.peer for contact in member.dht._table}
            waiting = {
                c.peer for b in member.dht._table.buckets for c in b.replacement_nodes.values()
            }
            assert not (inside | waiting) & set(ghosts)


@pytest.mark.slow
@virtual
async def test_a_chain_of_inventions_ends():
    """Everybody names others still nearer to the target, without end."""
    async with network(12) as (net, members):
        ghosts = [private.peer_id for private in keys(1000)[200:]]

        def answer(peer, body, early):
            request = parse_request(body)
            target = int.from_bytes(request.target, "big")
            some = net.random.sample(ghosts, 60)
            some.sort(key=lambda ghost: int.from_bytes(ghost.node_id, "big") ^ target)
            names = tuple(Named(ghost.key, b"", hostile.LABEL, 0) for ghost in some[:8])
            return Found((), names).emit()

        for ghost in ghosts:
            net.members[ghost] = members[1]  # all the same machine
        for liar in members[1:]:
            liar.behaviour = answer
        steps = []
        await members[0].dht.lookup(bytes(20), steps.append)
        assert len(steps) <= MAX_ASKED
        for ghost in ghosts:
            del net.members[ghost]


@virtual
async def test_contacts_that_lead_away_are_not_kept():
    async with network(60) as (net, members):
        asker, liar = members[3], members[4]
        target = liar.peer.node_id
        far = [net.members[peer] for peer in net.nearest(target, 60)[-8:]]
        names = tuple(Named(m.peer.key, b"", hostile.LABEL, 0) for m in far)
        liar.behaviour = lambda peer, body, early: Found((), names).emit()
        heard = []
        asker.heard = lambda replier, contact: heard.append((replier, contact.peer))
        await asker.dht.lookup(target)
        assert (liar.peer, far[0].peer) not in heard
        assert heard


@virtual
async def test_a_request_cannot_prove_a_key_in_a_hello():
    async with network(20) as (_net, members):
        stranger = keys(300)[-1].peer_id
        find = Find(bytes(20), 160, 0, 1100).emit()
        assert members[3].dht.answer(stranger, find, True)
        assert members[3].dht._table.contact(stranger) is None
        assert members[3].dht.answer(stranger, find, False)
        assert members[3].dht._table.contact(stranger) is not None


@virtual
async def test_malformed_requests_raise_malformed():
    async with network(5) as (net, members):
        for size in range(60):
            for _ in range(20):
                try:
                    members[0].dht.answer(members[1].peer, net.random.randbytes(size), False)
                except Malformed:
                    pass


@virtual
async def test_slow_ones_free_their_place():
    """The three nearest say nothing; the lookup does not wait for them before it asks others."""
    async with network(60) as (net, members):
        asker, target = members[3], members[40]
        unlocated(members)
        place = target.peer.node_id
        for member in near(net, place, 4):
            member.alive = member in (asker,)
        begun = net.now
        assert await resolves(asker, target)
        assert net.now - begun < 2.5


@virtual
async def test_a_lookup_is_repeated_elsewhere_when_it_is_late():
    async with network(60) as (net, members):
        asker = members[3]
        first, known = [], asker.dht._known.nearest

        async def request(peer, body, timeout):
            first.append(peer)
            if len(first) <= 3:
                await asyncio.sleep(1.5)
                raise Unreachable("no answer")
            return Found((), ()).emit(), ""

        asker.request = request
        async with asker.dht.find_locator(bytes(20), local=False) as lookup:
            assert await lookup.more() is None
            assert len(lookup.crawls) == 2
            used = {contact.peer for contact in lookup.crawls[0].asked[:3]}
            elsewhere = [contact.peer for contact in lookup.crawls[1].asked[:3]]
            assert not used & set(elsewhere)
            assert set(elsewhere) & set(net.anchors)
        assert known(0, 1)


@virtual
async def test_a_closed_lookup_leaves_nothing_behind():
    async with network(60) as (_net, members):
        lookup = members[3].dht.find_locator(members[30].peer.node_id, local=False)
        waiting = asyncio.ensure_future(lookup.more())
        await asyncio.sleep(0.001)
        assert members[3].dht.stats().open_lookups == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await lookup.close()
        assert await lookup.more() is None
        assert members[3].dht.stats().open_lookups == 0


@virtual
async def test_too_many_lookups_are_refused():
    async with network(3) as (_net, members):
        opened = [members[0].dht.find_locator(bytes(20)) for _ in range(256)]
        with pytest.raises(Unreachable, match="open"):
            members[0].dht.find_locator(bytes(20))
        await opened.pop().close()
        members[0].dht.find_locator(bytes(20))
