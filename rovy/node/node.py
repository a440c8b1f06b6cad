"""The library's face: one node, several of which can live in one process.

async with Node(PrivateKey.generate(os.urandom)) as node:
    peer = await node.connect("/ip4/192.0.2.1/udp/1312/rovy/bafz…")
    answer = await node.request(peer, "greeting", b"hello")
"""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import fields, replace
from types import TracebackType
from typing import Any, Self, TypeVar

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import Label
from rovy.address.multiaddr import Multiaddr
from rovy.address.target import Target, parse_target
from rovy.errors import UsageError
from rovy.forwarder import SlotTable
from rovy.io.base import Interface, LocalSocket, Underlay
from rovy.node.config import CHANGEABLE, NodeConfig
from rovy.node.events import (
    DhtInfo,
    LookupInfo,
    MapInfo,
    MapNode,
    NodeEvent,
    PutInfo,
    RecordInfo,
    RouteInfo,
    SessionInfo,
    Stats,
    StepInfo,
    Traced,
)
from rovy.node.neighbours import Neighbours
from rovy.node.ping import Pong
from rovy.node.requests import Answerer
from rovy.node.services import Services
from rovy.wire.payload import is_name

TIMEOUT = 10.0
Handler = Callable[[PeerID, bytes], Awaitable[None] | None]
Trace = Callable[[StepInfo], None]
H = TypeVar("H", bound=Callable[..., object])


class Node:
    """One node. Use it as an asynchronous context manager; it can be entered once."""

    def __init__(
        self,
        private: PrivateKey,
        config: NodeConfig | None = None,
        *,
        underlay: Underlay | None = None,
        slots: SlotTable | None = None,
        stamp_bound: int = 0,
        sequence: int = 0,
        dht_state: Mapping[str, Any] | None = None,
        interface: Interface | None = None,
        wall: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.peer_id = private.peer_id
        self.config = config or NodeConfig()
        self.sockets: list[LocalSocket] = []
        """Open sockets, while it runs."""
        self._private, self._underlay = private, underlay
        self._slots = slots or SlotTable()
        self._stamp_bound, self._wall, self._random = stamp_bound, wall, random
        self._sequence, self._interface = sequence, interface
        self._dht_state = dict(dht_state or {})
        if interface:
            self.config = replace(self.config, ip6=True)
        self._handlers: dict[str, Handler] = {}
        self._answerers: dict[str, tuple[Answerer, bool]] = {}
        self._services: Services | None = None
        self._used = False

    # Life

    async def __aenter__(self) -> Self:
        if self._used:
            raise UsageError("a node runs once: make a new one")
        self._used = True
        if self._underlay is None:
            from rovy.io.udp import UdpUnderlay

            self._underlay = UdpUnderlay(self.config.port_tries)
        services = Services(
            self._private,
            self.config,
            self._underlay,
            self._slots,
            wall=self._wall,
            random=self._random,
            stamp_bound=self._stamp_bound,
            sequence=self._sequence,
            interface=self._interface,
            dht_state=self._dht_state,
        )
        for codec, handler in self._handlers.items():
            services.handle(codec, handler)
        for codec, (answerer, early) in self._answerers.items():
            services.answer(codec, answerer, early=early)
        self.sockets = await self._underlay.open(self.config.listen, services.engine)
        self._services = services
        services.start(self.sockets)
        for peer in self.config.peers:
            self.keep(peer)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        services, self._services = self._services, None
        if services:
            self._dht_state = services.beyond.dht.save()
            await services.close()
            self._sequence = services.sequence
        if self._underlay:
            await self._underlay.close()

    # Codecs

    def handle(self, codec: str) -> Callable[[H], H]:
        """Decorator: give payloads of a codec to `handler(peer, payload)`, plain or async."""
        _check_codec(codec)

        def register(handler: H) -> H:
            self._handlers[codec] = handler  # type: ignore[assignment]
            if self._services:
                self._services.handle(codec, self._handlers[codec])
            return handler

        return register

    def answer(self, codec: str, *, early: bool = False) -> Callable[[H], H]:
        """Decorator: answer requests of a codec with what `answerer(peer, request)` returns.

        `early`: the request may ride in a handshake. Only for plain functions that change
        nothing, since whoever sends it has not yet shown that it can receive.
        """
        _check_codec(codec)

        def register(answerer: H) -> H:
            self._answerers[codec] = (answerer, early)  # type: ignore[assignment]
            if self._services:
                self._services.answer(codec, answerer, early=early)  # type: ignore[arg-type]
            return answerer

        return register

    # Settings

    def reconfigure(self, config: NodeConfig) -> list[str]:
        """Apply the settings that can change while it runs; gives the names of others that differ.

        Sessions with peers that are not accepted any more are closed, and peers that are denied
        are kept no longer. Peerings taken beyond the new limits end.
        """
        changes = {name: getattr(config, name) for name in CHANGEABLE}
        self.config = replace(self.config, **changes)
        if self._services:
            self._services.configure(self.config)
        names = (field.name for field in fields(config))
        return [name for name in names if getattr(self.config, name) != getattr(config, name)]

    # Reaching others

    async def connect(
        self, target: str | Target, *, psk: bytes | None = None, timeout: float = TIMEOUT
    ) -> PeerID:
        """Open a session to `/ip4/…/udp/…/rovy/<cid>` or `/rovyrt/<label>/rovy/<cid>`.

        A bare label is traced first. Raises `Unreachable` where nobody answers in time.
        """
        services = self._running
        peer, paths = await services.paths_to(_target(target), timeout)
        if peer != self.peer_id:
            await services.waiters.open(peer, paths, timeout, psk=psk)
        return peer

    def keep(self, target: str | Target, *, name: str = "") -> PeerID:
        """Keep a peering with a node: open it, and again whenever it ends."""
        return self._running.keep(_target(target), name)

    async def forget(self, peer: PeerID | str) -> None:
        """Keep a peering no longer and close its session. Raises `UsageError` if it is not kept."""
        self._running.forget(_peer(peer))

    async def send(
        self, peer: PeerID | str, codec: str, payload: bytes, *, timeout: float = TIMEOUT
    ) -> None:
        """Send a payload of at most 16 KB once; it can be lost, or overtake another.

        Raises `Unreachable` where there is no session and none can be opened, `UsageError`
        where the peer does not know the codec.
        """
        peer = _peer(peer)
        if peer == self.peer_id:
            self._running.deliver_own(codec, payload)
            return
        session = await self._running.waiters.open(peer, [], timeout)
        self._running.engine.send(session, codec, [payload])

    async def request(
        self, peer: PeerID | str, codec: str, payload: bytes = b"", *, timeout: float = TIMEOUT
    ) -> bytes:
        """Ask a node and return its answer; the request is repeated until it comes.

        To a node without a session the request rides in the handshake where it fits. Raises
        `Unreachable` where no answer comes or the answer is a refusal.
        """
        return await self._running.request(_peer(peer), codec, payload, timeout)

    async def ping(self, target: str | Target, *, size: int = 0, timeout: float = TIMEOUT) -> Pong:
        """Measure a round trip to a node, over its session's path or the label named."""
        return await self._running.ping(_target(target), size, timeout)

    async def trace(self, label: Label | str, *, timeout: float = TIMEOUT) -> PeerID:
        """Who stands at the end of a label, proved by a signature."""
        label = Label.parse(label) if isinstance(label, str) else label
        return await self._running.notices.trace(label, timeout)

    async def resolve(
        self,
        target: str | Target,
        *,
        timeout: float = TIMEOUT,
        dht: bool = False,
        trace: Trace | None = None,
    ) -> list[RouteInfo]:
        """Ways to a node, the one in use first, once a handshake has proved that one leads there.

        `dht`: ask the DHT even where the way is known, and tell `trace` of each step. Empty for the
        node itself. Raises `Unreachable` where no way is found or nobody answers.
        """
        if dht:
            await self.lookup(target, timeout=timeout, trace=trace)
        return await self._running.resolve(_target(target), timeout)

    async def lookup(
        self,
        target: str | Target | bytes,
        *,
        timeout: float = TIMEOUT,
        trace: Trace | None = None,
    ) -> LookupInfo:
        """Look a node up in the DHT, whatever is known here; `bytes`: any id of 20 bytes.

        Its `locator` is None where nobody knows it. `UsageError` where the target is no id.
        """
        name = target if isinstance(target, bytes) else _target(target)
        return await self._running.finder.lookup(name, timeout, trace)

    async def dht_get(
        self, kind: str, name: str, peer: PeerID | str, *, timeout: float = TIMEOUT
    ) -> RecordInfo:
        """What a node has said under a name. Raises `Unreachable` where nobody keeps it.

        `kind`: `name`, `service`, or a number from 128 to 255.
        """
        return await self._running.finder.get(kind, name, _peer(peer), timeout)

    async def dht_put(
        self, kind: str, name: str, body: bytes, *, ttl: int, timeout: float = TIMEOUT
    ) -> PutInfo:
        """Say something under a name, signed, for `ttl` seconds, of at most 1024 bytes.

        It is published anew while the node runs. Raises `UsageError` for what has no room.
        """
        return await self._running.finder.put(kind, name, body, ttl, timeout)

    def dht_info(self) -> DhtInfo:
        """The DHT as this node sees it."""
        return self._running.finder.info()

    async def traceroute(self, target: str | Target, *, timeout: float = 2.0) -> Traced:
        """Who stands at every hop of the route to a node, each asked 3 times, and how far it is.

        `timeout` is that of each question, seconds. A label is followed as it is, else the route
        in use, or the one that would be. Raises `Unreachable` where there is none.
        """
        return await self._running.traceroute(_target(target), timeout)

    # Looking

    def sessions(self) -> list[SessionInfo]:
        """All sessions and their paths."""
        return self._running.session_infos()

    def routes(self) -> list[RouteInfo]:
        """All ways to the nodes that this one has sessions with."""
        return self._running.ways.all()

    def map(self) -> MapInfo:
        """How much of the network this node knows."""
        return self._running.map_info()

    def map_nodes(self) -> list[MapNode]:
        """The nodes that links of the map lead to, the nearest first: this one."""
        return self._running.ways.nodes()

    def stats(self) -> Stats:
        """All counters."""
        return self._running.stats()

    async def events(self) -> AsyncIterator[NodeEvent]:
        """What happens from now on, until the node stops; the oldest of 1000 unread are dropped."""
        with self._running.subscribe() as queue:
            while (event := await queue.get()) is not None:
                yield event

    def addresses(self) -> list[Multiaddr]:
        """Where this node can be reached, as far as its own interfaces tell."""
        return self._running.own_addresses()

    @property
    def neighbours(self) -> Neighbours:
        """What finding nodes on the local network takes."""
        return self._running.neighbours

    @property
    def interface(self) -> Interface | None:
        """By which programs of this machine reach the network."""
        return self._interface

    @property
    def data_plane(self) -> str:
        """Which implementation carries its packets: `pure` or `native`."""
        return type(self._running.engine.dataplane).__module__.rpartition(".")[2]

    @property
    def slots(self) -> SlotTable:
        """The leases of slots, to be written down."""
        return self._slots

    @property
    def stamp_bound(self) -> int:
        """To be written down, and given to the next node with this key."""
        return self._running.engine.sessions.stamp_bound

    @property
    def sequence(self) -> int:
        """The highest one its link records have used: to be written down likewise."""
        return self._services.sequence if self._services else self._sequence

    def dht_state(self) -> dict[str, Any]:
        """Contacts and own records: to be written down now and then, and at the end."""
        return self._services.beyond.dht.save() if self._services else self._dht_state

    @property
    def _running(self) -> Services:
        if self._services is None:
            raise UsageError("the node does not run: use it inside «async with»")
        return self._services


def _target(target: str | Target) -> Target:
    return parse_target(target) if isinstance(target, str) else target


def _peer(peer: PeerID | str) -> PeerID:
    return PeerID.parse(peer) if isinstance(peer, str) else peer


def _check_codec(codec: str) -> None:
    if not codec.isascii() or not is_name(codec.encode()) or codec in ("forward", "piece"):
        raise UsageError(f"not a name for a codec: {codec!r}")
