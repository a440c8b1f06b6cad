"""Nodes that are found nearby: met where they are said to be, and peers while they are wanted."""

import asyncio

import pytest

from rovy.errors import Unreachable, UsageError
from rovy.node import NodeConfig
from tests.sim.support import ELSEWHERE, nodes, pair, virtual


def slots(node):
    return {each.peer for each in node.sessions() if each.slot and each.their_slot}


@virtual
async def test_met_is_no_peer_and_wanted_is():
    async with nodes(2) as (lab, a, b):
        await a.neighbours.meet(b.peer_id, [lab.endpoint(b)], 3.0)
        link = a.neighbours.links()[b.peer_id]
        assert (link.peering, link.ours) == (False, False)
        a.neighbours.want(b.peer_id)
        await asyncio.sleep(1)
        link = a.neighbours.links()[b.peer_id]
        assert (link.peering, link.ours, link.rtt) == (True, True, pytest.approx(0.04, rel=0.2))
        other = b.neighbours.links()[a.peer_id]
        assert (other.peering, other.ours) == (True, False)
        await asyncio.sleep(120)
        assert slots(a) == {b.peer_id}
        a.neighbours.release(b.peer_id)
        await asyncio.sleep(1)
        assert slots(a) == slots(b) == set()


@virtual
async def test_wanted_first_and_met_then():
    async with nodes(2) as (lab, a, b):
        a.neighbours.want(b.peer_id)
        await asyncio.sleep(5)
        assert a.sessions() == []
        await a.neighbours.meet(b.peer_id, [lab.endpoint(b)], 3.0)
        await asyncio.sleep(1)
        assert (slots(a), slots(b)) == ({b.peer_id}, {a.peer_id})


@virtual
async def test_who_is_not_there_is_not_met():
    async with nodes(2) as (_, a, b):
        with pytest.raises(Unreachable):
            await a.neighbours.meet(b.peer_id, [ELSEWHERE], 3.0)
        with pytest.raises(UsageError, match="no open socket"):
            await a.neighbours.meet(b.peer_id, [], 3.0)
        assert a.neighbours.links() == {}


@virtual
async def test_what_was_set_up_is_not_released():
    async with pair(kept=True) as (_, a, b):
        a.neighbours.want(b.peer_id)
        a.neighbours.release(b.peer_id)
        b.neighbours.release(a.peer_id)
        await asyncio.sleep(5)
        assert slots(a) == {b.peer_id}


@virtual
async def test_one_that_takes_no_peers_is_met_all_the_same():
    async with nodes(1) as (lab, a):
        b = await lab.start(1, config=NodeConfig(accept_peers=False))
        a.neighbours.want(b.peer_id)
        await a.neighbours.meet(b.peer_id, [lab.endpoint(b)], 3.0)
        await asyncio.sleep(5)
        assert not a.neighbours.links()[b.peer_id].peering
