"""A flood of forged hellos at a node with established traffic. docs/protocol/handshake.md §5

Three processes: the node under attack has a core to itself, its peer and the flooder share the
other. While no flood is measured the flooder sends the same to a socket that nobody reads, so
that only the node's own work differs. All goes over 127.0.0.1; the node is made to believe that
each hello comes from another address.
"""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from random import Random
from typing import Any, Self

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.path import Direct
from rovy.errors import Unreachable
from rovy.io import udp
from tests.bench.children import Child, cores
from tests.bench.handshake import mac1_seconds
from tests.bench.keys import private_keys
from tests.bench.ping import address_of, node_on_loopback
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rig import HOST, forged_hellos, free_port, text_of
from tests.bench.timing import GIGA, MICRO

RATE = 20_000
"""Forged hellos a second."""
RUNS = 5
WARM, PHASE, ALONE = 0.2, 0.5, 0.3
"""Seconds of a flood until what limits save up is used, with traffic, and before that without:
5 s in all."""
PAYLOAD = 1200
BATCH = 32
WINDOW = 16 * BATCH
STALL = 0.03
PING_EVERY = 0.005
PING_TIMEOUT = 1.0
DATA, ACK = "bench", "bench-ack"


class DisguisedSocket(udp.UdpSocket):
    """Takes what comes from one port for datagrams from random addresses."""

    flooder = 0
    _random = Random(1)
    _addresses = tuple((text_of(number), 1024 + number % 60000) for number in range(1 << 16))

    def _read(
        self, buffer: bytearray, length: int, ancillary: Any, flags: int, address: Any
    ) -> None:
        if address[1] == self.flooder:
            address = self._addresses[self._random.getrandbits(16)]
        super()._read(buffer, length, ancillary, flags, address)

    def _target(self, path: Direct) -> Any:
        target = super()._target(path)
        if path.remote.host != HOST:
            target = self._targets[path] = ((HOST, self.flooder), [])
        return target


class Victim:
    """The node under attack; acknowledges every 32nd payload."""

    def __init__(self, secret: bytes, flooder: int) -> None:
        DisguisedSocket.flooder = flooder
        udp.UdpSocket = DisguisedSocket  # type: ignore[misc]
        self._node = node_on_loopback(PrivateKey(secret))
        self._came = 0
        self._node.handle(DATA)(self._take)

    async def __aenter__(self) -> Self:
        await self._node.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._node.__aexit__(None, None, None)

    def where(self) -> str:
        """Its address."""
        return address_of(self._node)

    def account(self) -> tuple[float, int]:
        """(processor time so far, datagrams read)."""
        counters = self._node._running.engine.underlay.counters()
        return time.process_time(), counters.get("packets_received", 0)

    def mac1(self) -> float:
        """Seconds that checking mac1 takes on this core."""
        hellos = forged_hellos(self._node.peer_id.key, 200)
        return min(mac1_seconds(self._node.peer_id.key, hellos) for _ in range(5))

    def _take(self, peer: PeerID, payload: bytes) -> None:
        self._came += 1
        if self._came % BATCH == 0:
            engine = self._node._running.engine
            session = engine.sessions.with_peer(peer)
            if session and session.sending:
                engine.send(session, ACK, [self._came.to_bytes(8, "big")])


class Peer:
    """Sends as fast as the node under attack takes it, and pings it meanwhile."""

    def __init__(self, secret: bytes, address: str) -> None:
        self._node, self._address = node_on_loopback(PrivateKey(secret)), address
        self._acked, self._news = 0, asyncio.Event()
        self._node.handle(ACK)(self._take)

    async def __aenter__(self) -> Self:
        await self._node.__aenter__()
        self._peer = await self._node.connect(self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._node.__aexit__(None, None, None)

    def _take(self, peer: PeerID, payload: bytes) -> None:
        self._acked = int.from_bytes(payload, "big")
        self._news.set()

    async def phase(self, seconds: float) -> tuple[float, int, int]:
        """(bytes a second that arrived, pings sent, pings lost)."""
        pings = asyncio.create_task(self._ping(seconds))
        before, sent, started = self._acked, self._acked, time.monotonic()
        while time.monotonic() - started < seconds:
            if sent - self._acked > WINDOW - BATCH:
                sent = await self._wait(sent)
                continue
            await self._send()
            sent += BATCH
        rate = PAYLOAD * (self._acked - before) / (time.monotonic() - started)
        return rate, *await pings

    async def _send(self) -> None:
        engine = self._node._running.engine
        session = engine.sessions.with_peer(self._peer)
        if session and session.sending and session.path:
            engine.send(session, DATA, [bytes(PAYLOAD)] * BATCH)
        await asyncio.sleep(0)

    async def _wait(self, sent: int) -> int:
        """Wait for an acknowledgement; returns the count, corrected where none came."""
        self._news.clear()
        try:
            async with asyncio.timeout(STALL):
                await self._news.wait()
        except TimeoutError:
            return self._acked
        return sent

    async def _ping(self, seconds: float) -> tuple[int, int]:
        tasks = []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            tasks.append(asyncio.create_task(self._pong()))
            await asyncio.sleep(PING_EVERY)
        answered = await asyncio.gather(*tasks)
        return len(answered), answered.count(False)

    async def _pong(self) -> bool:
        try:
            await self._node.ping(self._peer, timeout=PING_TIMEOUT)
        except Unreachable:
            return False
        return True


class Flooder:
    """Sends forged hellos at a steady rate."""

    def __init__(self, responder: bytes, port: int) -> None:
        self._hellos = forged_hellos(responder, 4096)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((HOST, port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sock.close()

    def flood(self, port: int, seconds: float) -> float:
        """Hellos a second that were sent."""
        sent, started = 0, time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            while sent < elapsed * RATE:
                self._sock.sendto(self._hellos[sent % len(self._hellos)], (HOST, port))
                sent += 1
            time.sleep(0.0005)
        return sent / elapsed


@benchmark("flood.goodput", "flood.ping_loss", "flood.rate", "flood.cost")
def flood(scale: Scale) -> Iterator[Result]:
    """Goodput under attack against goodput while the flood goes elsewhere; and what a forged
    hello costs the node, in processor time, from socket to refusal, while nothing else comes."""
    near, far = private_keys(2)
    under, aside, mac1 = [], [], []
    with ExitStack() as stack:
        unread = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        unread.bind((HOST, 0))
        first, other = cores()
        port = free_port()
        victim = stack.enter_context(Child(Victim, far.secret, port, core=first))
        where = victim.ask("where")
        flooder = stack.enter_context(Child(Flooder, far.peer_id.key, port, core=other))
        peer = stack.enter_context(Child(Peer, near.secret, where, core=other))
        peer.ask("phase", WARM)
        attack = Attack(victim, peer, flooder)
        for _ in range(RUNS):
            aside.append(attack.run(unread.getsockname()[1]))
            under.append(attack.run(int(where.split("/")[4])))
            mac1.append(MICRO * victim.ask("mac1"))
    goodput, losses, reached, costs = (list(each) for each in zip(*under, strict=True))
    other_goodput = [each[0] for each in aside]
    yield Result.of("flood.goodput", "Gbit/s", goodput, "flood elsewhere", other_goodput)
    yield Result.of("flood.ping_loss", "% lost", losses)
    yield Result.of("flood.rate", "hellos/s", reached, "20,000/s", [float(RATE)] * RUNS)
    yield Result.of("flood.cost", "µs", [MICRO * cost for cost in costs], "mac1 alone", mac1)


class Attack:
    """Victim, peer and flooder, and what one second of flood does."""

    def __init__(self, victim: Child, peer: Child, flooder: Child) -> None:
        self._victim, self._peer, self._flooder = victim, peer, flooder

    def run(self, target: int) -> tuple[float, float, float, float]:
        """(Gbit/s that arrived, % of pings lost, hellos a second sent, seconds each cost)."""
        self._flooder.post("flood", target, WARM + PHASE + ALONE)
        time.sleep(WARM)
        spent, read = self._victim.ask("account")
        time.sleep(ALONE)
        spent_then, read_then = self._victim.ask("account")
        rate, pings, lost = self._peer.ask("phase", PHASE)
        reached = self._flooder.take()
        cost = (spent_then - spent) / max(1, read_then - read)
        return 8 * rate / GIGA, 100 * lost / pings, reached, cost
