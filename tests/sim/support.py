"""Nodes with fixed keys on a simulated network, and all that went over its wires.

    @virtual
    async def test_two_nodes_talk():
        async with pair() as (lab, a, b):
            await a.ping(b.peer_id)
            assert lab.types(a) == [Type.HELLO, …]

Addresses are 192.0.2.1, 192.0.2.2 … by number; keys rise with the number, so node 0 has the
lowest. Every node answers `test/upper` (early), `test/late` and `test/size`, and collects what
comes for `test/data`.
"""

import asyncio
import functools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import blake2s
from random import Random
from typing import Any

from rovy.address.keys import PrivateKey
from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.pure import PureDataPlane
from rovy.io.sim import Quality, SimHost, SimNet
from rovy.io.virtual import run
from rovy.node import Node, NodeConfig, NodeEvent
from rovy.noise.handshake import NO_PSK, Initiator
from rovy.noise.mac import mac, mac1_key
from rovy.session.layer import SessionLayer
from rovy.session.session import Session
from rovy.session.stamps import StampClock
from rovy.wire.datagram import HELLO_FIXED, Hello, Response, Type
from rovy.wire.payload import Early, Payload
from tests.bench.keys import private_keys

PORT = 1312
ELSEWHERE = Endpoint("198.51.100.7", 40000)
"""An address that no node has."""
LATENCY = 0.02
KEYS = tuple(
    PrivateKey(bytes.fromhex(secret))
    for secret in (
        "c92fd18a8ba16bcee968a4ec2cca280917c00a9fa4a4ba19f615264074b4271f",
        "c7723a03bbb8235c4c16caf2f12cf57bf47eac3b03d7d910c704207aab9dab5f",
        "62a925eb69803f2f8b3eca78091b78f81b37be81c275a935bfb977c9637a7cf2",
        "8629f46504f68ae25a1fbd7ca5f1ac293b3768fdf319f7aa15181bd56b334539",
        "50fa54df7cbb2cc0a0176f1f0de587ad73ce5583518b6a173f5de78a675613da",
        "5a76893d72aa64a72feb48db8322216c2cc75a3e1e2a6155f1975596ad8f953d",
        "ed3ab66d6c88f4f9a0185ce3f321013febe46d60d3cf2963e37d50afffa24e60",
        "11c968b661e2cac09348954bb8ba43f8feb96d68acdb536efc82efa59e28819b",
        "15d70483f380b7c07d971dd3614e6f02c50e9eab83977f3be3028ebd613e4333",
        "9f0540536741837bccf21123105bcf014f34f6f39f5ec2eff3c333e4e1247e45",
        "e324725ed2f03a018922be6e83270c69fe70fe817bb39f74c5df0e4a1d3d4beb",
        "2e61e2a98653e2b02d41f7590c1f9ee52a3b9e69f5ac7706bb63b8a8de572bb4",
    )
)
"""Their public keys rise; further nodes take any."""
PRIVATE = NodeConfig(psks=(blake2s(b"a private network").digest(),))
"""A member of a private network."""


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine of a test in virtual time; an exception in a callback ends and fails it."""

    @functools.wraps(test)
    def in_virtual_time(*args: Any, **kwargs: Any) -> None:
        faults: list[dict[str, Any]] = []

        def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            faults.append(context)
            loop.stop()

        async def watched() -> None:
            asyncio.get_running_loop().set_exception_handler(note)
            await test(*args, **kwargs)

        try:
            run(watched())
        except RuntimeError:
            if not faults:
                raise
        if faults:
            raise AssertionError(faults[0]["message"]) from faults[0].get("exception")

    return in_virtual_time


@dataclass(frozen=True, slots=True)
class Packet:
    """A datagram that was sent, whether or not it arrived."""

    at: float
    source: Endpoint
    destination: Endpoint
    data: bytes

    @property
    def type(self) -> int:
        return self.data[0]


class Lab:
    """A network, the nodes on it, and a record of every datagram."""

    def __init__(self, seed: int = 1, *, connected: bool = True, **quality: Any) -> None:
        quality.setdefault("latency", LATENCY)
        self.net = SimNet(seed, Quality(**quality), connected=connected)
        self.sent: list[Packet] = []
        self.got: dict[Node, list[bytes]] = defaultdict(list)
        """Payloads of `test/data`."""
        self.asked: dict[Node, list[tuple[float, str, bytes]]] = defaultdict(list)
        """(time, codec, request) as the answering functions were called."""
        self.events: dict[Node, list[NodeEvent]] = defaultdict(list)
        self.skew: dict[Node, float] = defaultdict(float)
        """Seconds by which a node's wall clock is wrong."""
        self._hosts: dict[Node, SimHost] = {}
        self._listeners: dict[Node, asyncio.Task[None]] = {}
        self._started = 0
        self.net.filters.append(self._record)

    async def __aenter__(self) -> "Lab":
        return self

    async def __aexit__(self, *error: object) -> None:
        for node in list(self._hosts):
            await self.stop(node)

    async def start(
        self,
        number: int,
        *more_addresses: str,
        key: int | None = None,
        config: NodeConfig | None = None,
        set_up: Callable[[Node], None] = lambda node: None,
        **options: Any,
    ) -> Node:
        """A running node at 192.0.2.{number + 1}."""
        self._started += 1
        config = config or NodeConfig()
        listen = (Endpoint("0.0.0.0", PORT), Endpoint("::", PORT))
        config = NodeConfig(**{**vars(config), "listen": listen})
        host = self.net.host(address(number), *more_addresses)
        node = Node(
            private_key(number if key is None else key),
            config,
            underlay=host,
            random=Random(self._started).randbytes,
            wall=lambda: asyncio.get_running_loop().time() + self.skew[node],
            **options,
        )
        self._answers(node)
        set_up(node)
        self._hosts[node] = host
        await node.__aenter__()
        self._listeners[node] = asyncio.create_task(self._listen(node))
        await asyncio.sleep(0)
        return node

    async def stop(self, node: Node) -> None:
        """Stop a node; its peers are told."""
        host = self._hosts.pop(node)
        await node.__aexit__(None, None, None)
        await self._listeners.pop(node)
        for each in list(host.own):
            self.net.remove_address(host, each)

    async def crash(self, node: Node) -> None:
        """Stop a node without a word to anyone."""
        for each in list(self._hosts[node].own):
            self.net.remove_address(self._hosts[node], each)
        await self.stop(node)

    async def join(self, a: Node, b: Node, timeout: float = 10.0, **options: Any) -> None:
        """Open a session from a to b."""
        await a.connect(self.url(b), timeout=timeout, **options)
        await asyncio.sleep(0.1)

    def url(self, node: Node) -> str:
        """Where to reach a node."""
        return f"/ip4/{self.endpoint(node).host}/udp/{PORT}/rovy/{node.peer_id}"

    def endpoint(self, node: Node) -> Endpoint:
        return Endpoint(self._hosts[node].own[0], PORT)

    def path(self, node: Node) -> Direct:
        """The path to a node, as `Node.connect` makes it."""
        return Direct(0, self.endpoint(node))

    def packets(self, node: Node, *kinds: Type, since: float = 0.0) -> list[Packet]:
        """What a node's host sent, of these types or all."""
        own = self._hosts[node].own
        return [
            packet
            for packet in self.sent
            if packet.source.host in own and packet.at >= since
            if not kinds or packet.type in kinds
        ]

    def hellos(self, node: Node, since: float = 0.0) -> list[Hello]:
        return [Hello.parse(p.data) for p in self.packets(node, Type.HELLO, since=since)]

    def responses(self, node: Node, since: float = 0.0) -> list[Response]:
        return [Response.parse(p.data) for p in self.packets(node, Type.RESPONSE, since=since)]

    def inject(self, source: Node | Endpoint, to: Node, data: bytes) -> None:
        """Deliver a datagram at once, as if from there."""
        sender = self.endpoint(source) if isinstance(source, Node) else source
        self.net.inject(sender, self.endpoint(to), data)

    @contextmanager
    def lost(self, chosen: Callable[[Packet], bool]) -> Iterator[list[Packet]]:
        """Swallow what is chosen; gives the list of it."""
        swallowed: list[Packet] = []

        def swallow(source: Endpoint, destination: Endpoint, data: bytes) -> bytes | None:
            packet = Packet(_now(), source, destination, data)
            if not chosen(packet):
                return data
            swallowed.append(packet)
            return None

        self.net.filters.append(swallow)
        try:
            yield swallowed
        finally:
            self.net.filters.remove(swallow)

    def kinds(self, node: Node) -> list[str]:
        """The kinds of the events a node told."""
        return [event.kind for event in self.events[node]]

    def _record(self, source: Endpoint, destination: Endpoint, data: bytes) -> bytes:
        self.sent.append(Packet(_now(), source, destination, data))
        return data

    async def _listen(self, node: Node) -> None:
        async for event in node.events():
            self.events[node].append(event)

    def _answers(self, node: Node) -> None:
        def note(codec: str, request: bytes) -> None:
            self.asked[node].append((_now(), codec, request))

        @node.handle("test/data")
        def collect(_peer: object, payload: bytes) -> None:
            self.got[node].append(payload)

        @node.answer("test/upper", early=True)
        def upper(_peer: object, request: bytes) -> bytes:
            note("test/upper", request)
            return request.upper()

        @node.answer("test/late")
        def late(_peer: object, request: bytes) -> bytes:
            note("test/late", request)
            return request[::-1]

        @node.answer("test/size", early=True)
        def size(_peer: object, request: bytes) -> bytes:
            note("test/size", request)
            return bytes(int(request))


@asynccontextmanager
async def pair(
    seed: int = 1,
    *,
    joined: bool = True,
    kept: bool = False,
    config: NodeConfig | None = None,
    **quality: Any,
) -> AsyncIterator[tuple[Lab, Node, Node]]:
    """Two nodes; `joined`: with a session that the first opened; `kept`: it keeps a peering."""
    async with Lab(seed, **quality) as lab:
        a, b = await lab.start(0, config=config), await lab.start(1, config=config)
        if kept:
            a.keep(lab.url(b))
            await asyncio.sleep(1.0)
        elif joined:
            await lab.join(a, b)
        yield lab, a, b


@asynccontextmanager
async def nodes(count: int, seed: int = 1, **quality: Any) -> AsyncIterator[tuple[Any, ...]]:
    """A lab and some nodes without sessions."""
    async with AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Lab(seed, **quality))
        yield lab, *[await lab.start(number) for number in range(count)]


def private_key(number: int) -> PrivateKey:
    return KEYS[number] if number < len(KEYS) else _more_keys()[number - len(KEYS)]


def address(number: int) -> str:
    return f"192.0.2.{number + 1}"


def layer(node: Node) -> SessionLayer:
    return node._running.engine.sessions


def plane(node: Node) -> PureDataPlane:
    return node._running.engine.dataplane


def session(node: Node, peer: Node) -> Session:
    """The session a node has with another; fails where there is none."""
    found = layer(node).with_peer(peer.peer_id)
    assert found is not None
    return found


def picture(node: Node) -> list[object]:
    """All that a stranger's packets must not change: sessions, their keys, paths and states."""
    return [
        (
            each.id,
            each.peer,
            each.state,
            each.current and each.current.index,
            each.fresh and each.fresh.index,
            [keys.index for keys in each.old],
            each.opening and each.opening.index,
            each.path,
            [(s.path, s.valid) for s in each.paths.states.values()],
            list(each.cookies),
        )
        for each in layer(node)
    ]


def counted(node: Node) -> int:
    """Packets and handshakes turned away, for whatever reason."""
    stats = node.stats()
    return sum(stats.dropped.values()) + sum(stats.refused.values()) + sum(stats.node.values())


def forge_hello(
    sender: PrivateKey,
    to: Node,
    *,
    psk: bytes = NO_PSK,
    mac_psk: bytes | None = None,
    payload: bytes | None = None,
    size: int = 400,
    request: Early | None = None,
    index: int = 0x01020304,
    stamp: float | None = None,
    ephemeral: bytes = b"\x11" * 32,
    codecs: Sequence[str] = ("forward", "piece"),
) -> tuple[Initiator, bytes]:
    """A hello as another program could make it, and the state that reads its response."""
    noise = Initiator(sender, to.peer_id, psk, ephemeral)
    if payload is None:
        timestamp = StampClock(lambda: _now() if stamp is None else stamp).stamp()
        plain = Payload(tuple(codecs), 1400, timestamp=timestamp, request=request)
        payload = plain.emit(size - HELLO_FIXED)
    signed = Hello(index, noise.write(payload), b"", b"").signed()
    key = mac1_key(to.peer_id.key, psk if mac_psk is None else mac_psk)
    return noise, signed + mac(key, signed) + bytes(16)


def forge_mac1(signed: bytes, to: Node, psk: bytes = NO_PSK) -> bytes:
    """A message with the first MAC right and the second empty."""
    return signed + mac(mac1_key(to.peer_id.key, psk), signed) + bytes(16)


@functools.cache
def _more_keys() -> list[PrivateKey]:
    return private_keys(60)


def _now() -> float:
    return asyncio.get_running_loop().time()
