"""How much longer than the shortest ways are the routes taken, at first and after the handshake?"""

from testnet.sim import graphs, observe
from testnet.sim.measure import Measure, Row, Scale, mean, percentile
from testnet.sim.warming import large, warmed
from testnet.sim.world import Pair, World

TALK = 6
"""Seconds in which a pair talks before its route counts as the one after the handshake."""
FIRST, LATER = 1.3, 1.02


async def stretch(scale: Scale) -> list[Measure]:
    """Random pairs that are no neighbours: latency over that of the best way."""
    n = scale.size(1000, 60)
    async with large(graphs.clustered(n, scale.seed), scale) as world:
        await warmed(world)
        first = observe.FirstPaths(world)
        pairs = _strangers(world, scale.of(500, 60))
        for begin in range(0, len(pairs), 50):
            await _talk(world, pairs[begin : begin + 50])
        opened = [pair for pair in pairs if pair in first.found]
        at_first = [observe.stretch(world, first.way(pair)) for pair in opened]
        later = [observe.stretch(world, observe.active_way(world, pair)) for pair in pairs]
    known = [each for each in later if each is not None]
    detail = f"{len(at_first)} pairs, mean {mean([x for x in at_first if x]) or 0:.3f}"
    return [
        Measure(
            f"{n} nodes, first packet p95", percentile(at_first, 0.95), "×", FIRST, detail=detail
        ),
        Measure(
            f"{n} nodes, after the handshake",
            mean(known),
            "×",
            LATER,
            detail=f"{len(known)} of {len(pairs)} pairs, p95 {percentile(later, 0.95) or 0:.3f}",
        ),
    ]


def _strangers(world: World, count: int) -> list[Pair]:
    """Pairs without a session, which the DHT may have opened between others."""
    known = {pair for pair in world.pairs(4 * count, 2) if not observe.acquainted(world, pair)}
    return sorted(known)[:count]


async def _talk(world: World, pairs: list[Pair]) -> None:
    for _ in range(TALK):
        await world.ping(pairs, 5.0)
        await world.sleep(1.0)


ROWS = (Row("stretch", "how much longer routes are than the shortest", stretch),)
