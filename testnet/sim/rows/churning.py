"""Nodes die without a word and come back, for half an hour and for three hours."""

from functools import partial

from testnet.sim import faults, graphs
from testnet.sim.measure import Measure, Row, Scale, share
from testnet.sim.warming import warmed
from testnet.sim.world import Pair, World

AWAY = 30.0
"""Seconds from a death to the return, with the same key."""
ASK_EVERY = 30.0
PAIRS = 40
CALM = 6.0
"""Seconds without a death before pairs are asked: silence at rest is noticed within five."""


class Churn:
    """Deaths and returns, and pings meanwhile."""

    def __init__(self, world: World, every: float) -> None:
        self._world, self._every = world, every
        self._due: list[tuple[float, int]] = []
        self.calm: list[float | None] = []
        """RTTs of pings some seconds after the last death; None: unanswered."""
        self.rough: list[float | None] = []
        """Likewise of those right after one."""
        self.deaths = 0

    async def run(self, seconds: float) -> None:
        """Have nodes die and return for so long."""
        world, end = self._world, self._world.now() + seconds
        asked = world.now()
        while world.now() < end:
            await self._return()
            await self._die()
            ask = world.now() >= asked + ASK_EVERY
            if ask:
                asked = world.now()
                self.rough += await self._ask()
            await world.sleep(min(CALM, self._every))
            if ask:
                self.calm += await self._ask()
            await world.sleep(max(0.0, self._every - CALM))

    async def _die(self) -> None:
        victim = self._world.random.choice(sorted(self._world.nodes))
        await self._world.kill(victim)
        self._due.append((self._world.now() + AWAY, victim))
        self.deaths += 1

    async def _return(self) -> None:
        while self._due and self._due[0][0] <= self._world.now():
            await self._world.start(self._due.pop(0)[1])

    async def _ask(self) -> list[float | None]:
        pairs: list[Pair] = self._world.pairs(PAIRS, 2)
        pinged = await self._world.ping(pairs, 2.0)
        return [rtt for pair, rtt in pinged.items() if faults.connected(self._world, *pair)]


async def churn(n: int, small: int, every: float, minutes: float, scale: Scale) -> list[Measure]:
    """Pings between connected pairs, and what the network's upkeep costs meanwhile."""
    n = scale.size(n, small)
    minutes = 2.0 if scale.small else minutes
    async with World(graphs.clustered(n, scale.seed), scale.seed) as world:
        await warmed(world)
        state, before = Churn(world, every), sum(world.traffic().values())
        await state.run(60 * minutes)
        rate = (sum(world.traffic().values()) - before) / n / 60 / minutes
        problems = len(world.faults)
    name = f"{n} nodes, {minutes:.0f} min, a death in {every:.0f} s"
    detail = f"{state.deaths} deaths; {share(state.rough):.1f} % right after one"
    return [
        Measure(f"{name}, pings", share(state.calm), "%", detail=detail),
        Measure(f"{name}, sent", rate, "B/s a node"),
        Measure(f"{name}, exceptions", float(problems), "", 0.0),
    ]


ROWS = (
    Row("churn.dense", "200 nodes, a death in 10 s", partial(churn, 200, 30, 10.0, 30.0)),
    Row("churn.long", "50 nodes for 3 hours", partial(churn, 50, 50, 60.0, 180.0), small=False),
)
