"""Real UDP sockets: GRO in, GSO out, the source address of each path chosen with PKTINFO.

Works on uvloop and on asyncio alike through `add_reader`; where the kernel has no GRO or GSO,
datagrams are read or sent one by one. docs/architecture.md §5
"""

import asyncio
import errno
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from struct import Struct

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.types import Run
from rovy.errors import Malformed, UsageError
from rovy.io.base import LocalAddress, LocalSocket, Receiver
from rovy.io.fair import FairQueue
from rovy.io.ingress import BUFFER, Ingress
from rovy.io.interfaces import Watcher, local_addresses
from rovy.io.sockaddr import IP_PKTINFO, IPV6_PKTINFO, Address, Ancillary, destination, direct

SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
IPV6_RECVPKTINFO = 49
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE = 10, 23, 3
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
MSG_TRUNC = int(socket.MSG_TRUNC)
MAX_SEGMENTS = 64
MAX_BYTES = 65000
SOCKET_BUFFER = 4 << 20
READS = 64
"""Reads per readiness, before others get their turn."""
SOURCES = 16384
MAX_PORT = 65535
_SEGMENT = Struct("=H")
_GONE = {errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENODEV}


class UdpUnderlay:
    """Implements `Underlay` on the machine's own sockets."""

    def __init__(self, port_tries: int = 16, *, offload: bool = True) -> None:
        self._port_tries, self._offload = port_tries, offload
        self._sockets: list[UdpSocket] = []
        self._watcher: Watcher | None = None
        self._ingress = Ingress()
        self._addresses: list[LocalAddress] | None = None

    async def open(self, listen: Sequence[Endpoint], receiver: Receiver) -> list[LocalSocket]:
        """See `Underlay`. All sockets get the same port: the named one or one after it."""
        if not listen:
            raise UsageError("name at least one address to listen on")
        bound = self._bind(listen)
        loop = asyncio.get_running_loop()
        self._ingress.start(loop, receiver)
        for number, sock in enumerate(bound):
            self._sockets.append(
                UdpSocket(number, sock, loop, receiver, self._ingress, self._offload)
            )
        self._watcher = Watcher(loop, lambda: self._changed(receiver))
        return [LocalSocket(s.number, s.bound) for s in self._sockets]

    def now(self) -> float:
        """See `Underlay`; the loop's own clock has whole milliseconds on uvloop."""
        return time.monotonic()

    def send(self, run: Run) -> None:
        """See `Underlay`."""
        if run.path.socket < len(self._sockets):
            self._sockets[run.path.socket].send(run)

    def addresses(self) -> list[LocalAddress]:
        """See `Underlay`."""
        if self._addresses is None or not (self._watcher and self._watcher.hears):
            self._addresses = local_addresses()
        return self._addresses

    async def resolve(self, host: str, *, v6: bool) -> list[str]:
        """See `Underlay`."""
        family = socket.AF_INET6 if v6 else socket.AF_INET
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, None, family=family, type=socket.SOCK_DGRAM
            )
        except OSError:
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def counters(self) -> dict[str, int]:
        """See `Underlay`."""
        total: Counter[str] = Counter(self._ingress.counts)
        for each in self._sockets:
            total.update(each.counts)
        return dict(total)

    async def close(self) -> None:
        """See `Underlay`."""
        self._ingress.stop()
        if self._watcher:
            self._watcher.close()
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def _changed(self, receiver: Receiver) -> None:
        self._addresses = None
        receiver.addresses_changed()

    def _bind(self, listen: Sequence[Endpoint]) -> list[socket.socket]:
        last: OSError | None = None
        for shift in range(self._port_tries + 1):
            sockets: list[socket.socket] = []
            if max(endpoint.port for endpoint in listen) + shift > MAX_PORT:
                break
            try:
                for endpoint in listen:
                    sockets.append(_bound(endpoint, endpoint.port + shift))
                return sockets
            except OSError as error:
                last = error
                for each in sockets:
                    each.close()
                if error.errno != errno.EADDRINUSE:
                    break
        names = ", ".join(map(str, listen))
        raise UsageError(f"cannot listen on {names}: {last}; choose another address or port")


class UdpSocket:
    """One bound socket, read by readiness, written at once or, when full, in fair turns."""

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        receiver: Receiver,
        ingress: Ingress,
        offload: bool,
    ) -> None:
        self.number = number
        host, port = sock.getsockname()[:2]
        self.bound = Endpoint(host, port)
        self.counts: Counter[str] = Counter()
        self._sock, self._loop, self._receiver, self._ingress = sock, loop, receiver, ingress
        self._v6 = sock.family == socket.AF_INET6
        self._gso = offload
        self._gro = offload and _try_option(sock, SOL_UDP, UDP_GRO, 1)
        self._size = BUFFER if self._gro else 9216
        self._sources: dict[tuple[Address, bytes], Direct] = {}
        self._targets: dict[Direct, tuple[Address, Ancillary]] = {}
        self._waiting: FairQueue[int, Run] = FairQueue()
        loop.add_reader(sock.fileno(), self._readable)

    def send(self, run: Run) -> None:
        """Send, or queue behind what waits already."""
        rest = run if self._waiting else self._try_send(run)
        if rest:
            self._queue(rest)

    def close(self) -> None:
        """Stop reading and close."""
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()

    # In

    def _readable(self) -> None:
        for _ in range(READS):
            buffer = self._ingress.buffer()
            try:
                length, ancillary, flags, address = self._sock.recvmsg_into(
                    [memoryview(buffer)[: self._size]], 128
                )
            except BlockingIOError:
                self._ingress.give_back(buffer)
                break
            except OSError as error:
                self.counts[f"read error: {errno.errorcode.get(error.errno or 0)}"] += 1
                self._ingress.give_back(buffer)
                break
            self._read(buffer, length, ancillary, flags, address)
        self._ingress.run()

    def _read(
        self, buffer: bytearray, length: int, ancillary: Ancillary, flags: int, address: Address
    ) -> None:
        size, info = length, b""
        for level, kind, data in ancillary:
            if level == SOL_UDP and kind == UDP_GRO:
                size = int.from_bytes(data, sys.byteorder)
            elif kind in (IP_PKTINFO, IPV6_PKTINFO):
                info = data
        if flags & MSG_TRUNC or not length or size <= 0:
            self.counts["truncated" if length else "empty"] += 1
            self._ingress.give_back(buffer)
            return
        source = self._sources.get((address, info)) or self._source(address, info)
        self.counts["packets_received"] += -(-length // size)
        self.counts["bytes_received"] += length
        if source is None:
            self._ingress.give_back(buffer)
        elif not self._ingress.put(source, buffer, length, size):
            self.counts["ingress queue full"] += -(-length // size)

    def _source(self, address: Address, info: bytes) -> Direct | None:
        try:
            source = direct(self.number, address, info, v6=self._v6)
        except (Malformed, OSError):
            self.counts["unusable source"] += 1
            return None
        if len(self._sources) >= SOURCES:
            self._sources.clear()
        self._sources[(address, info)] = source
        return source

    # Out

    def _try_send(self, run: Run) -> Run | None:
        """Send what the kernel takes; the rest where the socket is full."""
        target = self._targets.get(run.path) or self._target(run.path)
        size, data = run.size, memoryview(run.data)
        most = max(1, min(MAX_SEGMENTS, MAX_BYTES // size)) * size if self._gso else size
        for at in range(0, len(data), most):
            part = data[at : at + most]
            try:
                self._send_part(part, size, *target)
            except BlockingIOError:
                return Run(run.path, size, bytes(data[at:]), run.ingress)
            except OSError as error:
                if len(part) > size and self._gso and error.errno in (errno.EIO, errno.EINVAL):
                    self._gso = False
                    self.counts["offload refused"] += 1
                    return self._try_send(Run(run.path, size, data[at:], run.ingress))
                self._failed(run.path, error, size)
                return None
        return None

    def _send_part(
        self, part: memoryview, size: int, address: Address, ancillary: Ancillary
    ) -> None:
        if len(part) > size:
            segment = (SOL_UDP, UDP_SEGMENT, _SEGMENT.pack(size))
            self._sock.sendmsg([part], [*ancillary, segment], 0, address)
        else:
            self._sock.sendmsg([part], ancillary, 0, address)
        self.counts["packets_sent"] += -(-len(part) // size)
        self.counts["bytes_sent"] += len(part)

    def _target(self, path: Direct) -> tuple[Address, Ancillary]:
        if len(self._targets) >= SOURCES:
            self._targets.clear()
        target = destination(path, v6=self._v6)
        self._targets[path] = target
        return target

    def _failed(self, path: Direct, error: OSError, size: int) -> None:
        name = errno.errorcode.get(error.errno or 0, "unknown")
        self.counts[f"send error: {name}"] += 1
        if error.errno == errno.EMSGSIZE:
            self._loop.call_soon(self._receiver.send_failed, path, "too big", size)
        elif error.errno in _GONE or error.errno == errno.EINVAL:
            self._loop.call_soon(self._receiver.send_failed, path, name, size)

    def _queue(self, run: Run) -> None:
        kept = Run(run.path, run.size, bytes(run.data), run.ingress)
        if not self._waiting:
            self._loop.add_writer(self._sock.fileno(), self._writable)
        if not self._waiting.put(run.ingress, kept, len(kept.data)):
            self.counts["egress queue full"] += -(-len(kept.data) // run.size)

    def _writable(self) -> None:
        for _ in range(READS):
            taken = self._waiting.take()
            if taken is None:
                break
            rest = self._try_send(taken[1])
            if rest:
                self._waiting.put_back(taken[0], rest, len(rest.data))
                break
        if not self._waiting:
            self._loop.remove_writer(self._sock.fileno())


def _bound(endpoint: Endpoint, port: int) -> socket.socket:
    v6 = endpoint.is_v6
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for forced, usual in (
            (SO_RCVBUFFORCE, socket.SO_RCVBUF),
            (SO_SNDBUFFORCE, socket.SO_SNDBUF),
        ):
            if not _try_option(sock, socket.SOL_SOCKET, forced, SOCKET_BUFFER):
                sock.setsockopt(socket.SOL_SOCKET, usual, SOCKET_BUFFER)
        if v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
        zone = socket.if_nametoindex(endpoint.zone) if endpoint.zone else 0
        sock.bind((endpoint.host, port, 0, zone) if v6 else (endpoint.host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _try_option(sock: socket.socket, level: int, option: int, value: int) -> bool:
    try:
        sock.setsockopt(level, option, value)
    except OSError:
        return False
    return True
