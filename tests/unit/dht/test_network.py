"""Networks of up to a thousand nodes in virtual time: do all find all, and at what price?"""

import asyncio

import pytest

from rovy.dht.const import LEAVES, NAME, K
from rovy.dht.contact import Contact
from rovy.dht.record import SignedRecord
from rovy.dht.values import Value
from rovy.errors import Malformed, UsageError
from rovy.wire.dht import PREFIX
from tests.sim.support import virtual
from tests.unit.dht.network import FakeNet, network, resolves


def pairs(net, members, count):
    """Random ones."""
    return [net.random.sample(members, 2) for _ in range(count)]


async def found(net, members, count):
    """How many of so many random pairs resolve."""
    asked = pairs(net, members, count)
    return sum([await resolves(asker, target) for asker, target in asked])


async def joined(net, *members, over=0.0, wait=60.0):
    net.start(*members, over=over)
    await asyncio.sleep(wait)


@pytest.mark.parametrize("count", [2, 3, 5, 9])
@virtual
async def test_small_networks(count):
    async with network(count, acquaintances=0) as (net, members):
        await joined(net)
        for asker in members:
            for target in members:
                assert asker is target or await resolves(asker, target)
        for member in members:
            assert member.dht.stats().contacts == count - 1
            assert count > K or member.dht.stats().estimate == count
        assert net.lost_ways == 0


@virtual
async def test_one_node_alone():
    async with network(1, acquaintances=0) as (net, (alone,)):
        await joined(net, wait=300)
        assert await alone.dht.locate(bytes(20)) is None
        assert await alone.dht.lookup(bytes(20)) == []
        assert not await alone.dht.put(record(alone))
        assert net.requests == 0


@pytest.mark.slow
@virtual
async def test_a_hundred_nodes_that_start_together():
    async with network(100, acquaintances=0) as (net, members):
        await joined(net, over=2.0)
        assert await found(net, members, 300) == 300
        assert net.lost_ways == 0
        assert net.requests < 100 * 120


@pytest.mark.slow
@virtual
async def test_a_hundred_nodes_with_losses():
    async with network(100, acquaintances=0, loss=0.1) as (net, members):
        await joined(net, over=2.0, wait=120)
        assert await found(net, members, 200) == 200


@pytest.mark.slow
@pytest.mark.parametrize(("mapped", "most"), [(128, 4.0), (0, 7.5)])
@virtual
async def test_a_thousand_nodes(mapped, most):
    """Requests are counted over all pairs; those on the map cost a node none."""
    async with network(1000, near=mapped) as (net, members):
        asked = 0
        for asker, target in pairs(net, members, 500):
            before = net.requests
            assert await resolves(asker, target)
            asked += 0 if target.peer in asker.nearby() else net.requests - before
        assert asked / 500 <= most
        assert await exact(net, members, 50) >= 49
        assert net.lost_ways == 0


async def exact(net, members, count):
    """How many of so many lookups end with exactly the nearest."""
    right = 0
    for asker, target in pairs(net, members, count):
        near = await asker.dht.lookup(target.peer.node_id)
        truth = net.nearest(target.peer.node_id, K + 1)
        right += [c.peer for c in near][:K] == [p for p in truth if p != asker.peer][:K]
    return right


@pytest.mark.slow
@virtual
async def test_a_resolve_is_about_as_fast_as_the_target():
    async with network(200) as (net, members):
        ratios = []
        for asker, target in pairs(net, members, 60):
            begun = net.now
            assert await resolves(asker, target)
            ratios.append((net.now - begun) / (2 * net.distance(asker.peer, target.peer)))
        assert sorted(ratios)[30] <= 1.2


@virtual
async def test_an_address_is_enough():
    async with network(100) as (_net, members):
        asker, target = members[3], members[77]
        prefix = target.peer.address[1:]
        assert len(prefix) == PREFIX // 8
        locator = await asker.dht.locate(prefix, PREFIX)
        assert locator.key == target.peer


@virtual
async def test_nobody_is_found_where_nobody_is():
    async with network(100) as (net, members):
        assert await members[3].dht.locate(net.random.randbytes(20)) is None
        assert await members[3].dht.locate(net.random.randbytes(15), PREFIX) is None


@pytest.mark.slow
@virtual
async def test_what_is_near_is_found_without_asking():
    async with network(50) as (net, members):
        contact = next(iter(members[3].dht._table))
        before = net.requests
        assert (await members[3].dht.locate(contact.id)).key == contact.peer
        assert net.requests == before
        forced = members[3].dht.find_locator(contact.id, local=False)
        async with forced:
            assert (await forced.more()).signer == contact.peer
        assert net.requests > before


def record(member, name="name", body=b"body", kind=NAME, age=0.0):
    sequence = int((member.wall() - age) * 1000)
    return SignedRecord.sign(member.private, kind, sequence, 7200, name, body, bytes(64))


@virtual
async def test_names_are_stored_and_found():
    async with network(100) as (_net, members):
        said = record(members[5])
        stored = await members[5].dht.put(said)
        assert (stored.stored, stored.asked, stored.refused) == (K, K, {})
        assert await members[80].dht.get(NAME, members[5].peer, "name") == said
        assert await members[80].dht.get(NAME, members[5].peer, "other") is None
        assert await members[80].dht.get(NAME, members[6].peer, "name") is None
        assert await members[80].dht.get(200, members[5].peer, "name") is None


@virtual
async def test_the_newest_of_several_is_found_where_that_matters():
    async with network(100) as (_net, members):
        old, new = record(members[5], age=60.0), record(members[5], body=b"new")
        await members[5].dht.put(old)
        holders = [m for m in members if old.place in m.dht._storage._values]
        far = max(holders, key=lambda m: m.peer.node_id)
        await members[5].dht._publisher.store(Value.of(new), [Contact(far.peer)])
        assert await members[80].dht.get(NAME, members[5].peer, "name", thorough=True) == new


@pytest.mark.slow
@virtual
async def test_what_is_found_is_left_where_it_lacked():
    async with network(100) as (net, members):
        said = record(members[5])
        await members[5].dht.put(said)
        members[5].alive = False
        lacking = net.members[net.nearest(said.place, 1)[0]]
        lacking.dht._storage._drop(said.place)
        asker = next(
            m for m in members[6:] if m is not lacking and m.dht._table.contact(lacking.peer)
        )
        asker.place = lacking.place  # so that its answer comes first
        assert await asker.dht.get(NAME, members[5].peer, "name") is not None
        await asyncio.sleep(5)
        assert said.place in lacking.dht._storage._values


@virtual
async def test_a_store_says_how_many_keep_it():
    async with network(40) as (net, members):
        said = record(members[5])
        full, dead = net.nearest(said.place, 2)
        net.members[full].dht._storage.verdict = lambda value, wall: 3
        net.members[dead].alive = False
        stored = await members[5].dht.put(said)
        assert stored.stored == K
        assert stored.refused == {full: "no room"}


@virtual
async def test_a_store_that_all_refuse_is_no_success():
    async with network(20) as (_net, members):
        for member in members:
            member.dht._storage.verdict = lambda value, wall: 3
        stored = await members[5].dht.put(record(members[5]))
        assert not stored
        assert stored.stored == 0
        assert set(stored.refused.values()) == {"no room", "knows nearer nodes"}


@virtual
async def test_copies_do_not_all_sit_behind_one_hop():
    async with network(60) as (net, members):
        asker = members[5]
        said = record(asker)
        near = [peer for peer in net.nearest(said.place, 60) if peer != asker.peer]
        asker.groups = dict.fromkeys(near[:K], b"one hop")
        stored = await asker.dht.put(said)
        holders = [p for p in near if said.place in net.members[p].dht._storage._values]
        assert stored.stored == len(holders) > K
        assert sum(peer not in asker.groups for peer in holders) >= K - 2


@pytest.mark.slow
@virtual
async def test_values_are_published_again_and_again():
    async with network(30, acquaintances=0) as (_net, members):
        for member in members:
            member.start()
        await asyncio.sleep(30)
        target = members[7]
        for _ in range(4):
            await asyncio.sleep(1500)
            target.publish()  # a node signs anew before its locator expires
        place = target.peer.node_id
        for member in members:
            member.dht._storage._drop(place)
        await asyncio.sleep(1500)
        assert sum(place in member.dht._storage._values for member in members) >= K


@pytest.mark.slow
@virtual
async def test_values_of_the_dead_expire():
    async with network(30, acquaintances=0) as (net, members):
        await joined(net)
        members[7].alive = False
        assert await resolves(members[20], members[7])
        await asyncio.sleep(3700)
        assert not await resolves(members[20], members[7])
        for member in members:
            assert members[7].peer.node_id not in member.dht._storage._values


@pytest.mark.slow
@virtual
async def test_a_changed_locator_is_out_soon_but_not_too_often():
    async with network(20, acquaintances=0) as (_net, members):
        target = members[7]
        for member in members:
            member.dht.start()
        await asyncio.sleep(30)
        served = sum(member.dht.stats().stores_served for member in members)
        target.dht.publish(target.locator(age=1800))
        await asyncio.sleep(4)
        first = sum(member.dht.stats().stores_served for member in members) - served
        assert first == K
        for age in range(1740, 0, -60):
            latest = target.locator(age)
            target.dht.publish(latest)
            await asyncio.sleep(0.5)
        await asyncio.sleep(15)
        rest = sum(member.dht.stats().stores_served for member in members) - served - first
        assert K <= rest <= 3 * K
        holders = [m for m in members if target.peer.node_id in m.dht._storage._values]
        assert len(holders) >= K
        newest = [m.dht._storage._values[target.peer.node_id].sequence for m in holders]
        assert set(newest) == {latest.sequence}


@pytest.mark.slow
@pytest.mark.timeout(300)
@virtual
async def test_two_networks_that_become_one():
    net = FakeNet(seed=3)
    one, other = net.populate(200), net.populate(200, skip=200)
    for side in (one, other):
        net.settle(side)
        for member in side:
            member.island = side
            member.own_anchors = [m.peer for m in side[:8]]
    assert not await resolves(one[20], other[20])
    for member in net.members.values():
        member.island = None
        member.own_anchors = [m.peer for m in (*one[:4], *other[:4])]
    await joined(net, over=30.0, wait=90.0)
    asked = [(net.random.choice(one), net.random.choice(other)) for _ in range(150)]
    assert all([await resolves(a, b) and await resolves(b, a) for a, b in asked])
    await net.close()


@pytest.mark.slow
@virtual
async def test_new_anchors_are_noticed_without_being_told():
    async with network(30, acquaintances=0) as (net, members):
        await joined(net)
        before = members[5].dht.stats().joins
        net.anchors = [members[9].peer, *net.anchors]
        await asyncio.sleep(45)
        assert members[5].dht.stats().joins == before + 1
        await asyncio.sleep(120)
        assert members[5].dht.stats().joins == before + 1


@pytest.mark.slow
@virtual
async def test_joins_and_pings_go_on():
    async with network(30, acquaintances=0) as (net, members):
        await joined(net)
        before = net.requests
        await asyncio.sleep(7200)
        assert 3 <= members[5].dht.stats().joins <= 7
        hourly = (net.requests - before) / 30 / 2
        assert hourly < 200
        assert all(member.dht.stats().contacts >= LEAVES for member in members)


@pytest.mark.slow
@virtual
async def test_a_node_whose_contacts_died_finds_others():
    async with network(60, acquaintances=0) as (net, members):
        await joined(net, over=2.0)
        for member in members[30:]:
            member.alive = False
        await asyncio.sleep(120)
        assert await found(net, members[:30], 60) == 60
        dead = {member.peer for member in members[30:]}
        await asyncio.sleep(2400)
        for member in members[:30]:
            assert not dead & {contact.peer for contact in member.dht._table}


@pytest.mark.slow
@virtual
async def test_a_node_cut_off_keeps_its_contacts():
    async with network(40, acquaintances=0) as (net, members):
        await joined(net)
        alone = members[5]
        before = alone.dht.stats().contacts
        alone.island = "alone"
        await asyncio.sleep(3600)
        assert alone.dht.stats().contacts == before
        alone.island = None
        alone.publish()
        await asyncio.sleep(120)
        assert await resolves(members[30], alone)


@virtual
async def test_a_late_joiner_is_found_and_finds():
    async with network(60) as (net, members):
        late = net.add(*[m.private for m in FakeNet().populate(61)][60:])
        late.start()
        await asyncio.sleep(30)
        assert await resolves(members[20], late)
        assert await resolves(late, members[20])


@virtual
async def test_only_own_values_are_published():
    async with network(3) as (_net, members):
        with pytest.raises(UsageError, match="signed"):
            members[0].dht.publish(members[1].locator())
        for number in range(63):
            members[0].dht._edition.own(Value.of(record(members[0], str(number))))
        with pytest.raises(UsageError, match="at most 64"):
            await members[0].dht.put(record(members[0]))
        members[0].dht.publish(members[0].locator())


@virtual
async def test_targets_are_checked():
    async with network(3) as (_net, members):
        for target, bits in ((bytes(19), 160), (bytes(14), 120), (bytes(20), 159)):
            with pytest.raises(UsageError):
                members[0].dht.find_locator(target, bits)


@virtual
async def test_who_cannot_be_reached_by_others_is_doubted_too():
    async with network(20) as (_net, members):
        contact = next(iter(members[0].dht._table))
        members[0].dht.failed(contact.peer)
        assert contact.misses == 1


@virtual
async def test_a_ping_answered_with_noise_or_with_another_locator():
    async with network(20) as (net, members):
        caller, contact = members[0].dht._search.caller, next(iter(members[0].dht._table))
        liar = net.members[contact.peer]
        other = next(each for each in members if each is not liar)
        contact.locator = None
        liar.behaviour = lambda peer, body, early: other.locator().raw
        await caller.ping(contact)
        assert contact.locator is None
        liar.behaviour = lambda peer, body, early: b"noise"
        with pytest.raises(Malformed):
            await caller.ping(contact)
        assert contact.misses == 1
        liar.behaviour = None
        liar.dht._edition.own(Value.of(liar.locator()))
        await caller.ping(contact)
        assert contact.locator == liar.locator()
        assert contact.misses == 0


@virtual
async def test_a_publication_that_failed_is_repeated():
    async with network(20, acquaintances=0) as (net, members):
        alone = members[5]
        alone.island = "alone"
        for member in members:
            member.start()
        await asyncio.sleep(30)
        alone.island = None
        await asyncio.sleep(150)
        holders = [m for m in members if alone.peer.node_id in m.dht._storage._values]
        assert len(holders) >= K
        assert net.lost_ways == 0
