"""Finding nodes by name: asked of the DHT where the node has one, step by step."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rovy.errors import RovyError
from testnet.sim.world import AT_ONCE, Pair, World


@dataclass(frozen=True, slots=True)
class Found:
    """What came of looking for one node."""

    right: bool
    """Whether what was found is signed by the node that was looked for."""
    questions: int
    took: float
    """Seconds."""


async def look_up(
    world: World, pairs: Iterable[Pair], timeout: float = 10.0
) -> dict[Pair, Found | None]:
    """Have the first of each pair look the second up in the DHT; None where it is not found."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(pair: Pair) -> Found | None:
        async with free:
            return await _look(world, pair, timeout)

    wanted = list(pairs)
    found = await asyncio.gather(*(one(pair) for pair in wanted))
    return dict(zip(wanted, found, strict=True))


async def _look(world: World, pair: Pair, timeout: float) -> Found | None:
    """A node without a DHT resolves by its map, without a question to anyone."""
    node: Any = world.nodes[pair[0]]
    target, steps, began = world.peer(pair[1]), list[object](), world.now()
    try:
        if hasattr(node, "lookup"):
            info = await node.lookup(target.path, trace=steps.append, timeout=timeout)
            if info.locator is None:
                return None
            return Found(info.locator.peer == target, len(info.steps), world.now() - began)
        infos = await node.resolve(target.path, timeout=timeout)
    except RovyError:
        return None
    return Found(all(info.peer == target for info in infos), 0, world.now() - began)
