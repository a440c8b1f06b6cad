"""What happens to networks: deaths, cuts, merges, flapping, slowness, and scripts of all that.

script = [At(5.0, Cut(1, 2)), At(10.0, Kill(3)), At(20.0, Mend(1, 2))]
await play(world, script)
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import networkx as nx  # type: ignore[import-untyped]

from testnet.sim.world import World, address


class Fault(Protocol):
    """Something that happens to a world."""

    async def happen(self, world: World) -> None:
        """Now."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A node is gone without a word."""

    number: int

    async def happen(self, world: World) -> None:
        """See `Fault`."""
        await world.kill(self.number)


@dataclass(frozen=True, slots=True)
class Start:
    """A node that died, or that the graph has and nobody started, starts."""

    number: int

    async def happen(self, world: World) -> None:
        """See `Fault`."""
        await world.start(self.number)


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing passes between two nodes any more."""

    a: int
    b: int

    async def happen(self, world: World) -> None:
        """See `Fault`."""
        world.cut(self.a, self.b)


@dataclass(frozen=True, slots=True)
class Link:
    """Two nodes are linked: a cut is mended, or two networks merge."""

    a: int
    b: int
    latency: float = 0.01

    async def happen(self, world: World) -> None:
        """See `Fault`."""
        world.link(self.a, self.b, latency=self.latency)


@dataclass(frozen=True, slots=True)
class Slow:
    """A link takes `factor` times as long."""

    a: int
    b: int
    factor: float

    async def happen(self, world: World) -> None:
        """See `Fault`."""
        latency = world.graph.edges[self.a, self.b]["latency"] * self.factor
        world.link(self.a, self.b, latency=latency)


@dataclass(frozen=True, slots=True)
class Lossy:
    """A link loses a share of what it carries, or no longer does."""

    a: int
    b: int
    loss: float

    async def happen(self, world: World) -> None:
        """See `Fault`."""
        world.link(self.a, self.b, loss=self.loss)


@dataclass(frozen=True, slots=True)
class Flap:
    """A link goes down and up a number of times."""

    a: int
    b: int
    times: int = 10
    down: float = 2.0
    up: float = 2.0

    async def happen(self, world: World) -> None:
        """See `Fault`."""
        latency = world.graph.edges[self.a, self.b]["latency"]
        for _ in range(self.times):
            world.cut(self.a, self.b)
            await world.sleep(self.down)
            world.link(self.a, self.b, latency=latency)
            await world.sleep(self.up)


@dataclass(frozen=True, slots=True)
class Partition:
    """Groups of nodes cannot talk to each other for some seconds."""

    groups: tuple[tuple[int, ...], ...]
    seconds: float

    async def happen(self, world: World) -> None:
        """See `Fault`."""
        names = {str(i): map(address, group) for i, group in enumerate(self.groups)}
        world.net.partition(names)
        await world.sleep(self.seconds)
        world.net.heal()


@dataclass(frozen=True, slots=True)
class At:
    """When something happens, seconds after the script began."""

    seconds: float
    fault: Fault


async def play(world: World, script: Iterable[At]) -> None:
    """Have everything happen at its time; faults that take time may overlap."""
    began = world.now()

    async def one(at: At) -> None:
        await asyncio.sleep(max(0.0, began + at.seconds - world.now()))
        await at.fault.happen(world)

    await asyncio.gather(*(one(at) for at in sorted(script, key=lambda at: at.seconds)))


async def kill_share(world: World, share: float) -> list[int]:
    """Kill a random part of all nodes in one moment; who they were."""
    chosen = world.random.sample(sorted(world.nodes), round(share * len(world.nodes)))
    await asyncio.gather(*(world.kill(number) for number in chosen))
    return chosen


def connected(world: World, a: int, b: int) -> bool:
    """Whether two nodes run and running nodes connect them."""
    graph = world.alive()
    return a in graph and b in graph and bool(nx.has_path(graph, a, b))
