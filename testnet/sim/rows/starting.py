"""Fifty nodes start at once, as a line, a tree and a grid: how soon does everyone reach all?"""

from functools import partial

from testnet.sim import graphs
from testnet.sim.graphs import Graph
from testnet.sim.measure import Measure, Row, Scale, percentile, share
from testnet.sim.world import World

LIMIT = 30.0
PAIRS = 200
GOAL = 5.0
"""Seconds after the last start until 99 % of pairs answer."""


def graph(shape: str, n: int, seed: int) -> Graph:
    """Links of 10 ms."""
    if shape == "line":
        return graphs.line(n)
    return graphs.random_tree(n, seed) if shape == "tree" else graphs.grid(n)


async def start(shape: str, scale: Scale) -> list[Measure]:
    """Ping random pairs from the last start on until they answer."""
    n = scale.size(50, 50)
    async with World(graph(shape, n, scale.seed), scale.seed) as world:
        await world.start_all()
        took = list((await world.answers(world.pairs(PAIRS), LIMIT)).values())
    ninety_nine = percentile(took, 0.99)
    detail = f"{share(took):.1f} % of {len(took)} pairs within {LIMIT:.0f} s"
    return [Measure(f"{shape} of {n}, 99 % reachable", ninety_nine, "s", GOAL, detail=detail)]


ROWS = tuple(
    Row(f"start.{shape}", f"50 nodes start as a {shape}", partial(start, shape))
    for shape in ("line", "tree", "grid")
)
