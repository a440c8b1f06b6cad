"""A link or a node on the way is gone without a word, and there is a second way of 50 ms RTT.

A TCP connection outlives seconds without an answer; what is measured is for how long what is sent
gets none.
"""

from random import Random

from rovy.address.path import Routed
from testnet.sim import graphs
from testnet.sim.measure import Measure, Row, Scale
from testnet.sim.stream import Stream, send_back
from testnet.sim.world import World

LATENCY = 0.0125
"""Seconds a link; two of them there and back are 50 ms."""
GOAL = 0.2
CASES = ("near link", "far link", "node")


async def cut(scale: Scale) -> list[Measure]:
    """The worst outage of several cuts at different moments."""
    seeds = range(scale.seed, scale.seed + scale.of(8, 2))
    measures = []
    for case in CASES:
        outages = [await _outage(case, seed) for seed in seeds]
        detail = f"worst of {len(outages)}, best {min(outages):.3f} s"
        name = f"{case} cut, longest time without traffic"
        measures.append(Measure(name, max(outages), "s", GOAL, detail=detail))
    return measures


async def _outage(case: str, seed: int) -> float:
    async with World(graphs.square(LATENCY), seed, set_up=send_back) as world:
        await world.start_all()
        await world.sleep(3.0)
        async with Stream(world, 0, 3) as stream:
            await world.sleep(7.0 + Random(seed).random())
            via = _inner_node(world)
            if case == "node":
                await world.kill(via)
            else:
                world.cut(*((0, via) if case == "near link" else (via, 3)))
            await world.sleep(6.0)
            return stream.outage()


def _inner_node(world: World) -> int:
    """The node between 0 and 3 that the traffic takes."""
    session = world.services(0).engine.sessions.with_peer(world.peer(3))
    path = session.path if session else None
    way = world.follow(0, path.label) if isinstance(path, Routed) else None
    if way is None:
        raise RuntimeError("the traffic takes no route at all")
    return way[1]


ROWS = (Row("cut", "a way is cut, another is there", cut),)
