"""A simulated underlay: hosts with addresses, links between them, one seed.

    net = SimNet(seed=1)
    a, b = net.host("192.0.2.1"), net.host("192.0.2.2")
    net.link("192.0.2.1", "192.0.2.2", latency=Normal(0.02, 0.002), loss=0.1)
    node = Node(key, underlay=a)

Every pair of addresses has a link, made with `defaults` when first used, or none where
`connected` is off. All chance comes from the seed, so the same seed gives the same run, which
`trace_hash` shows. It runs on the loop of `rovy.io.virtual`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from random import Random
from struct import Struct
from typing import Any

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.types import Run
from rovy.errors import UsageError
from rovy.io.base import LocalAddress, LocalSocket, Receiver
from rovy.io.simlink import Lognormal, Normal, Quality, Uniform, Way
from rovy.io.simnat import Kind, Nat
from rovy.io.virtual import VirtualLoop

__all__ = ["Filter", "Lognormal", "Nat", "Normal", "Quality", "SimHost", "SimNet", "Uniform"]

Filter = Callable[[Endpoint, Endpoint, bytes], bytes | None]
"""(source, destination, datagram) -> the datagram as it goes on, or None to swallow it."""
FLOWS = 4096
"""Pairs of endpoints remembered per host; all are forgotten when there are more."""
INSIDE = Quality(latency=0.0003, mtu=1472)
"""What lies between hosts behind one NAT."""
_TIME = Struct(">d")


class Flow:
    """What the datagrams from one endpoint to another have in common."""

    __slots__ = ("bound", "destination", "host", "names", "path", "source", "way")

    def __init__(self, source: Endpoint, destination: Endpoint, way: Way) -> None:
        self.source, self.destination, self.way = source, destination, way
        self.names = f" {source} {destination} ".encode()
        self.host: SimHost | None = None
        """Who took the last one, and by which path and socket."""
        self.path: Direct | None = None
        self.bound: Endpoint | None = None


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
        self.counts: Counter[str] = Counter()
        """Datagrams sent, and those that did not arrive, by reason."""
        self._hosts: dict[str, SimHost | Nat] = {}
        self._inside: dict[Nat, dict[str, SimHost]] = {}
        self._ways: dict[tuple[str, str], Way] = {}
        self._groups: dict[str, str] = {}
        self._trace = blake2b(digest_size=16)

    # Hosts

    def host(self, *addresses: str, behind: Nat | None = None) -> "SimHost":
        """A host with these addresses, in the Internet or behind a NAT."""
        host = SimHost(self, behind)
        for address in addresses:
            self.add_address(host, address)
        return host

    def nat(self, address: str, kind: Kind, timeout: float = 60.0) -> Nat:
        """A NAT with that public address."""
        if address in self._hosts:
            raise UsageError(f"{address} is taken")
        nat = self._hosts[address] = Nat(address, kind, timeout)
        self._inside[nat] = {}
        return nat

    def add_address(self, host: "SimHost", address: str) -> None:
        """Give a host one more address. Raises `UsageError` where it is taken."""
        realm: dict[str, Any] = self._inside[host.nat] if host.nat else self._hosts
        if address in realm:
            raise UsageError(f"{address} is taken")
        realm[address] = host
        host.own.append(address)
        host.forget()

    def remove_address(self, host: "SimHost", address: str) -> None:
        """Take an address away; what was under way to it is lost."""
        realm: dict[str, Any] = self._inside[host.nat] if host.nat else self._hosts
        del realm[address]
        host.own.remove(address)
        host.forget()

    def readdress(self, host: "SimHost", former: str, address: str) -> None:
        """Another address in place of one, and the node is told as by netlink."""
        self.remove_address(host, former)
        self.add_address(host, address)
        host.changed()

    # Links

    def link(self, a: str, b: str, **changes: Any) -> None:
        """Set what lies between two addresses; what is not named stays as it was."""
        self.one_way(a, b, **changes)
        if a != b:
            self.one_way(b, a, **changes)

    def one_way(self, a: str, b: str, **changes: Any) -> None:
        """Set what datagrams from one address to another meet, and not those back."""
        self._way(a, b).change(**{"up": True, **changes})

    def cut(self, a: str, b: str) -> None:
        """Let nothing pass between two addresses; what is under way arrives."""
        self.link(a, b, up=False)

    def quality(self, a: str, b: str) -> Quality:
        """What datagrams from one address to another meet."""
        return self._way(a, b).quality

    def partition(self, groups: Mapping[str, Iterable[str]]) -> None:
        """Let addresses of different groups not reach each other; those in none are one more."""
        self._groups = {each: name for name, members in groups.items() for each in members}

    def heal(self) -> None:
        """End the partition."""
        self._groups = {}

    # Datagrams

    def trace_hash(self) -> str:
        """What tells two runs apart: of arrival, source, destination and bytes of all datagrams."""
        return self._trace.hexdigest()

    def flow(self, source: Endpoint, destination: Endpoint) -> Flow:
        """For datagrams between two public endpoints."""
        return Flow(source, destination, self._way(source.host, destination.host))

    def carry(self, source: Endpoint, destination: Endpoint, datagram: bytes) -> None:
        """One datagram enters the network."""
        self.pass_on(self.flow(source, destination), datagram, _loop())

    def pass_on(self, flow: Flow, datagram: bytes, loop: VirtualLoop) -> None:
        """As `carry`, for one of many."""
        for each in self.filters:
            changed = each(flow.source, flow.destination, datagram)
            if changed is None:
                self.counts["filtered"] += 1
                return
            datagram = changed
        self.counts["sent"] += 1
        if self._groups and self._parted(flow):
            self.counts["partition"] += 1
            return
        way = flow.way
        if way.constant is not None and len(datagram) <= way.mtu:
            self._fly(loop.time() + way.constant, flow, datagram, loop)
            return
        arrivals = way.arrivals(len(datagram), loop.time(), self.random)
        if isinstance(arrivals, str):
            self.counts[arrivals] += 1
            return
        for at in arrivals:
            self._fly(at, flow, datagram, loop)

    def pass_nat(self, nat: Nat, flow: Flow, datagram: bytes, loop: VirtualLoop) -> None:
        """One datagram leaves a host behind a NAT: for a neighbour there, or through the NAT."""
        if flow.destination.host in self._inside[nat]:
            at = loop.time() + flow.way.arrivals(1, 0.0, self.random)[0]  # type: ignore[operator]
            loop.enter(at, self._arrive_inside, nat, (flow, datagram))
            return
        source = nat.out(flow.source, flow.destination, loop.time())
        if source is None:
            self.counts["nat full"] += 1
            return
        self.pass_on(self.flow(source, flow.destination), datagram, loop)

    def inject(self, source: Endpoint, destination: Endpoint, datagram: bytes) -> None:
        """Deliver a forged datagram at once, past links and filters."""
        self._arrive(self.flow(source, destination), datagram)

    def inside_way(self) -> Way:
        """Between hosts behind one NAT."""
        return Way(INSIDE)

    def _way(self, a: str, b: str) -> Way:
        way = self._ways.get((a, b))
        if way is None:
            quality = replace(self.defaults, up=self.defaults.up and (self.connected or a == b))
            way = self._ways[a, b] = Way(quality)
        return way

    def _parted(self, flow: Flow) -> bool:
        group = self._groups.get
        return group(flow.source.host) != group(flow.destination.host)

    def _fly(self, at: float, flow: Flow, datagram: bytes, loop: VirtualLoop) -> None:
        self._trace.update(_TIME.pack(at) + flow.names + datagram)
        loop.enter(at, self._arrive, flow, datagram)

    def _arrive(self, flow: Flow, datagram: bytes) -> None:
        host = self._hosts.get(flow.destination.host)
        if isinstance(host, Nat):
            self._enter_nat(host, flow, datagram)
        elif host is None or not host.deliver(flow, datagram):
            self.counts["no listener"] += 1

    def _enter_nat(self, nat: Nat, flow: Flow, datagram: bytes) -> None:
        inner = nat.into(flow.source, flow.destination, _loop().time())
        if inner is None:
            self.counts["nat"] += 1
            return
        self._arrive_inside(nat, (Flow(flow.source, inner, flow.way), datagram))

    def _arrive_inside(self, nat: Nat, arrived: tuple[Flow, bytes]) -> None:
        flow, datagram = arrived
        host = self._inside[nat].get(flow.destination.host)
        if host is None or not host.deliver(flow, datagram):
            self.counts["no listener"] += 1


class SimHost:
    """One host's sockets: implements `Underlay`."""

    def __init__(self, net: SimNet, nat: Nat | None = None) -> None:
        self._net, self.nat = net, nat
        self.own: list[str] = []
        """Addresses, the preferred one first."""
        self.packets_sent = self.packets_received = self.bytes_sent = self.bytes_received = 0
        """UDP payloads; headers are not in the bytes."""
        self._loop: VirtualLoop | None = None
        self._sockets: dict[int, Endpoint] = {}
        self._receiver: Receiver | None = None
        self._flows: dict[int, tuple[Direct, Endpoint, Flow]] = {}
        self._counts: Counter[str] = Counter()

    async def open(self, listen: Sequence[Endpoint], receiver: Receiver) -> list[LocalSocket]:
        """See `Underlay`."""
        self._loop, self._receiver = _loop(), receiver
        self._sockets = dict(enumerate(listen))
        return [LocalSocket(number, endpoint) for number, endpoint in self._sockets.items()]

    def now(self) -> float:
        """See `Underlay`."""
        return (self._loop or _loop()).time()

    def send(self, run: Run) -> None:
        """See `Underlay`."""
        path = run.path
        kept = self._flows.get(id(path))
        known = kept is not None and self._sockets.get(path.socket) is kept[1]
        flow = kept[2] if kept and known else self._remember(path)
        loop = self._loop or _loop()
        if flow is None:
            self._counts["no source address"] += 1
            if self._receiver:
                loop.call_soon(self._receiver.send_failed, path, "no source address", run.size)
            return
        data, size = bytes(run.data), run.size
        self.bytes_sent += len(data)
        for at in range(0, len(data), size):
            self.packets_sent += 1
            datagram = data[at : at + size]
            if self.nat:
                self._net.pass_nat(self.nat, flow, datagram, loop)
            else:
                self._net.pass_on(flow, datagram, loop)

    def deliver(self, flow: Flow, datagram: bytes) -> bool:
        """A datagram arrives; False where nobody listens."""
        path = flow.path
        if (
            path is None
            or flow.host is not self
            or self._sockets.get(path.socket) is not flow.bound
        ):
            path = self._entrance(flow)
        if path is None:
            return False
        if self._receiver and datagram:
            size = len(datagram)
            self.packets_received += 1
            self.bytes_received += size
            self._receiver.receive(bytearray(datagram), size, size, path)
        else:
            self._counts["empty"] += 1
        return True

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
        names = "packets_sent", "packets_received", "bytes_sent", "bytes_received"
        return {name: getattr(self, name) for name in names} | self._counts

    async def close(self) -> None:
        """See `Underlay`."""
        self._sockets.clear()
        self._receiver = None

    def forget(self) -> None:
        """Addresses changed: what was remembered of flows may be wrong."""
        self._flows.clear()

    def _remember(self, path: Direct) -> Flow | None:
        """The flow of a path, found again by the path's identity as long as it is kept."""
        source = self._source(path)
        if source is None:
            return None
        if self.nat:
            flow = Flow(source, path.remote, self._net.inside_way())
        else:
            flow = self._net.flow(source, path.remote)
        if len(self._flows) >= FLOWS:
            self._flows.clear()
        self._flows[id(path)] = path, self._sockets[path.socket], flow
        return flow

    def _source(self, path: Direct) -> Endpoint | None:
        bound = self._sockets.get(path.socket)
        if bound is None:
            return None
        fitting = [a for a in self.own if (":" in a) == path.remote.is_v6]
        if path.local:
            fitting = [a for a in fitting if a == path.local]
        return Endpoint(fitting[0], bound.port) if fitting else None

    def _entrance(self, flow: Flow) -> Direct | None:
        """The path that a flow's datagrams come by; None where no socket is there for them."""
        flow.host, flow.path, to = self, None, flow.destination
        for number, bound in self._sockets.items():
            if bound.port == to.port and bound.is_v6 == to.is_v6:
                flow.path, flow.bound = Direct(number, flow.source, to.host), bound
                break
        return flow.path


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise UsageError("a simulated network runs in virtual time: use rovy.io.virtual.run")
    return loop
