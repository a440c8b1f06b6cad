"""Locators: signed anew when what they say is wrong, and not for every other round trip."""

import asyncio

import networkx as nx
import pytest

from rovy.node.locating import choose
from rovy.routing.locator import LocatorLink
from tests.sim.overlay import now, overlay
from tests.sim.support import virtual


def locator(net, number):
    return net.services(number).beyond.locating.locator


@pytest.mark.slow
@virtual
async def test_a_locator_stays_while_it_is_right_and_goes_with_a_link():
    async with overlay(nx.cycle_graph(6), jitter=0.02) as net:
        await net.settled()
        await asyncio.sleep(60.0)
        before = {number: locator(net, number).sequence for number in net.nodes}
        await asyncio.sleep(240.0)
        assert {number: locator(net, number).sequence for number in net.nodes} == before
        net.cut(0, 1)
        cut_at = now()
        while any(locator(net, n).sequence == before[n] for n in (0, 1)):
            assert now() < cut_at + 20.0
            await asyncio.sleep(0.5)
        peers = {number: net.nodes[number].peer_id for number in (0, 1)}
        for number, other in ((0, 1), (1, 0)):
            said = locator(net, number)
            assert peers[other].short not in {link.node for link in said.links}
            hops = {frozenset((near, far)) for near, far, _ in said.hops}
            assert frozenset(peer.short for peer in peers.values()) not in hops
        info = await net.nodes[3].lookup(peers[0], timeout=10.0)
        assert info.locator.peer == peers[0]


def test_anchors_are_chosen_apart():
    def link(node, cost):
        return LocatorLink(bytes([node]) * 8, node, node, cost)

    shared = (link(1, 100), link(9, 100))
    alike, apart = (link(2, 100), link(9, 100)), (link(3, 104), link(8, 104))
    assert choose([alike, apart, shared]) == [shared, apart, alike]
    assert choose([]) == []
    assert choose([(), shared]) == [(), shared]
