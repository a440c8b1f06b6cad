"""Data planes with tables filled in, packets for them, and an underlay that only remembers."""

import os
import socket
from collections.abc import Sequence

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.pure import PureDataPlane
from rovy.dataplane.types import FORWARD_CODEC, Run
from rovy.io.base import LocalAddress, LocalSocket, Receiver
from rovy.noise.handshake import NO_PSK
from rovy.noise.mac import mac, mac1_key
from rovy.session.guard import Limits
from rovy.wire.datagram import MAC, Hello
from rovy.wire.forward import FIRST_WIDE, emit_header

HOST = "127.0.0.1"
PLAIN = 1400
"""Bytes of a forward packet, header and inner datagram."""
DATAGRAM = PLAIN + 29
PER_READ = 45
"""Datagrams of that size which one GSO send or GRO read takes."""
UNLIMITED = Limits(*[1e9] * 5)
HELLO = 400
NOW = 1.0


def direct(port: int, host: str = HOST) -> Direct:
    """The path to a port, as the underlay names it where a datagram came from there."""
    return Direct(0, Endpoint(host, port), HOST)


def stranger(number: int) -> Direct:
    """One of 131,072 addresses set apart for benchmarks; nothing is ever sent there."""
    return direct(1024 + number % 60000, text_of(number))


def text_of(number: int) -> str:
    """The host of a stranger."""
    return f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}"


def free_port() -> int:
    """A UDP port that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def add_peering(
    plane: PureDataPlane, number: int, path: Direct, key: bytes, slot: int = 0, address: bytes = b""
) -> None:
    """Session `number` with one path; receiver index 100 + number; one key for both ways."""
    plane.add_session(number, address or number.to_bytes(16, "big"))
    plane.add_path(number, path)
    plane.set_path(number, path, 9000)
    plane.set_direct(number, path, 9000)
    plane.add_opener(number, 100 + number, bytearray(key), confirmed=True)
    plane.set_sealer(number, 100 + number, bytearray(key), FORWARD_CODEC)
    if slot:
        plane.set_slot(slot, number)


def forwarder_plane(source: Direct, target: Direct, key: bytes) -> PureDataPlane:
    """A node in between: session 1 with slot 1 comes from `source`, session 2 goes on."""
    plane = PureDataPlane()
    add_peering(plane, 1, source, key, slot=1)
    add_peering(plane, 2, target, key, slot=2)
    return plane


def forward_packet(slot: int = 2, *, wide: bool = False, size: int = PLAIN) -> bytes:
    """What is sealed to a forwarder, after the codec byte: it is to leave by `slot`."""
    entry = bytes((FIRST_WIDE + (slot >> 8), slot & 0xFF)) if wide else bytes((slot,))
    header = emit_header(entry)
    return header + b"\x04" + os.urandom(size - len(header) - 1)


def sealed(key: bytes, payload: bytes, buffers: int, each: int, codec: int = 1) -> list[bytes]:
    """Buffers as a GRO read gives them, `each` datagrams sealed for session 1's receiver."""
    plane, path = PureDataPlane(), direct(1)
    add_peering(plane, 1, path, key)
    made = []
    for _ in range(buffers):
        runs = plane.seal(1, codec, [payload] * each, NOW).runs
        made.append(b"".join(bytes(run.data) for run in runs))
    return made


def forged_hellos(responder: bytes, count: int) -> list[bytes]:
    """Hellos whose mac1 is right and whose Noise message is not."""
    key, hellos = mac1_key(responder, NO_PSK), []
    for number in range(count):
        signed = Hello(number, os.urandom(HELLO - 8 - 2 * MAC), b"", b"").signed()
        hellos.append(signed + mac(key, signed) + bytes(MAC))
    return hellos


class BareReceiver:
    """The parts of a `Receiver` that matter to no benchmark."""

    def knows(self, source: Direct) -> bool:
        """See `Receiver`."""
        return True

    def send_failed(self, path: Direct, reason: str, size: int) -> None:
        """See `Receiver`."""

    def addresses_changed(self) -> None:
        """See `Receiver`."""


class MemoryUnderlay:
    """Implements `Underlay`: keeps what is sent in `sent`."""

    def __init__(self) -> None:
        self.sent: list[tuple[Direct, bytes]] = []
        self.at = NOW

    async def open(self, listen: Sequence[Endpoint], receiver: Receiver) -> list[LocalSocket]:
        """See `Underlay`."""
        return [LocalSocket(0, listen[0])]

    def now(self) -> float:
        """See `Underlay`."""
        return self.at

    def send(self, run: Run) -> None:
        """See `Underlay`."""
        data = bytes(run.data)
        for at in range(0, len(data), run.size):
            self.sent.append((run.path, data[at : at + run.size]))

    def addresses(self) -> list[LocalAddress]:
        """See `Underlay`."""
        return []

    async def resolve(self, host: str, *, v6: bool) -> list[str]:
        """See `Underlay`."""
        return []

    def counters(self) -> dict[str, int]:
        """See `Underlay`."""
        return {}

    async def close(self) -> None:
        """See `Underlay`."""
