"""Nodes that move on a plane, and hear of each other where they come within reach.

Discovery is played: `HEARD` seconds after two nodes come within reach one of them is told where
the other is, as multicast on the medium would tell it. Nobody is told who went.
"""

import asyncio
from math import cos, pi, sin
from random import Random

from rovy.io.sim import Quality
from rovy.io.simplane import Plane, within
from testnet.sim.graphs import Graph
from testnet.sim.world import World, address, url

HEARD = 1.0
SIDE = 1000.0
REACH = 150.0
RADIO = Quality(latency=0.001, rate=100e6)


class Field:
    """A square with the nodes of a world on it."""

    def __init__(self, world: World, random: Random, side: float = SIDE) -> None:
        self._world, self._random, self._side = world, random, side
        self._plane = Plane(world.net, within(REACH, RADIO))
        self._numbers = {address(number): number for number in world.graph}

    def scatter(self) -> None:
        """Put everyone somewhere."""
        for number in sorted(self._world.graph):
            self._place(
                number, self._random.random() * self._side, self._random.random() * self._side
            )

    def step(self, metres: float) -> None:
        """Move everyone so far in a direction of its own; who comes to the edge turns back."""
        for number in sorted(self._world.graph):
            x, y = self._plane.places[address(number)]
            angle = self._random.random() * 2 * pi
            self._place(
                number, self._bounce(x + metres * cos(angle)), self._bounce(y + metres * sin(angle))
            )

    def _bounce(self, at: float) -> float:
        return min(abs(at), 2 * self._side - abs(at))

    def _place(self, number: int, x: float, y: float) -> None:
        graph: Graph = self._world.graph
        came, went = self._plane.place(address(number), x, y)
        for other in went:
            graph.remove_edge(number, self._numbers[other])
        for other in came:
            graph.add_edge(number, self._numbers[other], latency=RADIO.latency)
            asyncio.get_running_loop().call_later(HEARD, self._hear, number, self._numbers[other])

    def _hear(self, a: int, b: int) -> None:
        nodes = self._world.nodes
        if self._world.graph.has_edge(a, b) and a in nodes and b in nodes:
            nodes[min(a, b)].keep(url(max(a, b)))
