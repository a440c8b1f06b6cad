"""Fifty nodes move about: how many pings arrive at the end of each step?"""

from functools import partial
from random import Random

from testnet.sim import graphs
from testnet.sim.measure import Measure, Row, Scale, share
from testnet.sim.mobility import Field
from testnet.sim.world import World

PAIRS = 200
PATIENCE = 2.0
"""Seconds a ping may take."""
SETTLE = 10.0


async def move(metres: float, every: float, goal: float, scale: Scale) -> list[Measure]:
    """Steps of so many metres; pings between connected pairs that are no neighbours."""
    n, steps = scale.size(50, 50), scale.of(30, 3)
    graph = graphs.nothing(n)
    found: list[float | None] = []
    async with World(graph, scale.seed) as world:
        field = Field(world, Random(scale.seed))
        field.scatter()
        await world.start_all()
        await world.sleep(SETTLE)
        for _ in range(steps):
            field.step(metres)
            await world.sleep(every - PATIENCE)
            asked = world.now()
            found += (await world.ping(world.pairs(PAIRS, 2), PATIENCE)).values()
            await world.sleep(max(0.0, asked + PATIENCE - world.now()))
    name = f"{n} nodes, {metres:.0f} m every {every:.0f} s, pings answered"
    detail = f"{len(found)} pings in {steps} steps"
    return [Measure(name, share(found), "%", goal, at_most=False, detail=detail)]


ROWS = (
    Row("move.far", "50 nodes move 60 m every 30 s", partial(move, 60.0, 30.0, 99.0)),
    Row("move.often", "50 nodes move 10 m every 10 s", partial(move, 10.0, 10.0, 95.0)),
)
