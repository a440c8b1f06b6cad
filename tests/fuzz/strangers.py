"""A network under fire of strangers: forged, recorded and damaged datagrams for whole nodes."""

import asyncio
from random import Random

from rovy.io.virtual import run as run_virtually
from tests.fuzz.audit import MEGABYTE, Meter, promise
from tests.fuzz.inputs import GOLDEN_HELLOS, mutated, stray, with_mac1
from tests.fuzz.world import World

GROWTH = 2 * MEGABYTE
"""Of three nodes: 4096 limits a node for sources are nearly all of it."""
PAUSES = (0.0, 0.0, 0.001, 0.03, 0.3, 2.0, 20.0)


def run(random: Random, count: int, meter: Meter) -> None:
    """One round."""
    run_virtually(_round(random, count, meter))


async def _round(random: Random, count: int, meter: Meter) -> None:
    async with World(random) as world:
        meter.start()
        try:
            while world.fed < count:
                _volley(world, random)
                world.checked()
                await asyncio.sleep(random.choice(PAUSES))
            await asyncio.sleep(5.0)
            await world.works()
        except Exception as error:
            error.add_note("last datagrams:\n" + "\n".join(world.last))
            raise
        meter.stop(GROWTH)


def _volley(world: World, random: Random) -> None:
    """No time passes meanwhile, so nothing may change but counters."""
    corpus, before = world.corpus(), world.picture()
    for _ in range(random.choice((1, 5, 30, 100))):
        node = random.choice((world.bob, world.bob, world.bob, world.alice, world.carol))
        source = world.elsewhere()
        if random.random() < 0.05:
            parts = [stray(random, corpus) for _ in range(random.randrange(1, 40))]
            world.batch(source, node, parts)
        elif random.random() < 0.05:
            hello = mutated(random, random.choice(GOLDEN_HELLOS), corpus).ljust(40, b"\1")
            world.inject(source, node, with_mac1(random, hello, node.peer_id))
        elif random.random() < 0.05:
            world.inject(source, node, random.choice(corpus))
        else:
            world.inject(source, node, stray(random, corpus))
    promise(world.picture() == before, "a stranger changed a session")
