"""Networks of nodes that know nothing but their neighbours' addresses.

    async with overlay(nx.path_graph(5)) as net:
        await net.settled()
        await net[0].ping(net[4].peer_id)

Nodes are numbers; what is not linked cannot send to each other.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import networkx as nx

from rovy.address.keys import PeerID
from rovy.address.path import Path, Routed
from rovy.errors import RovyError
from rovy.io.simtun import SimInterface
from rovy.node import Node
from rovy.node.services import Services
from rovy.session.session import Session
from tests.sim.support import Lab, address, session

FORTH, BACK = "sim/forth", "sim/back"
TRY, GIVE_UP = 0.25, 5.0
"""Seconds between pings to who does not answer yet, and until one counts as lost."""


class Overlay:
    """Nodes by number, and the links between them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.nodes: dict[int, Node] = {}
        self.interfaces: dict[int, SimInterface] = {}
        """Of those that have one."""
        self.graph = nx.Graph()
        self._numbers: dict[bytes, int] = {}

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    async def start(self, number: int, *, ip6: bool = False, **options: Any) -> Node:
        """A node without links; `ip6`: with an interface."""
        if ip6:
            options["interface"] = self.interfaces[number] = SimInterface()
        node = self.nodes[number] = await self.lab.start(number, set_up=_send_back, **options)
        self._numbers[node.peer_id.short] = number
        self.graph.add_node(number)
        return node

    def link(self, a: int, b: int, **quality: Any) -> None:
        """Two nodes become peers, or their link changes."""
        self.lab.net.link(address(a), address(b), up=True, **quality)
        if not self.graph.has_edge(a, b):
            self.nodes[a].keep(self.lab.url(self.nodes[b]))
        self.graph.add_edge(a, b)

    def cut(self, a: int, b: int) -> None:
        """Nothing passes between two nodes any more; nobody is told."""
        self.lab.net.cut(address(a), address(b))

    def mend(self, a: int, b: int) -> None:
        """What was cut works again."""
        self.lab.net.link(address(a), address(b), up=True)

    async def crash(self, number: int) -> None:
        """A node is gone without a word."""
        await self.lab.crash(self.nodes.pop(number))
        self.graph.remove_node(number)

    # Looking

    async def settled(self, limit: float = 10.0) -> float:
        """Wait until every map holds every node it can reach; seconds that took."""
        began = now()
        while not self.complete():
            assert now() < began + limit, self.sizes()
            await asyncio.sleep(0.05)
        return now() - began

    def complete(self) -> bool:
        parts = nx.connected_components(self.graph)
        wanted = {number: len(part) for part in parts for number in part}
        return self.sizes() == wanted

    def sizes(self) -> dict[int, int]:
        """Nodes in each map."""
        return {number: node.map().nodes for number, node in self.nodes.items()}

    async def answers(
        self, pairs: Iterable[tuple[int, int]], limit: float, patience: float = GIVE_UP
    ) -> dict[Any, float]:
        """Ping pairs until they answer: seconds by pair, of those that did in time."""
        began, took = now(), {}

        async def one(a: int, b: int) -> None:
            while now() < began + limit:
                asked = now()
                try:
                    await self.nodes[a].ping(f"/rovy/{self.nodes[b].peer_id}", timeout=patience)
                    took[a, b] = now() - began
                    return
                except RovyError:
                    await asyncio.sleep(max(0.0, asked + TRY - now()))

        await asyncio.gather(*(one(a, b) for a, b in pairs))
        return took

    def services(self, number: int) -> Services:
        return self.nodes[number]._running

    def session(self, a: int, b: int) -> Session:
        return session(self.nodes[a], self.nodes[b])

    def active(self, a: int, b: int) -> Path | None:
        """The path that carries a session's data."""
        return self.session(a, b).path

    def route(self, a: int, b: int) -> list[int] | None:
        """The nodes along the active path; None where the map does not know them."""
        path = self.active(a, b)
        if not isinstance(path, Routed):
            return [a, b] if path else None
        nodes = self.services(a).mapper.follow(path.label)
        return [self._numbers[node] for node in nodes] if nodes else None


class Stream:
    """Numbered payloads from one node to another, each sent back by its receiver at once."""

    def __init__(self, net: Overlay, a: int, b: int, every: float = 0.01) -> None:
        self.net, self.a, self.b, self.every = net, a, b, every
        self.sent: list[float] = []
        self.back: dict[int, float] = {}
        """When which number was back."""
        net.nodes[a].handle(BACK)(self._note)

    async def __aenter__(self) -> "Stream":
        await self.net.nodes[self.a].ping(self.net.nodes[self.b].peer_id)
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)

    def lost(self, since: float = 0.0, settle: float = 3.0) -> list[float]:
        """When those were sent that did not come back, but for the last seconds'."""
        until = now() - settle
        times = enumerate(self.sent)
        return [at for n, at in times if since <= at < until and n not in self.back]

    def gap(self, since: float) -> float:
        """Seconds from then until all came back that was sent."""
        return max((at - since for at in self.lost(since)), default=0.0)

    async def _send(self) -> None:
        a, b = self.net.nodes[self.a], self.net.nodes[self.b].peer_id
        while True:
            number = len(self.sent)
            self.sent.append(now())
            with contextlib.suppress(RovyError):
                await a.send(b, FORTH, number.to_bytes(4, "big") + bytes(60), timeout=1.0)
            await asyncio.sleep(self.every)

    def _note(self, peer: object, payload: bytes) -> None:
        self.back[int.from_bytes(payload[:4], "big")] = now()


@asynccontextmanager
async def overlay(
    graph: nx.Graph, seed: int = 1, *, ip6: bool = False, **quality: Any
) -> AsyncIterator[Overlay]:
    """Nodes and links of a graph, all started at once."""
    async with Lab(seed, connected=False, **quality) as lab:
        net = Overlay(lab)
        for number in range(len(graph)):
            await net.start(number, ip6=ip6)
        numbers = {node: number for number, node in enumerate(sorted(graph))}
        for a, b in graph.edges:
            net.link(numbers[a], numbers[b])
        yield net


def _send_back(node: Node) -> None:
    @node.handle(FORTH)
    async def back(peer: PeerID, payload: bytes) -> None:
        await node.send(peer, BACK, payload, timeout=1.0)

    node.handle(BACK)(lambda peer, payload: None)


def square() -> nx.Graph:
    """0 – 1 – 3 and 0 – 2 – 3."""
    return nx.Graph([(0, 1), (1, 3), (0, 2), (2, 3)])


def now() -> float:
    return asyncio.get_running_loop().time()
