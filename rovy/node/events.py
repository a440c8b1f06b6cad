"""What a node tells its user, and the statistics it gives."""

from dataclasses import dataclass
from typing import Literal

from rovy.address.keys import PeerID
from rovy.address.path import Path

Kind = Literal[
    "session_established",
    "session_closed",
    "path_changed",
    "peering_up",
    "peering_down",
    "version_mismatch",
    "label_mended",
]


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """Something happened; `detail` is a reason, a path or a version, for people and logs."""

    kind: Kind
    peer: PeerID
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PathInfo:
    """One path of a session."""

    path: Path
    valid: bool
    active: bool
    warm: bool
    suspect: bool
    rtt: float | None
    """Smoothed, seconds."""
    loss: float
    """Share of probes unanswered."""
    mtu: int
    """Bytes of the largest datagram."""
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session."""

    id: int
    peer: PeerID
    state: str
    age: float
    """Seconds since it was opened."""
    key_age: float | None
    """Seconds since its keys were made."""
    kept: bool
    initiator: bool | None
    slot: int
    """Our slot for it; 0 where it is no peering."""
    their_slot: int
    name: str
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    paths: tuple[PathInfo, ...]


@dataclass(frozen=True, slots=True)
class Stats:
    """All counters of a node; every drop has a reason."""

    dropped: dict[str, int]
    """Packets dropped by the data plane."""
    refused: dict[str, int]
    """Handshakes turned away."""
    notices_sent: dict[str, int]
    notices_believed: dict[str, int]
    notices_ignored: dict[str, int]
    underlay: dict[str, int]
    node: dict[str, int]
    """Requests, pieces, handlers."""
    forwarded_packets: int
    forwarded_bytes: int
    sessions: int
    peerings: int
