"""LANs in memory, and nodes of which only the discovery is real."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random

import networkx

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint
from rovy.discovery.discovery import Discovery, DiscoveryConfig
from rovy.discovery.fake import FakeLan
from rovy.discovery.interface import Address, Interface
from rovy.discovery.medium import Medium
from rovy.discovery.overlay import Link
from rovy.errors import Unreachable
from tests.bench.keys import private_keys

PORT = 1312
ANY = [Endpoint("0.0.0.0", PORT), Endpoint("::", PORT)]
PEERS = sorted(key.peer_id for key in private_keys(60))


def nic(name: str, number: int, net: str = "10.0.0", index: int = 2, **flags: bool) -> Interface:
    own = Address(f"{net}.{number}", 24), Address(f"fe80::{number:x}", 64)
    return Interface(name, index, own, **flags)


@dataclass(eq=False)
class Station:
    """One node: it meets whoever is there, and peerings are as both ends say."""

    world: "World"
    peer: PeerID
    nics: list[Interface]
    wired: dict[str, FakeLan]
    denied: set[PeerID] = field(default_factory=set)
    unwilling: bool = False
    """Takes no peerings of others."""
    rtts: dict[PeerID, float] = field(default_factory=dict)
    favoured: set[PeerID] = field(default_factory=set)
    sessions: set[PeerID] = field(default_factory=set)
    tried: list[tuple[float, PeerID, list[Endpoint]]] = field(default_factory=list)
    offers: list[tuple[float, PeerID]] = field(default_factory=list)
    dropped: int = 0
    discovery: Discovery = None  # type: ignore[assignment]

    # Overlay

    def accepts(self, peer: PeerID) -> bool:
        return peer not in self.denied

    async def meet(self, peer: PeerID, endpoints: Sequence[Endpoint], timeout: float) -> None:
        self.tried.append((now(), peer, list(endpoints)))
        other = self.world.stations.get(peer)
        if other is None or self.peer not in self.world.stations:
            await asyncio.sleep(timeout)
            raise Unreachable("no answer", "nobody there")
        await asyncio.sleep(0.01)
        self.sessions.add(peer)
        other.sessions.add(self.peer)

    def want(self, peer: PeerID) -> None:
        self.favoured.add(peer)
        self.offers.append((now(), peer))

    def release(self, peer: PeerID) -> None:
        self.favoured.discard(peer)
        self.dropped += 1

    def links(self) -> dict[PeerID, Link]:
        return {
            peer: Link(self.rtts.get(peer, 0.0005), self.peering(peer), peer in self.favoured)
            for peer in self.sessions
        }

    # For tests

    def peering(self, peer: PeerID) -> bool:
        other = self.world.stations.get(peer)
        if other is None:
            return False
        ours = peer in self.favoured and not other.unwilling
        return ours or (self.peer in other.favoured and not self.unwilling)

    def peerings(self) -> set[PeerID]:
        return {peer for peer in self.sessions if self.peering(peer)}

    def crash(self) -> None:
        """End without a word."""
        del self.world.stations[self.peer]
        for other in self.world.stations.values():
            other.sessions.discard(self.peer)
        self.sessions.clear()

    async def open(self, interface: Interface, listener: object) -> Medium:
        return await self.wired[interface.name].open(interface, listener)  # type: ignore[arg-type]


class World:
    """Everything there is."""

    def __init__(self) -> None:
        self.stations: dict[PeerID, Station] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "World":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def station(
        self,
        number: int,
        *lans: FakeLan,
        nics: list[Interface] | None = None,
        bound: Sequence[Endpoint] = ANY,
        config: DiscoveryConfig | None = None,
        **options: object,
    ) -> Station:
        """A running node; on the n-th LAN it is 10.0.n.(number + 1)."""
        names = [f"eth{n}" for n in range(len(lans))]
        if nics is None:
            nics = [nic(name, number + 1, f"10.0.{n}", 2 + n) for n, name in enumerate(names)]
        wired = dict(zip(names, lans, strict=True))
        made = Station(self, PEERS[number], nics, wired, **options)  # type: ignore[arg-type]
        made.discovery = Discovery(
            made.peer,
            made,
            made.open,
            lambda: list(made.nics),
            lambda: bound,
            Random(number).randbytes,
            config or DiscoveryConfig(),
        )
        self.stations[made.peer] = made
        made.discovery.start()
        self._stack.push_async_callback(made.discovery.close)
        return made

    def graph(self) -> networkx.Graph:
        """Who is a peer of whom."""
        graph = networkx.Graph()
        graph.add_nodes_from(self.stations)
        graph.add_edges_from(
            (each.peer, other) for each in self.stations.values() for other in each.peerings()
        )
        return graph


def now() -> float:
    return asyncio.get_running_loop().time()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what the nodes do by themselves."""
    while not condition():  # noqa: ASYNC110 - nothing tells of it, and the time is virtual
        await asyncio.sleep(0.05)
