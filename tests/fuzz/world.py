"""Three nodes on a simulated network, under attack: Alice – Bob – Carol.

Alice and Carol keep peerings with Bob and have a session with each other over him. Whatever
happens, they have to be able to ping each other afterwards.
"""

import asyncio
import logging
from collections import deque
from random import Random

from rovy.address.keys import ADDRESS_PREFIX
from rovy.address.label import Label
from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct, Routed
from rovy.errors import RovyError
from rovy.io.sim import SimNet
from rovy.io.simtun import SimInterface
from rovy.node import Node, NodeConfig
from rovy.node.edge import DESTINATIONS, PARKED, REMEMBERED
from rovy.node.router import PATIENCE, SEARCHES
from rovy.routing.flood import LIMITED
from rovy.routing.map import NEAREST, WAITING
from rovy.routing.suspects import MOST
from rovy.session.const import HINTS, PATHS, UNCONFIRMED
from rovy.session.pieces import MEMORY, PAYLOADS
from tests.bench.keys import private_keys
from tests.fuzz import audit
from tests.fuzz.audit import promise
from tests.fuzz.inputs import ALICE, BOB, PACKETS

PORT = 1312
EPOCH = 1.8e9
"""The wall clock at second 0 of the loop's: later than the stamps of the golden packets."""
CAROL, MALLORY = private_keys(2)
SPARE = 50
"""Codecs that make Bob's table too long for one datagram."""
OLD = 1.0
"""Seconds after which a recorded datagram has long arrived."""


class HandlersFault(Exception):
    """A handler of the user's that hostile input makes fail."""


class World(logging.Handler):
    """The nodes, what went over the wires, and every fault that surfaced."""

    def __init__(self, random: Random) -> None:
        super().__init__(logging.ERROR)
        self.random = random
        self.net = SimNet(random.getrandbits(32))
        self.nodes: list[Node] = []
        self.faults: list[str] = []
        self.fed = 0
        self.last: deque[str] = deque(maxlen=3)
        self._recorded: deque[tuple[float, bytes]] = deque(maxlen=400)
        self._recent: deque[bytes] = deque(maxlen=20)
        self.net.filters.append(self._record)

    async def __aenter__(self) -> "World":
        asyncio.get_running_loop().set_exception_handler(self._fault)
        logging.getLogger("rovy").addHandler(self)
        keys = enumerate((ALICE, BOB, CAROL), 1)
        self.alice, self.bob, self.carol = [await self.start(key, n) for n, key in keys]
        self.own = {node.peer_id for node in self.nodes}
        for node in (self.alice, self.carol):
            node.keep(self.url(self.bob))
        await asyncio.sleep(2.0)
        slots = {info.peer: info.slot for info in self.alice.sessions()}
        onward = {info.peer: info.slot for info in self.bob.sessions()}
        label = Label.of(slots[self.bob.peer_id], onward[self.carol.peer_id])
        await self.alice.connect(f"{label}/rovy/{self.carol.peer_id}")
        self.slots = [*onward.values()]
        await asyncio.sleep(2.0)
        return self

    async def __aexit__(self, *error: object) -> None:
        for node in self.nodes:
            await node.__aexit__(None, None, None)
        logging.getLogger("rovy").removeHandler(self)

    async def start(self, key, number: int) -> Node:
        """A node at 192.0.2.{number}."""
        host = self.net.host(f"192.0.2.{number}")
        loop = asyncio.get_running_loop()
        config = NodeConfig(listen=(Endpoint("0.0.0.0", PORT), Endpoint("::", PORT)))
        node = Node(
            key,
            config,
            underlay=host,
            random=Random(self.random.getrandbits(64)).randbytes,
            wall=lambda: EPOCH + loop.time(),
            interface=SimInterface(),
        )
        node.handle("fuzz/data")(lambda peer, payload: None)
        for spare in range(SPARE if key is BOB else 0):
            node.handle(f"fuzz/a-codec-that-nobody-uses/{spare}")(lambda peer, payload: None)
        node.answer("fuzz/echo", early=True)(lambda peer, body: bytes(body))
        node.answer("fuzz/late")(self._late)
        node.answer("fuzz/fails", early=True)(_fail)
        node.answer("fuzz/long", early=True)(_answer_at_length)
        await node.__aenter__()
        self.nodes.append(node)
        plane = node._running.engine.dataplane
        receive = plane.receive
        plane.receive = lambda *batch: audit.received(plane, receive, *batch)
        transmit = plane.transmit
        plane.transmit = lambda packets, now: audit.transmitted(plane, transmit, packets, now)
        sessions = node._running.engine.sessions
        shake = sessions.on_handshake
        sessions.on_handshake = lambda *one: self._shaken(sessions, shake, *one)
        return node

    def emit(self, record: logging.LogRecord) -> None:
        """An error was logged; that a user's handler fails on hostile input is its own fault."""
        if not (record.exc_info and isinstance(record.exc_info[1], HandlersFault)):
            self.faults.append(self.format(record))

    # What is where

    def url(self, node: Node) -> str:
        """Where to reach a node."""
        return f"/ip4/{self.endpoint(node).host}/udp/{PORT}/rovy/{node.peer_id}"

    def endpoint(self, node: Node) -> Endpoint:
        """A node's address."""
        return Endpoint(f"192.0.2.{1 + self.nodes.index(node)}", PORT)

    def elsewhere(self) -> Endpoint:
        """Any address, often one that a node has."""
        if self.random.random() < 0.6:
            return self.endpoint(self.random.choice(self.nodes))
        return Endpoint(f"198.51.100.{self.random.randrange(256)}", self.random.randrange(1, 65536))

    def corpus(self) -> list[bytes]:
        """Golden packets, and real ones that have long arrived."""
        now = asyncio.get_running_loop().time()
        return PACKETS + [data for at, data in self._recorded if now - at > OLD]

    def recent(self) -> list[bytes]:
        """What went over the wires just now."""
        return list(self._recent)

    # Attacking

    def inject(self, source: Endpoint, node: Node, data: bytes) -> None:
        """Deliver a datagram at once."""
        self.last.append(f"{source} to {self.nodes.index(node)}: {data.hex()}")
        self.fed += 1
        self.net.inject(source, self.endpoint(node), data)

    def batch(self, source: Endpoint, node: Node, parts: list[bytes]) -> None:
        """Deliver datagrams as one read of a socket with segments."""
        size = max(map(len, parts))
        buffer = bytearray(b"".join(part.ljust(size, b"\0") for part in parts))
        self.last.append(f"{source} to {self.nodes.index(node)}: {size} {buffer.hex()}")
        self.fed += len(parts)
        path = Direct(0, source, self.endpoint(node).host)
        node._running.engine.receive(buffer, len(buffer), size, path)

    def picture(self) -> list[object]:
        """What strangers must not change: sessions, keys in use, paths proved."""
        return [
            (
                each.id,
                each.current and each.current.index,
                each.opening and each.opening.index,
                each.fresh and each.fresh.index,
                each.path,
                [state.path for state in each.paths.states.values()],
                node._running.peerings.by_peer.get(each.peer) is not None,
            )
            for node in self.nodes
            for each in node._running.engine.sessions
        ]

    # Checking

    def checked(self) -> None:
        """Nothing went wrong so far, and every table is within its bound."""
        promise(not self.faults, "\n".join(self.faults[:3]))
        for node in self.nodes:
            services = node._running
            core = services.engine.sessions._core
            promise(len(core.answered) <= UNCONFIRMED, "unconfirmed sessions")
            promise(len(core.heap) <= 64 + 8 * len(core.sessions) + 1, "timers")
            promise(len(core.openers) <= 8 * len(core.sessions), "keys")
            promise(len(services.requests._tasks) <= 256, "requests")
            promise(not core.out, "something was not carried out")
            self._checked_map(services)
            self._checked_edge(services)
            audit.beyond_bounded(services)
            for each in core.sessions.values():
                promise(each.pieces.held <= MEMORY, "pieces held")
                promise(len(each.pieces._wholes) <= PAYLOADS, "payloads in pieces")
                promise(len(each.hints) <= HINTS and len(each.cookies) <= HINTS, "hints")
                promise(len(each.paths.states) <= PATHS, "paths")
                seen = services.requests._seen.get(each.id)
                promise(seen is None or len(seen.replies) <= 64 + 256, "replies remembered")

    def _checked_map(self, services) -> None:
        flood, router = services.mapper.flood, services.router
        held = len(flood.map.held)
        promise(len(flood.map.distance) <= 2 * NEAREST, "nodes in the map")
        promise(held <= 2 * NEAREST + WAITING * (len(flood.neighbours) + 1) + 512, "records")
        promise(len(flood._limits) <= LIMITED, "limits of neighbours")
        promise(len(flood.neighbours) <= len(services.peerings.by_peer), "neighbours")
        for neighbour in flood.neighbours.values():
            promise(len(neighbour.has) <= held + 512, "what neighbours hold")
        promise(len(router.suspects._found) <= MOST, "suspects")
        promise(len(router._searches) <= SEARCHES[1] + PATIENCE, "searches")
        promise(len(router.offers) <= len(services.engine.sessions), "offers")

    def _checked_edge(self, services) -> None:
        edge = services.edge
        promise(len(edge._parked) <= DESTINATIONS, "destinations")
        promise(all(len(p.packets) <= PARKED for p in edge._parked.values()), "parked packets")
        promise(len(edge._failed) <= REMEMBERED, "failures remembered")
        for packet in edge.interface.written:
            promise(packet[24:40] == services._own.address, "a packet for somebody else")
            promise(packet[8] == ADDRESS_PREFIX, "a packet from elsewhere")
        edge.interface.written.clear()

    async def works(self) -> None:
        """Everybody reaches everybody, directly and over a forwarder."""
        pairs = ((self.alice, self.bob), (self.carol, self.bob), (self.alice, self.carol))
        for a, b in (*pairs, *((b, a) for a, b in pairs)):
            await self._ping(a, b)
        answer = await self.alice.request(self.carol.peer_id, "fuzz/late", b"abc")
        promise(answer == b"cba", "requests are answered wrongly")
        paths = {path.path for each in self.alice.sessions() for path in each.paths}
        promise(any(isinstance(path, Routed) for path in paths), "the route is gone")
        self.checked()

    async def _ping(self, a: Node, b: Node) -> None:
        for tries in range(4):
            try:
                await a.ping(b.peer_id, timeout=3.0)
                return
            except RovyError as error:
                self.checked()
                last = f"try {tries}: {error}"
        promise(False, f"{self.nodes.index(a)} does not reach {self.nodes.index(b)}: {last}")

    # Inside

    def _record(self, source: Endpoint, destination: Endpoint, data: bytes) -> bytes:
        self._recorded.append((asyncio.get_running_loop().time(), data))
        self._recent.append(data)
        return data

    def _fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _shaken(self, sessions, shake, datagram: bytes, path, now: float) -> None:
        """A handshake message is refused for a named reason, answered, or known already."""
        core = sessions._core
        before, told = sum(sessions.refused.values()), len(core.out)
        cookies = [len(each.cookies) for each in core.sessions.values()]
        shake(datagram, path, now)
        silent = sum(sessions.refused.values()) == before and len(core.out) == told
        same = cookies == [len(each.cookies) for each in core.sessions.values()]
        twice = datagram[0] == 3 or bool(core.deferred)
        promise(not silent or not same or twice, f"neither taken nor counted: {datagram.hex()}")

    async def _late(self, peer: object, body: bytes) -> bytes:
        await asyncio.sleep(self.random.choice((0.0, 0.0, 0.1)))
        return bytes(body[::-1])


def _fail(peer: object, body: bytes) -> bytes:
    raise HandlersFault(body.hex())


def _answer_at_length(peer: object, body: bytes) -> bytes:
    """An answer of the asker's choice: it fits nowhere, in pieces only, or not even in pieces."""
    return bytes((300, 5000, 17_000, 70_000)[len(body) % 4])
