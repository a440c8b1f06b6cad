"""Does every node find every other by its name, with how many questions, and how soon?"""

from statistics import median

from testnet.sim import graphs, oracle
from testnet.sim.lookups import Found, look_up
from testnet.sim.measure import Measure, Row, Scale, mean, share
from testnet.sim.warming import large, warmed
from testnet.sim.world import Pair, World

FOUND, QUESTIONS, TIME = 99.9, 4.0, 1.2


async def resolve(scale: Scale) -> list[Measure]:
    """Lookups in the DHT between random pairs, a few at a time."""
    n = scale.size(1000, 60)
    async with large(graphs.clustered(n, scale.seed), scale) as world:
        await warmed(world)
        found: dict[Pair, Found | None] = {}
        pairs = world.pairs(scale.of(2000, 200), 2)
        for begin in range(0, len(pairs), 50):
            found |= await look_up(world, pairs[begin : begin + 50])
        resolved = share(list((await world.resolve(pairs)).values()))
        known = {pair: each for pair, each in found.items() if each}
        ratios = [each.took / _rtt(world, pair) for pair, each in known.items()]
    detail = f"{len(known)} of {len(pairs)} by lookup, {resolved:.2f} % resolve"
    questions = mean([each.questions for each in known.values()])
    return [
        Measure(f"{n} nodes, found", share(list(found.values())), "%", FOUND, False, detail),
        Measure(f"{n} nodes, questions, mean", questions, "", QUESTIONS),
        Measure(f"{n} nodes, time / RTT, median", median(ratios) if ratios else None, "×", TIME),
    ]


def _rtt(world: World, pair: Pair) -> float:
    return 2 * oracle.latencies(world.alive(), pair[0])[pair[1]]


ROWS = (Row("resolve", "nodes find each other by name", resolve),)
