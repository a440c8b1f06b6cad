"""What a node needs of the world below it: UDP sockets and an IPv6 interface, real or simulated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.types import Run


@dataclass(frozen=True, slots=True)
class LocalSocket:
    """An open socket."""

    number: int
    bound: Endpoint

    @property
    def is_v6(self) -> bool:
        """Whether it speaks IPv6."""
        return self.bound.is_v6


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """An address of an interface of this machine."""

    address: str
    interface: str
    ifindex: int


class Receiver(Protocol):
    """Who gets what the underlay reads: the node's engine."""

    def receive(self, buffer: bytearray, length: int, size: int, source: Direct) -> None:
        """`length` bytes of datagrams of `size` bytes each, the last possibly shorter."""

    def knows(self, source: Direct) -> bool:
        """Whether an open session uses that path: its packets queue apart from strangers'."""

    def send_failed(self, path: Direct, reason: str, size: int) -> None:
        """A datagram of `size` bytes was refused: `too big`, or the path does not work now."""

    def addresses_changed(self) -> None:
        """Addresses, links or routes of this machine changed."""


class Underlay(Protocol):
    """UDP sockets by number."""

    async def open(self, listen: Sequence[Endpoint], receiver: Receiver) -> list[LocalSocket]:
        """Bind and start to read. Raises `UsageError` where an address cannot be bound."""

    def now(self) -> float:
        """A steady clock, seconds, finer than a millisecond; never 0."""

    def send(self, run: Run) -> None:
        """Send now, or queue, or drop and count."""

    def addresses(self) -> list[LocalAddress]:
        """Addresses packets can leave from now."""

    async def resolve(self, host: str, *, v6: bool) -> list[str]:
        """Addresses of a name; empty where there are none."""

    def counters(self) -> dict[str, int]:
        """Packets and bytes in and out, and drops by reason."""

    async def close(self) -> None:
        """Close all sockets; nothing is received afterwards."""


class PacketSink(Protocol):
    """Who gets what programs of this machine send to fc00::/8: the node's edge."""

    def transmit(self, packets: list[bytes]) -> None:
        """IPv6 packets read from the interface, at most 64."""

    def interface_changed(self, problem: str) -> None:
        """It works (empty), or why it does not; also told when only its name changed."""


class Interface(Protocol):
    """The interface over which programs of this machine reach fc00::/8."""

    @property
    def name(self) -> str:
        """Its name now; whoever may can rename it."""

    @property
    def problem(self) -> str:
        """Why it does not work, with the remedy; empty where it does."""

    def open(self, address: bytes, sink: PacketSink) -> None:
        """Start with an address of 16 bytes. What fails is told to the sink and tried again."""

    def write(self, packets: Sequence[bytes | memoryview]) -> None:
        """Hand packets to the machine, or drop and count."""

    def counters(self) -> dict[str, int]:
        """Packets and bytes read and written, and drops by reason."""

    def close(self) -> None:
        """Close it; nothing is transmitted afterwards."""
