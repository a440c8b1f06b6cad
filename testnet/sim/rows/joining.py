"""Two networks that never heard of each other are joined by one link."""

from testnet.sim import graphs
from testnet.sim.measure import Measure, Row, Scale, share
from testnet.sim.warming import large, warmed
from testnet.sim.world import Pair, World

ROUND = 60.0
"""Seconds of one round: anchors spread within seconds, lookups follow within 30 s."""


async def join(scale: Scale) -> list[Measure]:
    """Pairs of one node of each network, both ways, after one round of lookups."""
    n = scale.size(200, 25)
    parts = [graphs.clustered(n, scale.seed + number) for number in (0, 1)]
    graph, (a, b) = graphs.side_by_side(*parts)
    async with large(graph, scale) as world:
        await warmed(world)
        pairs = _across(world, n, scale.of(400, 100))
        before = share(list((await world.resolve(pairs[:20], 3.0)).values()))
        world.link(a, b, latency=0.02)
        await world.sleep(ROUND)
        found = list((await world.resolve(pairs)).values())
    detail = f"{len(pairs)} pairs; before the link {before:.0f} %"
    return [
        Measure(
            f"2 × {n} nodes joined, pairs that resolve", share(found), "%", 100.0, False, detail
        )
    ]


def _across(world: World, n: int, count: int) -> list[Pair]:
    random = world.random
    pairs = [(random.randrange(n), n + random.randrange(n)) for _ in range(count)]
    return list(dict.fromkeys(p if i % 2 else p[::-1] for i, p in enumerate(pairs)))


ROWS = (Row("join", "two networks are joined by one link", join),)
