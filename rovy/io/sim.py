"""A simulated underlay: hosts with addresses, links between them, one seed.

    net = SimNet(seed=1)
    a, b = net.host("192.0.2.1"), net.host("192.0.2.2")
    net.link(a, b, latency=0.02, loss=0.1)
    node = Node(key, underlay=a)

Every pair of addresses has a link, made with `defaults` when first used, or none where
`connected` is off. All chance comes from the seed, so the same seed gives the same run.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from random import Random

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.types import Run
from rovy.errors import UsageError
from rovy.io.base import LocalAddress, LocalSocket, Receiver


@dataclass(frozen=True, slots=True)
class Quality:
    """What a link does to datagrams, each way."""

    latency: float = 0.01
    """Seconds, one way."""
    jitter: float = 0.0
    """Up to so many seconds more, evenly spread; with it packets overtake each other."""
    loss: float = 0.0
    """Share of datagrams lost."""
    duplicate: float = 0.0
    """Share of datagrams delivered twice."""
    mtu: int = 1452
    """Largest UDP payload, bytes."""
    up: bool = True


Filter = Callable[[Endpoint, Endpoint, bytes], bytes | None]
"""(source, destination, datagram) -> the datagram as it goes on, or None to swallow it."""


class SimNet:
    """All hosts and links of one simulated Internet."""

    def __init__(
        self, seed: int = 0, defaults: Quality | None = None, *, connected: bool = True
    ) -> None:
        self.random = Random(seed)
        self.defaults = defaults or Quality()
        self.connected = connected
        self.filters: list[Filter] = []
        """Asked in turn for every datagram: taps, faults and attackers."""
        self._hosts: dict[str, SimHost] = {}
        self._links: dict[frozenset[str], Quality] = {}
        self.counts: Counter[str] = Counter()
        self._under_way: list[tuple[float, int, Endpoint, Endpoint, bytes]] = []
        self._count = 0

    def host(self, *addresses: str) -> "SimHost":
        """A host with these addresses."""
        host = SimHost(self)
        for address in addresses:
            self.add_address(host, address)
        return host

    def add_address(self, host: "SimHost", address: str) -> None:
        """Give a host one more address. Raises `UsageError` where it is taken."""
        if address in self._hosts:
            raise UsageError(f"{address} is taken")
        self._hosts[address] = host
        host.own.append(address)

    def remove_address(self, host: "SimHost", address: str) -> None:
        """Take an address away; what was under way to it is lost."""
        del self._hosts[address]
        host.own.remove(address)

    def link(self, a: str, b: str, **changes: float | bool) -> None:
        """Set what lies between two addresses; what is not named stays as it was."""
        self._links[frozenset((a, b))] = replace(self._between(a, b), up=True)
        self._links[frozenset((a, b))] = replace(self._between(a, b), **changes)  # type: ignore[arg-type]

    def cut(self, a: str, b: str) -> None:
        """Let nothing pass between two addresses."""
        self._links[frozenset((a, b))] = replace(self._between(a, b), up=False)

    def carry(self, source: Endpoint, destination: Endpoint, datagram: bytes) -> None:
        """One datagram enters the network."""
        for each in self.filters:
            changed = each(source, destination, datagram)
            if changed is None:
                self.counts["filtered"] += 1
                return
            datagram = changed
        link = self._between(source.host, destination.host)
        self.counts["sent"] += 1
        if not link.up or len(datagram) > link.mtu or self.random.random() < link.loss:
            self.counts["lost"] += 1
            return
        copies = 2 if self.random.random() < link.duplicate else 1
        loop = asyncio.get_running_loop()
        for _ in range(copies):
            at = loop.time() + link.latency + self.random.random() * link.jitter
            self._count += 1
            heappush(self._under_way, (at, self._count, source, destination, datagram))
            loop.call_at(at, self._arrive_next)

    def inject(self, source: Endpoint, destination: Endpoint, datagram: bytes) -> None:
        """Deliver a forged datagram at once, past links and filters."""
        self._arrive(source, destination, datagram)

    def _between(self, a: str, b: str) -> Quality:
        link = self._links.get(frozenset((a, b)))
        if link is None:
            up = self.connected or a == b
            link = self._links[frozenset((a, b))] = replace(self.defaults, up=up)
        return link

    def _arrive_next(self) -> None:
        """The loop does not keep the order of timers for one moment; links do."""
        _, _, source, destination, datagram = heappop(self._under_way)
        self._arrive(source, destination, datagram)

    def _arrive(self, source: Endpoint, destination: Endpoint, datagram: bytes) -> None:
        host = self._hosts.get(destination.host)
        if host is None or not host.deliver(source, destination, datagram):
            self.counts["no listener"] += 1


class SimHost:
    """One host's sockets: implements `Underlay`."""

    def __init__(self, net: SimNet) -> None:
        self._net = net
        self.own: list[str] = []
        """Addresses, the preferred one first."""
        self._sockets: dict[int, Endpoint] = {}
        self._receiver: Receiver | None = None
        self._counts: Counter[str] = Counter()

    async def open(self, listen: Sequence[Endpoint], receiver: Receiver) -> list[LocalSocket]:
        """See `Underlay`."""
        self._receiver = receiver
        self._sockets = dict(enumerate(listen))
        return [LocalSocket(number, endpoint) for number, endpoint in self._sockets.items()]

    def now(self) -> float:
        """See `Underlay`."""
        return asyncio.get_running_loop().time()

    def send(self, run: Run) -> None:
        """See `Underlay`."""
        path, data = run.path, bytes(run.data)
        source = self._source(path)
        if source is None:
            self._counts["no source address"] += 1
            if self._receiver:
                asyncio.get_running_loop().call_soon(
                    self._receiver.send_failed, path, "no source address", run.size
                )
            return
        for at in range(0, len(data), run.size):
            self._counts["packets_sent"] += 1
            self._net.carry(source, path.remote, data[at : at + run.size])

    def deliver(self, source: Endpoint, destination: Endpoint, datagram: bytes) -> bool:
        """A datagram arrives; False where nobody listens."""
        for number, bound in self._sockets.items():
            if bound.port == destination.port and bound.is_v6 == destination.is_v6:
                path = Direct(number, source, destination.host)
                self._counts["packets_received" if datagram else "empty"] += 1
                if self._receiver and datagram:
                    size = len(datagram)
                    self._receiver.receive(bytearray(datagram), size, size, path)
                return True
        return False

    def addresses(self) -> list[LocalAddress]:
        """See `Underlay`."""
        return [LocalAddress(address, "sim0", 1) for address in self.own]

    async def resolve(self, host: str, *, v6: bool) -> list[str]:
        """See `Underlay`; a simulated network has no names."""
        return []

    def changed(self) -> None:
        """Tell the node that addresses changed, as netlink would."""
        if self._receiver:
            self._receiver.addresses_changed()

    def counters(self) -> dict[str, int]:
        """See `Underlay`."""
        return dict(self._counts)

    async def close(self) -> None:
        """See `Underlay`."""
        self._sockets.clear()
        self._receiver = None

    def _source(self, path: Direct) -> Endpoint | None:
        bound = self._sockets.get(path.socket)
        if bound is None:
            return None
        fitting = [a for a in self.own if (":" in a) == path.remote.is_v6]
        if path.local:
            fitting = [a for a in fitting if a == path.local]
        return Endpoint(fitting[0], bound.port) if fitting else None
