"""What a node keeps and sends at rest, as networks grow."""

from functools import partial

from testnet.sim import graphs, observe
from testnet.sim.fast import fast_crypto
from testnet.sim.measure import Measure, Row, Scale, mean
from testnet.sim.warming import warmed
from testnet.sim.world import World

SAMPLED = 10
"""Nodes whose memory is counted."""
REAL_CRYPTO = 1000
"""Nodes up to which cryptography is real whatever is asked for."""


async def scale_up(n: int, minutes: float, scale: Scale) -> list[Measure]:
    """Bytes of objects, and bytes sent, of the mean node after the network has settled."""
    minutes = min(minutes, 1.0) if scale.small else minutes
    with fast_crypto(n > REAL_CRYPTO):
        async with World(graphs.clustered(n, scale.seed), scale.seed) as world:
            await warmed(world, float(scale.of(120, 60)))
            before = sum(world.traffic().values())
            await world.sleep(60 * minutes)
            sent = (sum(world.traffic().values()) - before) / n / minutes * 60
            sample = world.random.sample(sorted(world.nodes), SAMPLED)
            kept = mean([observe.memory(world, number) / 1000 for number in sample])
            known = observe.map_share(world)
    stand_in = ", cryptography played" if n > REAL_CRYPTO else ""
    detail = f"over {minutes:.0f} min; a map holds {100 * known:.0f} % of all{stand_in}"
    return [
        Measure(f"{n} nodes, state", kept, "kB", detail=f"Python objects of {SAMPLED} nodes"),
        Measure(f"{n} nodes, sent in an hour", sent / 1000, "kB", detail=detail),
    ]


ROWS = (
    Row("scale.50", "state and traffic of 50 nodes", partial(scale_up, 50, 60.0)),
    Row("scale.200", "state and traffic of 200 nodes", partial(scale_up, 200, 60.0), small=False),
    Row("scale.1000", "state and traffic of 1000", partial(scale_up, 1000, 10.0), small=False),
    Row("scale.5000", "state and traffic of 5000", partial(scale_up, 5000, 2.0), small=False),
)
