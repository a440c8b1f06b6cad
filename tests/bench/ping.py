"""A round trip between two nodes over loopback, against a bare echo between the same processes."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from typing import Any, Self

from rovy import Node
from rovy.address.keys import PeerID, PrivateKey
from rovy.address.multiaddr import Endpoint
from rovy.node.config import NodeConfig
from tests.bench.children import Child, cores, run_loop
from tests.bench.keys import private_keys
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rig import HOST, free_port
from tests.bench.timing import MICRO

PROBE = 38
"""Bytes of a ping's datagram; the echo's are as long."""


def node_on_loopback(private: PrivateKey) -> Node:
    """A node that listens on 127.0.0.1 alone."""
    return Node(private, NodeConfig(listen=(Endpoint(HOST, free_port()),), port_tries=100))


def address_of(node: Node) -> str:
    """Where others in this machine reach it."""
    return f"/ip4/{HOST}/udp/{node.sockets[0].bound.port}/rovy/{node.peer_id}"


class Echo(asyncio.DatagramProtocol):
    """Sends back what comes."""

    def connection_made(self, transport: Any) -> None:
        """See `DatagramProtocol`."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """See `DatagramProtocol`."""
        self._transport.sendto(data, addr)


class Caller(asyncio.DatagramProtocol):
    """Sends one datagram and waits for it to come back."""

    def connection_made(self, transport: Any) -> None:
        """See `DatagramProtocol`."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """See `DatagramProtocol`."""
        self._answer.set_result(time.monotonic())

    async def rtt(self) -> float:
        """Seconds of one round trip."""
        self._answer = asyncio.get_running_loop().create_future()
        sent = time.monotonic()
        self._transport.sendto(os.urandom(PROBE))
        async with asyncio.timeout(2):
            returned: float = await self._answer
            return returned - sent


class Far:
    """The other process: a node and an echo."""

    def __init__(self, secret: bytes) -> None:
        self._node = node_on_loopback(PrivateKey(secret))

    async def __aenter__(self) -> Self:
        await self._node.__aenter__()
        loop = asyncio.get_running_loop()
        self._echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=(HOST, 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._echo.close()
        await self._node.__aexit__(None, None, None)

    def where(self) -> tuple[str, int]:
        """(address of the node, port of the echo)."""
        return address_of(self._node), self._echo.get_extra_info("sockname")[1]


@benchmark("ping.node.pure", "ping.node.pure.added")
def ping(scale: Scale) -> Iterator[Result]:
    """Median of some hundred pings in each run, one at a time."""
    near, far = private_keys(2)
    core, other = cores()
    with Child(Far, far.secret, core=other) as child:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})
        try:
            mine, bare = run_loop(_measure(near, child.ask("where"), scale))
        finally:
            os.sched_setaffinity(0, allowed)
    yield Result.of("ping.node.pure", "µs", mine, "bare UDP echo", bare)
    added = [ping - echo for ping, echo in zip(mine, bare, strict=True)]
    yield Result.of("ping.node.pure.added", "µs", added)


async def _measure(
    private: PrivateKey, where: tuple[str, int], scale: Scale
) -> tuple[list[float], list[float]]:
    address, port = where
    loop = asyncio.get_running_loop()
    transport, caller = await loop.create_datagram_endpoint(Caller, remote_addr=(HOST, port))
    mine: list[float] = []
    bare: list[float] = []
    async with node_on_loopback(private) as node:
        peer: PeerID = await node.connect(address)

        async def pinged() -> float:
            return (await node.ping(peer, timeout=2)).rtt

        for turn in range(scale.runs + 1):
            for values, work in ((mine, pinged), (bare, caller.rtt)):
                middle = await _median(work, scale.of(400, 150))
                values += [middle] if turn else []
    transport.close()
    return mine, bare


async def _median(work: Callable[[], Awaitable[float]], count: int) -> float:
    return MICRO * median([await work() for _ in range(count)])
