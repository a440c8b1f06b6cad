"""Production nodes on a graph, in virtual time, each told only its neighbours' addresses.

    async with World(graphs.grid(50), seed=1) as world:
        await world.start_all()
        await world.sleep(5.0)
        answered = await world.ping(world.pairs(100))

Nodes are numbers. Everything that happens follows from the graph, the seed and the code.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, Self

from rovy.address.keys import PeerID
from rovy.address.label import Label
from rovy.address.multiaddr import Endpoint
from rovy.errors import RovyError
from rovy.io.sim import Quality, SimHost, SimNet
from rovy.node import Node, NodeConfig
from rovy.node.services import Services
from testnet.sim import oracle
from testnet.sim.graphs import Graph
from testnet.sim.keys import key
from testnet.sim.memo import shared_results

PORT = 1312
EPOCH = 1.8e9
"""The wall clock at second 0 of the loop's."""
AT_ONCE = 200
"""Questions under way at a time where many pairs are asked."""
TRY = 0.25
"""Seconds between pings to who does not answer yet."""
Pair = tuple[int, int]


class World:
    """Nodes by number, the links between them, and what can be asked of all that."""

    def __init__(
        self,
        graph: Graph,
        seed: int = 1,
        *,
        config: Callable[[int], NodeConfig] = lambda number: NodeConfig(),
        set_up: Callable[[int, Node], None] = lambda number, node: None,
    ) -> None:
        """`config` and `set_up` have their say about each node before it starts."""
        self.graph = graph.copy()
        """Whom there is and who is linked; faults change it along."""
        self.net = SimNet(seed, connected=False)
        self.random = Random(seed)
        self.nodes: dict[int, Node] = {}
        """Those that run."""
        self.hosts: dict[int, SimHost] = {}
        self.faults: list[str] = []
        """What nodes' callbacks raised; there should be nothing."""
        self.seed = seed
        self._config, self._set_up = config, set_up
        self._numbers = {key(number).peer_id: number for number in graph}
        self._starts = 0
        self._stack = ExitStack()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._stack.enter_context(shared_results())
        self._stack.enter_context(_seldom_collected())
        asyncio.get_running_loop().set_exception_handler(self._fault)
        for a, b, data in self.graph.edges(data=True):
            self.net.link(address(a), address(b), **data)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stack.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self.kill(number) for number in list(self.nodes)))

    # What happens

    async def start_all(self, every: float = 0.0) -> None:
        """Start all nodes of the graph that do not run, in order, `every` so many seconds one."""
        for number in sorted(self.graph.nodes - self.nodes.keys()):
            await self.start(number)
            if every:
                await asyncio.sleep(every)

    async def start(self, number: int) -> Node:
        """Start a node of the graph; it keeps those of its neighbours as peers that run."""
        self._starts += 1
        loop = asyncio.get_running_loop()
        config = NodeConfig(**{**vars(self._config(number)), "listen": LISTEN})
        host = self.hosts[number] = self.net.host(address(number))
        node = Node(
            key(number),
            config,
            underlay=host,
            random=Random(f"{self.seed} {number} {self._starts}").randbytes,
            wall=lambda: EPOCH + loop.time(),
        )
        self._set_up(number, node)
        await node.__aenter__()
        self.nodes[number] = node
        for neighbour in sorted(self.graph[number]):
            if neighbour in self.nodes:
                node.keep(url(neighbour))
        return node

    async def kill(self, number: int) -> None:
        """End a node without a word to anyone."""
        node, host = self.nodes.pop(number), self.hosts.pop(number)
        for each in list(host.own):
            self.net.remove_address(host, each)
        await node.__aexit__(None, None, None)

    async def stop(self, number: int) -> None:
        """End a node that says goodbye."""
        node, host = self.nodes.pop(number), self.hosts.pop(number)
        await node.__aexit__(None, None, None)
        for each in list(host.own):
            self.net.remove_address(host, each)

    def link(self, a: int, b: int, **quality: Any) -> None:
        """Two nodes become neighbours, or their link changes."""
        fresh = not self.graph.has_edge(a, b)
        self.graph.add_edge(a, b, **quality)
        self.net.link(address(a), address(b), **quality)
        if fresh and a in self.nodes and b in self.nodes:
            self.nodes[a].keep(url(b))

    def cut(self, a: int, b: int) -> None:
        """Nothing passes between two nodes any more; nobody is told."""
        self.graph.remove_edge(a, b)
        self.net.cut(address(a), address(b))

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something go on meanwhile, until the world ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task

    # Asking

    def now(self) -> float:
        """Virtual seconds."""
        return asyncio.get_running_loop().time()

    def alive(self) -> Graph:
        """The part of the graph whose nodes run."""
        return self.graph.subgraph(self.nodes)

    def pairs(self, count: int, least_hops: int = 1) -> list[Pair]:
        """Random pairs that the graph connects, at least so many hops apart, none twice."""
        return oracle.connected_pairs(self.alive(), count, least_hops, self.random)

    async def ping(self, pairs: Iterable[Pair], timeout: float = 5.0) -> dict[Pair, float | None]:
        """One ping from the first to the second of each pair: its RTT, or None."""

        async def one(a: int, b: int) -> float | None:
            return (await self.nodes[a].ping(self.peer(b).path, timeout=timeout)).rtt

        return await self._each(pairs, one)

    async def resolve(self, pairs: Iterable[Pair], timeout: float = 10.0) -> dict[Pair, Any]:
        """Ways from the first to the second of each pair: a list of `RouteInfo`, or None."""

        async def one(a: int, b: int) -> Any:
            return await self.nodes[a].resolve(self.peer(b).path, timeout=timeout)

        return await self._each(pairs, one)

    async def answers(
        self, pairs: Iterable[Pair], limit: float, patience: float = 5.0
    ) -> dict[Pair, float | None]:
        """Ping pairs until they answer: seconds from now, or None where that did not happen."""
        began = self.now()

        async def one(a: int, b: int) -> float | None:
            while self.now() < began + limit:
                asked = self.now()
                try:
                    await self.nodes[a].ping(self.peer(b).path, timeout=patience)
                    return self.now() - began
                except RovyError:
                    await asyncio.sleep(max(0.0, asked + TRY - self.now()))
            return None

        return await self._each(pairs, one, at_once=100000)

    def peer(self, number: int) -> PeerID:
        """Who a number is."""
        return key(number).peer_id

    def number(self, peer: PeerID) -> int:
        """Which number somebody is."""
        return int(self._numbers[peer])

    def services(self, number: int) -> Services:
        """The inside of a node, for observers and attackers."""
        return self.nodes[number]._running  # noqa: SLF001

    def follow(self, start: int, label: Label) -> list[int] | None:
        """The nodes that a label of a node really leads along; None where it leads nowhere."""
        way = [start]
        for slot in label.slots:
            peerings = self.services(way[-1]).peerings.by_peer.values()
            peer = next((each.peer for each in peerings if each.slot == slot), None)
            if peer is None or self._numbers.get(peer) not in self.nodes:
                return None
            way.append(self._numbers[peer])
        return way

    # Counting

    def traffic(self) -> dict[int, int]:
        """Bytes each node has sent, headers of IPv4 and UDP included."""
        return {n: host.bytes_sent + 28 * host.packets_sent for n, host in self.hosts.items()}

    def quality(self, a: int, b: int) -> Quality:
        """What a link does now."""
        return self.net.quality(address(a), address(b))

    def problems(self) -> Mapping[str, int]:
        """What nodes dropped or refused, all together, by reason."""
        found: dict[str, int] = {}
        for node in self.nodes.values():
            stats = node.stats()
            for counts in (stats.dropped, stats.refused):
                for reason, count in counts.items():
                    found[reason] = found.get(reason, 0) + count
        return found

    # Inside

    async def _each(
        self, pairs: Iterable[Pair], ask: Callable[[int, int], Any], at_once: int = AT_ONCE
    ) -> dict[Pair, Any]:
        free = asyncio.Semaphore(at_once)

        async def one(a: int, b: int) -> Any:
            async with free:
                try:
                    return await ask(a, b)
                except RovyError:
                    return None

        wanted = list(pairs)
        found = await asyncio.gather(*(one(a, b) for a, b in wanted))
        return dict(zip(wanted, found, strict=True))

    def _fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context['message']}: {context.get('exception')!r}")


LISTEN = (Endpoint("0.0.0.0", PORT),)


def address(number: int) -> str:
    """Where a node is: in 198.18.0.0/15, which is set aside for measurements."""
    return f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def url(number: int) -> str:
    """How its neighbours are told of a node."""
    return f"/ip4/{address(number)}/udp/{PORT}/rovy/{key(number).peer_id}"


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """A world has few cycles and many objects: to look through all costs more than it gives."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
