"""Bringing a network to where it has found itself, before something is measured."""

from rovy.node import NodeConfig
from testnet.sim.graphs import Graph
from testnet.sim.measure import Scale
from testnet.sim.world import World

SPREAD = 10.0
"""Seconds over which the nodes of a large network start."""
SETTLE = 60.0
"""Seconds after the last start in which maps, anchors and the DHT fill."""


def large(graph: Graph, scale: Scale) -> World:
    """A world most of whose nodes lie beyond each other's maps."""
    config = NodeConfig(map_size=scale.map_size)
    return World(graph, scale.seed, config=lambda number: config)


async def warmed(world: World, settle: float = SETTLE) -> None:
    """Start all nodes that do not run, a large network's one after the other, and wait."""
    n = len(world.graph)
    await world.start_all(SPREAD / n if n > 200 else 0.0)
    await world.sleep(settle)
