"""Forwarding over real UDP sockets: sender, forwarder and sink are processes of their own.

The forwarder has a core to itself, the other two share the other one. Gbit/s without a suffix are
per core: 1400 bytes a packet over the processor time, user and system, that the forwarder's
process takes for one. That does not depend on how well three processes share two cores. `.wall`
is what came through by the clock, `.cpu` the processor time itself.
"""

import asyncio
import ctypes
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.sharedctypes import RawValue
from typing import Any, Self

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.pure import PureDataPlane
from rovy.io.ingress import BUFFER
from rovy.io.udp import SOCKET_BUFFER, SOL_UDP, UDP_GRO, UDP_SEGMENT, UdpUnderlay
from tests.bench.aead import raw_open, raw_seal
from tests.bench.children import Child, cores
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rig import (
    DATAGRAM,
    HOST,
    PER_READ,
    PLAIN,
    BareReceiver,
    direct,
    forward_packet,
    forwarder_plane,
    free_port,
    sealed,
)
from tests.bench.timing import GIGA, MICRO

WINDOW = 30 * PER_READ
"""Packets under way at most, so that no socket's buffer overflows."""
STALL = 0.05
"""Seconds without progress after which what is under way counts as lost."""


class Forwarder(BareReceiver):
    """Underlay and data plane, and between them no more than a node's engine has there."""

    def __init__(self, key: bytes, sender: int, sink: int, offload: bool) -> None:
        self._key = key
        self._source, self._target = direct(sender), direct(sink)
        self._underlay = UdpUnderlay(port_tries=100, offload=offload)
        self._known = {self._source: 1}
        self._plane = PureDataPlane()
        self._spent = 0.0
        self.port = 0

    async def __aenter__(self) -> Self:
        (opened,) = await self._underlay.open([Endpoint(HOST, free_port())], self)
        self.port = opened.bound.port
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._underlay.close()

    def receive(self, buffer: bytearray, length: int, size: int, source: Direct) -> None:
        """See `Receiver`."""
        out = self._plane.receive(buffer, length, size, source, self._underlay.now())
        for run in out.runs:
            self._underlay.send(run)

    def knows(self, source: Direct) -> bool:
        """See `Receiver`; a table, as a node has it."""
        return source in self._known

    def where(self) -> int:
        """The port it listens on."""
        return self.port

    def start(self) -> None:
        """Forget what came, so that the same packets can come again."""
        self._plane = forwarder_plane(self._source, self._target, self._key)
        self._spent = time.process_time()

    def stop(self) -> tuple[float, int]:
        """(processor time since `start`, packets forwarded)."""
        return time.process_time() - self._spent, self._plane.forwarded()[0]

    def ciphers(self, count: int) -> float:
        """Seconds that opening and sealing one packet take on this core, nothing else."""
        return raw_open(PLAIN + 1, count) + raw_seal(PLAIN + 1, count)


class Sender:
    """Sends packets that were sealed beforehand, as fast as they arrive at the sink."""

    def __init__(self, key: bytes, port: int, buffers: int, arrived: Any) -> None:
        self._arrived = arrived
        self._buffers = sealed(key, forward_packet(), buffers, PER_READ)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        self._sock.bind((HOST, port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, port: int) -> float:
        """Send all to a port; returns when it started."""
        segment = [(SOL_UDP, UDP_SEGMENT, DATAGRAM.to_bytes(2, sys.byteorder))]
        started, gone = time.monotonic(), int(self._arrived.value)
        for buffer in self._buffers:
            gone = self._wait(gone)
            self._sock.sendmsg([buffer], segment, 0, (HOST, port))
            gone += PER_READ
        return started

    def _wait(self, gone: int) -> int:
        """Wait for room in the window; returns the count corrected by what was lost."""
        seen, since = int(self._arrived.value), time.monotonic()
        while gone - self._arrived.value > WINDOW - PER_READ:
            time.sleep(0.0002)
            if self._arrived.value != seen:
                seen, since = int(self._arrived.value), time.monotonic()
            elif time.monotonic() - since > STALL:
                return seen
        return gone


class Sink:
    """Counts what arrives."""

    def __init__(self, port: int, arrived: Any) -> None:
        self._arrived, self._last = arrived, 0.0
        self._buffer = bytearray(BUFFER)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        self._sock.setsockopt(SOL_UDP, UDP_GRO, 1)
        self._sock.bind((HOST, port))

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._readable)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._sock.close()

    def _readable(self) -> None:
        while True:
            try:
                length = self._sock.recvmsg_into([self._buffer], 64)[0]
            except BlockingIOError:
                return
            self._arrived.value += -(-length // DATAGRAM)
            self._last = time.monotonic()

    async def settle(self, expected: int) -> float:
        """Wait until so many have come in all, or no more come; when the last one came."""
        seen = -1
        while self._arrived.value < expected and self._arrived.value != seen:
            seen = self._arrived.value
            await asyncio.sleep(STALL)
        return self._last


VARIANTS = {
    "forwarder.pure.1400B": (True, True),
    "forwarder.pure.1400B.unbatched": (False, True),
    "forwarder.pure.1400B.asyncio": (True, False),
}
"""(GRO and GSO, uvloop)"""


@benchmark(*VARIANTS, "forwarder.pure.1400B.cpu", "forwarder.pure.1400B.wall")
def forwarding(scale: Scale) -> Iterator[Result]:
    """All variants take turns; what they are compared with runs on the forwarder's core."""
    key, port, sink_port = os.urandom(32), free_port(), free_port()
    first, other = cores()
    arrived = RawValue(ctypes.c_uint64, 0)
    buffers = scale.of(500, 150)
    with ExitStack() as stack:
        sender = stack.enter_context(Child(Sender, key, port, buffers, arrived, core=other))
        sink = stack.enter_context(Child(Sink, sink_port, arrived, core=other))
        forwarders = [
            stack.enter_context(
                Child(Forwarder, key, port, sink_port, offload, core=first, fast=fast)
            )
            for offload, fast in VARIANTS.values()
        ]
        spent: list[list[float]] = [[] for _ in forwarders]
        wall, bound = [], []
        for turn in range(scale.runs + 1):
            for number, forwarder in enumerate(forwarders):
                cost, elapsed = _round(sender, forwarder, sink, arrived, buffers)
                spent[number] += [cost] if turn else []
                wall += [elapsed] if turn and not number else []
            bound += [forwarders[0].ask("ciphers", scale.of(9000, 3000))] if turn else []
    yield from _results(spent, wall, bound)


def _round(
    sender: Child, forwarder: Child, sink: Child, arrived: Any, buffers: int
) -> tuple[float, float]:
    """(processor time, time) a packet."""
    forwarder.ask("start")
    before = arrived.value
    started = sender.ask("send", forwarder.ask("where"))
    ended = sink.ask("settle", before + buffers * PER_READ)
    spent, forwarded = forwarder.ask("stop")
    came = arrived.value - before
    if not came or not forwarded:
        raise RuntimeError("nothing came through the forwarder")
    return spent / forwarded, (ended - started) / came


def _results(spent: list[list[float]], wall: list[float], bound: list[float]) -> Iterator[Result]:
    bits = 8 * PLAIN / GIGA
    name, unbatched, plain = VARIANTS
    rate = [[bits / seconds for seconds in each] for each in spent]
    ciphers = [bits / seconds for seconds in bound]
    yield Result.of(name, "Gbit/s", rate[0], "cryptography", ciphers)
    yield Result.of(
        f"{name}.cpu",
        "µs",
        [seconds * MICRO for seconds in spent[0]],
        "cryptography",
        [seconds * MICRO for seconds in bound],
    )
    yield Result.of(f"{name}.wall", "Gbit/s", [bits / s for s in wall], "per core", rate[0])
    yield Result.of(unbatched, "Gbit/s", rate[1], "batched", rate[0])
    yield Result.of(plain, "Gbit/s", rate[2], "uvloop", rate[0])
