"""The data plane's interface: tables in, batches in, runs and events out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from rovy.address.path import Direct, Path
from rovy.wire.notice import Code

FORWARD_CODEC = 1
"""Index of `forward` in every node's own multigram table."""
HARD_LIMIT = (1 << 56) - (1 << 16)
"""Counter at which a key stops sealing, far before the field would wrap."""


class Drop(StrEnum):
    """Why a packet was dropped; each is a counter."""

    SHORT = "short"
    TYPE = "type"
    INDEX = "index"
    AUTH = "auth"
    REPLAY = "replay"
    CODEC = "codec"
    HEADER = "forward_header"
    LABEL = "label_length"
    NO_PEERING = "no_peering"
    UNKNOWN_SLOT = "unknown_slot"
    LINK_DOWN = "link_down"
    TOO_BIG = "too_big"
    TOO_NARROW = "too_narrow"
    U_TURN = "u_turn"
    NO_KEY = "no_key"
    EXHAUSTED = "counter_exhausted"
    NO_PATH = "no_path"
    BARE_NOTICE = "bare_notice"
    IP6 = "ip6_header"
    IP6_SOURCE = "ip6_source"
    IP6_DESTINATION = "ip6_destination"
    IP6_MULTICAST = "ip6_multicast"
    IP6_LINK_LOCAL = "ip6_link_local"


class Held(StrEnum):
    """Why an IPv6 packet of ours did not leave; the control plane decides what becomes of it."""

    NO_SESSION = "no_session"
    TOO_BIG = "too_big"
    PIECES = "pieces"
    EXPIRED = "expired"
    NO_IP6 = "no_ip6"


@dataclass(frozen=True, slots=True)
class Run:
    """Datagrams of one size for one path, the last possibly shorter, end to end in `data`.

    `data` may be a view of the buffer that was handed in: send or copy it before the next call.
    """

    path: Direct
    size: int
    data: bytes | bytearray | memoryview
    ingress: int = 0
    """Slot the packets came from; 0 where they are our own."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """A hello, response or cookie reply, and the path it came by."""

    datagram: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class NoticeReceived:
    """A notice from inside a forward packet, and the label back to its sender."""

    datagram: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class Received:
    """A payload that authenticated."""

    session: int
    index: int
    """Receiver index of the key it was sealed for."""
    codec: int
    payload: bytes
    path: Path
    size: int
    """Bytes of the whole datagram."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The first packet under a key that was unconfirmed authenticated."""

    session: int
    index: int
    path: Path


@dataclass(frozen=True, slots=True)
class PathSeen:
    """The newest packet of a session came by a path it does not have."""

    session: int
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Watch:
    """A session sent its first packet since it was last answered; told once until `unwatch`."""

    session: int


@dataclass(frozen=True, slots=True)
class PathDown:
    """A packet could not leave: the first hop of its label has no working direct path."""

    session: int
    path: Path


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A session's key has no counters left."""

    session: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A forward packet was refused; what a notice about it needs."""

    code: Code
    mtu: int
    arrival: int
    """Slot it came from."""
    travelled: bytes
    """Label bytes before its position: read backwards they lead back from that slot."""
    quote: bytes


@dataclass(frozen=True, slots=True)
class PacketHeld:
    """An IPv6 packet of ours is not sent as it is."""

    why: Held
    session: int
    """0 where there is none."""
    packet: bytes
    """The whole packet."""
    mtu: int = 0
    """Bytes of the largest packet its path takes, with `TOO_BIG`."""


Event = (
    Handshake
    | NoticeReceived
    | Received
    | Confirmed
    | PathSeen
    | Watch
    | PathDown
    | Exhausted
    | Refused
    | PacketHeld
)


@dataclass(slots=True)
class Output:
    """What one call gives back."""

    runs: list[Run] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)
    """IPv6 packets for this machine."""
    used: set[int] = field(default_factory=set)
    """Sessions that carried IPv6 packets."""


@dataclass(frozen=True, slots=True)
class PathTraffic:
    """Counts of one path of one session; times by the caller's clock, 0.0 for never."""

    sent_at: float
    received_at: float
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True, slots=True)
class SessionTraffic:
    """Counts of one session."""

    counter: int
    """Next counter of the sealing key."""
    sent_at: float
    received_at: float
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int


class DataPlane(Protocol):
    """Tables by number, one call a batch. Keys are wiped by whoever is handed them."""

    def set_own(self, address: bytes, ip6_codec: int) -> None:
        """Own address in fc00::/8, and the index of `ip6` in the own table; 0: not taken."""

    def add_session(self, session: int, address: bytes) -> None:
        """A session without keys or paths, with the node of that address."""

    def remove_session(self, session: int) -> None:
        """Forget a session, its openers, slot and paths."""

    def add_opener(self, session: int, index: int, key: bytearray, *, confirmed: bool) -> None:
        """Packets for receiver `index` open with this key; the key's bytes are wiped."""

    def confirm_opener(self, index: int) -> None:
        """The key is in use: tell no more."""

    def remove_opener(self, index: int) -> None:
        """Forget a receiving key."""

    def set_sealer(self, session: int, index: int, key: bytearray, forward_codec: int) -> None:
        """The session seals with this key for the peer's receiver `index`; counters start at 0."""

    def clear_sealer(self, session: int) -> None:
        """Forget the sealing key."""

    def set_ip6(self, session: int, codec: int) -> None:
        """Index of `ip6` in the peer's table; 0: it takes none."""

    def set_path(self, session: int, path: Path | None, mtu: int) -> None:
        """The path that carries the session's data, and its largest datagram in bytes."""

    def set_direct(self, session: int, path: Direct | None, mtu: int) -> None:
        """The direct path its forward packets leave by, and its largest datagram in bytes."""

    def add_path(self, session: int, path: Path) -> None:
        """A path whose packets are the session's, counted apart."""

    def remove_path(self, session: int, path: Path) -> None:
        """Forget a path's counts; packets from it are `PathSeen` again."""

    def set_slot(self, slot: int, session: int | None) -> None:
        """Give a slot to a session's peering, or free it."""

    def waiting(self, session: int) -> float:
        """When the first packet since the last answer on the active path was sent; 0.0: none."""

    def unwatch(self, session: int) -> None:
        """Let the session's next packet give `Watch` again."""

    def traffic(self, session: int) -> SessionTraffic:
        """Counts of a session."""

    def path_traffic(self, session: int, path: Path) -> PathTraffic:
        """Counts of one of its paths."""

    def receive(
        self, buffer: bytearray, length: int, size: int, source: Direct, now: float
    ) -> Output:
        """Handle `length` bytes of datagrams, each `size` long but the last; overwrites them."""

    def seal(
        self,
        session: int,
        codec: int,
        payloads: Sequence[bytes],
        now: float,
        path: Path | None = None,
        *,
        expects: bool = True,
    ) -> Output:
        """Seal payloads for the session's peer, over its active path or the one named.

        `expects`: whether something should come back, so that silence means a fault.
        """

    def transmit(self, packets: Sequence[bytes], now: float) -> Output:
        """Seal IPv6 packets for whom they are addressed to. docs/protocol/ip6.md"""

    def expand(self, session: int, payload: bytes) -> Output:
        """Make an IPv6 packet again of one that came in pieces."""

    def carry(self, path: Path, datagram: bytes, now: float) -> Output:
        """Send a whole datagram (handshake, notice) over a path."""

    def recent(self, session: int, now: float) -> tuple[int, int, int]:
        """(peer's index, first counter that may have been used in the last 5 s, next counter)."""

    def drops(self) -> Mapping[str, int]:
        """Packets dropped, by reason."""

    def forwarded(self) -> tuple[int, int]:
        """(packets, bytes) switched for others."""
