"""The underlay's sockets: packets read and written a second of processor time, on loopback."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.types import Run
from rovy.io.udp import _SEGMENT, SOCKET_BUFFER, SOL_UDP, UDP_SEGMENT, UdpUnderlay
from tests.bench.children import run_loop
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rig import DATAGRAM, HOST, PER_READ, BareReceiver, direct, free_port
from tests.bench.timing import rates

BURSTS = 20
"""Of 45 packets each: what fits into a socket's buffer."""
_SIZED = [(SOL_UDP, UDP_SEGMENT, _SEGMENT.pack(DATAGRAM))]


class Counter(BareReceiver):
    """A receiver that only counts; `wait_for` returns once so many came."""

    def __init__(self) -> None:
        self.came = 0
        self._wanted, self._done = 0, asyncio.Event()

    def receive(self, buffer: bytearray, length: int, size: int, source: Direct) -> None:
        """See `Receiver`."""
        self.came += -(-length // size)
        if self.came >= self._wanted:
            self._done.set()

    async def wait_for(self, more: int) -> None:
        """Wait for so many packets more."""
        self._wanted = self.came + more
        self._done.clear()
        async with asyncio.timeout(5):
            await self._done.wait()


@benchmark("udp.read.gro", "udp.read.single", "udp.write.gso", "udp.write.single")
def sockets(scale: Scale) -> Iterator[Result]:
    """Each way with offloads and without, against the plainest loop there is."""
    found: dict[str, list[float]] = run_loop(_measure(scale))
    for way, plain in (("read", "recvfrom"), ("write", "sendto")):
        for kind in ("gro" if way == "read" else "gso", "single"):
            name = f"udp.{way}.{kind}"
            yield Result.of(name, "packets/s", rates(found[name]), plain, rates(found[plain]))


async def _measure(scale: Scale) -> dict[str, list[float]]:
    far = _socket()
    fast, slow, receivers = UdpUnderlay(100), UdpUnderlay(100, offload=False), []
    ports = []
    for underlay in (fast, slow):
        receiver = Counter()
        (opened,) = await underlay.open([Endpoint(HOST, free_port())], receiver)
        receivers.append(receiver)
        ports.append(opened.bound.port)
    near = _socket()
    works: dict[str, Callable[[], Awaitable[float]]] = {
        "udp.read.gro": lambda: _read(far, receivers[0], ports[0]),
        "udp.read.single": lambda: _read(far, receivers[1], ports[1]),
        "recvfrom": lambda: _plain_read(far, near),
        "udp.write.gso": lambda: _write(fast, far),
        "udp.write.single": lambda: _write(slow, far),
        "sendto": lambda: _plain_write(near, far),
    }
    found: dict[str, list[float]] = {name: [] for name in works}
    rounds = scale.of(20, 6)
    for turn in range(scale.runs + 1):
        for name, work in works.items():
            spent = sum([await work() for _ in range(rounds)])
            found[name] += [spent / (rounds * BURSTS * PER_READ)] if turn else []
    for underlay in (fast, slow):
        await underlay.close()
    far.close()
    near.close()
    return found


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
    sock.setblocking(False)
    sock.bind((HOST, 0))
    return sock


def _fill(sock: socket.socket, address: Any) -> None:
    burst = bytes(DATAGRAM * PER_READ)
    for _ in range(BURSTS):
        sock.sendmsg([burst], _SIZED, 0, address)


def _drain(sock: socket.socket) -> int:
    came = 0
    while True:
        try:
            sock.recv(2048)
        except BlockingIOError:
            return came
        came += 1


async def _read(far: socket.socket, receiver: Counter, port: int) -> float:
    _fill(far, (HOST, port))
    started = time.process_time()
    await receiver.wait_for(BURSTS * PER_READ)
    return time.process_time() - started


async def _plain_read(far: socket.socket, near: socket.socket) -> float:
    _fill(far, near.getsockname())
    started = time.process_time()
    for _ in range(BURSTS * PER_READ):
        near.recvfrom(2048)
    return time.process_time() - started


async def _write(underlay: UdpUnderlay, far: socket.socket) -> float:
    run = Run(direct(far.getsockname()[1]), DATAGRAM, memoryview(bytes(DATAGRAM * PER_READ)))
    started = time.process_time()
    for _ in range(BURSTS):
        underlay.send(run)
    spent = time.process_time() - started
    assert _drain(far) == BURSTS * PER_READ
    return spent


async def _plain_write(near: socket.socket, far: socket.socket) -> float:
    address, data = far.getsockname(), bytes(DATAGRAM)
    started = time.process_time()
    for _ in range(BURSTS * PER_READ):
        near.sendto(data, address)
    spent = time.process_time() - started
    assert _drain(far) == BURSTS * PER_READ
    return spent
