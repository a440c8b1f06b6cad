"""Attackers of the simulator do harm where they should, and nowhere else."""

import pytest

from rovy.wire.flood import Summary
from testnet.sim import graphs, hostile, observe
from testnet.sim.hostile import CostLiar, Flooder, Swallow, Tamperer
from testnet.sim.lookups import look_up
from testnet.sim.stream import Stream, send_back
from testnet.sim.world import World
from tests.sim.support import virtual


@pytest.mark.slow
@virtual
async def test_who_swallows_transit_keeps_its_peerings_and_loses_the_traffic():
    async with World(graphs.square(), set_up=send_back) as world:
        world.link(0, 1, latency=0.008)
        await world.start_all()
        await world.sleep(3.0)
        async with Stream(world, 0, 3, 0.05) as stream:
            await world.sleep(8.0)
            assert observe.active_way(world, (0, 3)) == [0, 1, 3]
            thief = Swallow(world, 1)
            thief.install()
            await world.sleep(3.0)
            assert thief.swallowed > 0
            assert observe.active_way(world, (0, 3)) == [0, 2, 3]
            assert 0.0 < stream.outage(settle=0.5) <= 0.5
            assert set((await world.ping([(0, 1), (1, 3)], 1.0)).values()) != {None}
            thief.remove()
            before = thief.swallowed
            await world.sleep(2.0)
            assert thief.swallowed == before


@virtual
async def test_one_who_lies_about_costs_cannot_make_its_links_cheap():
    async with World(graphs.square()) as world:
        for end in (0, 3):
            world.link(1, end, latency=0.03)
        await world.start_all()
        CostLiar(world, 1).install()
        await world.sleep(12.0)
        records = world.services(0).mapper.map.held
        told = {link.cost for link in records[world.peer(1).short].record.links}
        assert told == {0}
        await world.ping([(0, 3)])
        assert observe.active_way(world, (0, 3)) == [0, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("alter", [True, False])
@virtual
async def test_altered_and_repeated_messages_change_no_map(alter):
    async with World(graphs.ring(5)) as world:
        await world.start_all()
        attacker = Tamperer(world, 1, alter=alter, every=0.05, delay=1.0)
        attacker.install()
        await world.sleep(3.0)
        world.cut(3, 4)
        await world.sleep(12.0)
        assert attacker.sent > 10
        assert observe.map_share(world) == 1.0
        assert not world.faults
        links = {len(world.services(number).mapper.map.links) for number in range(5)}
        assert links == {4}
        attacker.remove()


@pytest.mark.slow
@virtual
async def test_a_flood_of_one_message_leaves_the_neighbours_working():
    async with World(graphs.line(4)) as world:
        await world.start_all()
        await world.sleep(3.0)
        flooder = Flooder(world, 1, Summary(0, 0, bytes(16)).emit, rate=200.0)
        flooder.install()
        await world.sleep(5.0)
        assert flooder.sent > 900
        assert (await world.ping([(2, 3), (3, 0)], 1.0)) == {
            (2, 3): pytest.approx(0.02),
            (3, 0): pytest.approx(0.06),
        }
        flooder.remove()
        sent = flooder.sent
        await world.sleep(1.0)
        assert flooder.sent == sent


@pytest.mark.slow
@virtual
async def test_liars_in_the_dht_are_asked_and_not_believed():
    async with World(graphs.clustered(20)) as world:
        await world.start_all()
        place = world.peer(7).node_id
        numbers = hostile.every_fifth(world, place, {7})
        liars = [hostile.LyingDht(world, number, place, numbers) for number in numbers]
        for liar in liars:
            liar.install()
        await world.sleep(40.0)
        askers = [number for number in world.nodes if number not in (7, *numbers)]
        found = await look_up(world, [(number, 7) for number in askers])
        assert sum(liar.asked for liar in liars) > 0
        assert all(each is None or each.right for each in found.values())
        assert sum(each is not None for each in found.values()) >= 0.9 * len(found)
        for liar in liars:
            liar.remove()


@virtual
async def test_every_fifth_begins_with_the_nearest():
    async with World(graphs.nothing(11)) as world:
        await world.start_all()
        place = world.peer(3).node_id
        chosen = hostile.every_fifth(world, place, ())
        assert chosen[0] == 3
        assert len(chosen) == 3
        assert 3 not in hostile.every_fifth(world, place, {3})
