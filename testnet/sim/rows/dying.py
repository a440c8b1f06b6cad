"""One node in twenty dies at once, without a word."""

from testnet.sim import faults, graphs
from testnet.sim.measure import Measure, Row, Scale, share
from testnet.sim.warming import large, warmed

AT_ONCE, PATIENCE = 2.0, 1.0
"""Seconds that a pair has that asks right after the deaths, and that one ping may take."""


async def die(scale: Scale) -> list[Measure]:
    """Pairs that talked before, and that the graph still connects: at once, and after 30 s."""
    n = scale.size(1000, 60)
    async with large(graphs.clustered(n, scale.seed), scale) as world:
        await warmed(world)
        pairs = world.pairs(scale.of(500, 100), 2)
        await world.ping(pairs)
        dead = await faults.kill_share(world, 0.05)
        alive = [pair for pair in pairs if faults.connected(world, *pair)]
        now = share(list((await world.answers(alive, AT_ONCE, PATIENCE)).values()))
        await world.sleep(30.0)
        later = share(list((await world.answers(alive, AT_ONCE, PATIENCE)).values()))
    detail = f"{len(dead)} of {n} died, {len(alive)} pairs are still connected"
    return [
        Measure(f"{n} nodes, 5 % die, pairs at once", now, "%", 90.0, False, detail),
        Measure(f"{n} nodes, 5 % die, pairs after 30 s", later, "%", 100.0, False, detail),
    ]


ROWS = (Row("die", "5 % of nodes die at once", die),)
