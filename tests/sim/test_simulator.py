"""The simulator itself: that one seed is one run, and that worlds do what their scripts say."""

import os
import subprocess
import sys

import pytest

from rovy.address.keys import PrivateKey
from rovy.address.multiaddr import Endpoint
from rovy.errors import Malformed
from rovy.io.virtual import run
from rovy.node import Node
from rovy.noise import xeddsa
from rovy.noise.handshake import NO_PSK, Initiator
from rovy.session import guard
from testnet.sim import faults, graphs, observe
from testnet.sim.fast import PlayedInitiator, PlayedResponder, fast_crypto
from testnet.sim.faults import At, Cut, Flap, Kill, Link, Lossy, Partition, Slow, Start, play
from testnet.sim.keys import key
from testnet.sim.memo import shared_results
from testnet.sim.mobility import Field
from testnet.sim.stream import Stream, send_back
from testnet.sim.world import PORT, World, address, url
from tests.sim.support import virtual

SCENARIO = """
from tests.sim.test_simulator import scenario
print(scenario(1))
"""


def scenario(seed):
    """Losses, a cut, a death, a return and pings; what tells two runs apart."""

    async def main():
        async with World(graphs.clustered(12, seed=3), seed) as world:
            for a, b in sorted(world.graph.edges):
                world.link(a, b, loss=0.02, jitter=0.005)
            await world.start_all()
            a, b = sorted(world.graph.edges)[0]
            script = [At(4.0, Cut(a, b)), At(6.0, Kill(5)), At(8.0, Link(a, b)), At(9.0, Start(5))]
            await play(world, script)
            await world.ping(world.pairs(10), 2.0)
            await world.sleep(3.0)
            return world.net.trace_hash(), world.net.counts["sent"]

    return run(main())


@pytest.mark.slow
def test_one_seed_is_one_run():
    first = scenario(1)
    assert first == scenario(1)
    assert first != scenario(2)
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", SCENARIO], env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == str(first), done.stderr


@virtual
async def test_nodes_are_told_only_of_their_neighbours_and_find_everyone():
    async with World(graphs.line(4)) as world:
        await world.start_all()
        assert [len(world.services(n).peerings.kept) for n in range(4)] == [0, 1, 1, 1]
        await world.sleep(3.0)
        pinged = await world.ping([(0, 3), (3, 0)])
        assert pinged == {(0, 3): pytest.approx(0.06), (3, 0): pytest.approx(0.06)}
        assert observe.map_share(world) == 1.0
        assert observe.active_way(world, (0, 3)) == [0, 1, 2, 3]
        assert observe.stretch(world, [0, 1, 2, 3]) == 1.0
        assert observe.stretch(world, [0, 3]) is None
        assert not world.faults


@virtual
async def test_first_paths_are_seen():
    async with World(graphs.line(3)) as world:
        await world.start_all()
        first = observe.FirstPaths(world)
        await world.sleep(3.0)
        await world.ping([(0, 2)])
        assert observe.acquainted(world, (0, 2))
        opened = [first.way((0, 2)), first.way((2, 0))]
        assert [0, 1, 2] in opened or [2, 1, 0] in opened
        assert first.way((1, 1)) is None


@virtual
async def test_what_is_killed_is_gone_and_what_starts_again_is_back():
    async with World(graphs.line(3)) as world:
        await world.start_all()
        await world.sleep(3.0)
        await world.kill(2)
        assert world.pairs(10) == [pair for pair in world.pairs(10) if 2 not in pair]
        assert not faults.connected(world, 0, 2)
        await world.start(2)
        found = await world.answers([(0, 2)], 15.0)
        assert found[0, 2] is not None
        await world.stop(1)
        assert (await world.ping([(0, 2)], 2.0))[0, 2] is None


@virtual
async def test_scripts_change_links_at_their_times():
    async with World(graphs.ring(4)) as world:
        began = world.now()
        seen = []

        class Look:
            async def happen(self, world):
                quality = world.quality(0, 1)
                seen.append((world.now() - began, quality.up, quality.latency, quality.loss))

        script = [
            At(1.0, Slow(0, 1, 3.0)),
            At(2.0, Lossy(0, 1, 0.5)),
            At(2.5, Look()),
            At(3.0, Flap(0, 1, times=2, down=1.0, up=1.0)),
            At(3.5, Look()),
            At(4.5, Look()),
            At(5.5, Look()),
        ]
        await play(world, script)
        assert world.now() == pytest.approx(began + 7.0)
        assert seen == [
            (2.5, True, pytest.approx(0.03), 0.5),
            (3.5, False, pytest.approx(0.03), 0.5),
            (4.5, True, pytest.approx(0.03), 0.5),
            (5.5, False, pytest.approx(0.03), 0.5),
        ]


@virtual
async def test_partitions_part_nodes_for_a_while():
    async with World(graphs.line(2)) as world:
        await world.start_all()
        await world.sleep(2.0)
        world.spawn(Partition(((0,), (1,)), 3.0).happen(world))
        await world.sleep(0.1)
        assert (await world.ping([(0, 1)], 1.0))[0, 1] is None
        assert world.net.counts["partition"] > 0
        await world.sleep(3.0)
        assert (await world.answers([(0, 1)], 5.0))[0, 1] is not None


@virtual
async def test_a_share_dies():
    async with World(graphs.grid(20)) as world:
        await world.start_all()
        dead = await faults.kill_share(world, 0.2)
        assert len(dead) == 4
        assert set(world.nodes) == set(range(20)) - set(dead)


@pytest.mark.parametrize("kind", ["full cone", "restricted cone", "port restricted", "symmetric"])
@virtual
async def test_a_node_behind_a_nat_keeps_its_peer_when_the_nat_restarts(kind):
    async with World(graphs.nothing(1)) as world:
        await world.start(0)
        nat = world.net.nat("198.51.100.1", kind, timeout=30.0)
        world.net.link(nat.address, address(0), latency=0.01)
        inner = world.net.host("10.0.0.2", behind=nat)
        async with Node(key(1), underlay=inner, wall=world.now) as node:
            node.keep(url(0))
            await world.sleep(120.0)
            assert node.stats().peerings == 1
            nat.rebind()
            await world.sleep(10.0)
            assert (await node.ping(world.peer(0).path)).rtt == pytest.approx(0.02)
            assert (await world.nodes[0].ping(key(1).peer_id.path)).rtt == pytest.approx(0.02)


@virtual
async def test_a_node_takes_its_peerings_to_another_address():
    async with World(graphs.line(2)) as world:
        await world.start_all()
        await world.sleep(2.0)
        world.net.link("198.19.255.1", address(1), latency=0.01)
        world.net.readdress(world.hosts[0], address(0), "198.19.255.1")
        await world.sleep(2.0)
        assert (await world.ping([(0, 1), (1, 0)], 1.0)) == {
            (0, 1): pytest.approx(0.02),
            (1, 0): pytest.approx(0.02),
        }


@virtual
async def test_who_comes_near_becomes_a_neighbour():
    async with World(graphs.nothing(2)) as world:
        field = Field(world, world.random, side=100.0)
        await world.start_all()
        field.scatter()
        assert world.graph.has_edge(0, 1)
        await world.sleep(3.0)
        assert (await world.ping([(0, 1)], 1.0))[0, 1] == pytest.approx(0.002, rel=0.1)
        for _ in range(20):
            field.step(80.0)
        assert world.graph.has_edge(0, 1)


@virtual
async def test_a_stream_knows_how_long_nothing_arrived():
    async with World(graphs.line(2), set_up=send_back) as world:
        await world.start_all()
        await world.sleep(2.0)
        async with Stream(world, 0, 1) as stream:
            await world.sleep(1.0)
            world.cut(0, 1)
            await world.sleep(0.5)
            world.link(0, 1, latency=0.01)
            await world.sleep(4.0)
            assert stream.outage() == pytest.approx(0.5, abs=0.05)


# What is shared and what is played


def test_a_signature_is_verified_once_and_a_bad_one_stays_bad():
    signed = xeddsa.sign(key(0), b"d", b"message", bytes(64))
    with shared_results() as verified:
        for _ in range(3):
            xeddsa.verify(key(0).peer_id.key, b"d", b"message", signed)
            with pytest.raises(Malformed):
                xeddsa.verify(key(0).peer_id.key, b"d", b"massage", signed)
            with pytest.raises(Malformed):
                xeddsa.verify(key(0).peer_id.key, b"", b"dmessage", signed)
        assert (verified.misses, verified.hits) == (3, 6)
    assert xeddsa.verify.__module__ == "rovy.noise.xeddsa"


@virtual
async def test_played_cryptography_carries_a_network():
    with fast_crypto():
        assert guard.Responder is PlayedResponder
        async with World(graphs.line(4)) as world:
            await world.start_all()
            await world.sleep(3.0)
            assert (await world.ping([(0, 3)]))[0, 3] == pytest.approx(0.06)
            assert not world.problems()
    assert guard.Responder is not PlayedResponder


def hello(initiator, sender: PrivateKey, to: PrivateKey, psk=NO_PSK):
    return initiator(sender, to.peer_id, psk, b"\x11" * 32).write(b"payload")


def test_played_handshakes_refuse_what_does_not_fit():
    message = hello(PlayedInitiator, key(0), key(1))
    assert PlayedResponder(key(1), message, NO_PSK, lambda: b"").peer_key == key(0).peer_id.key
    assert len(message) == len(hello(Initiator, key(0), key(1)))
    for wrong in (
        lambda: PlayedResponder(key(2), message, NO_PSK, lambda: b""),
        lambda: PlayedResponder(key(1), message, b"\x01" * 32, lambda: b""),
        lambda: PlayedResponder(key(1), hello(Initiator, key(0), key(1)), NO_PSK, lambda: b""),
    ):
        with pytest.raises(Malformed):
            wrong()


def test_worlds_use_addresses_of_their_own():
    assert address(0) == "198.18.0.0"
    assert address(70000) == "198.19.17.112"
    assert Endpoint(address(70000), PORT).host == address(70000)
