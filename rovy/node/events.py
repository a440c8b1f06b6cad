"""What a node tells its user, and the statistics it gives."""

from dataclasses import dataclass
from typing import Literal

from rovy.address.keys import PeerID
from rovy.address.label import Label
from rovy.address.path import Path

Kind = Literal[
    "session_established",
    "session_closed",
    "path_changed",
    "peering_up",
    "peering_down",
    "version_mismatch",
    "label_mended",
    "interface",
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
class RouteInfo:
    """One way to a node."""

    peer: PeerID
    label: Label | None
    """None for the direct path of a session that is no peering: it has no slot."""
    hops: tuple[PeerID | None, ...]
    """Nodes along it, the target last; None where the map does not name them."""
    via: str
    """The direct path of a session; empty where the route has a label only."""
    state: str
    """active, warm (tried often), works, trying, suspect, or offered (by the map, not in use)."""
    cost: float | None
    """Seconds, as the map has it; None where the map has no such route."""
    rtt: float | None
    """Seconds, as measured end to end."""
    mtu: int
    """Bytes of the longest IPv6 packet."""
    age: float | None
    """Seconds since the session took it up."""
    why: str
    """Why it was chosen, for people."""
    packets_sent: int = 0
    packets_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


@dataclass(frozen=True, slots=True)
class MapInfo:
    """What a node knows of the network."""

    nodes: int
    """Reachable over links of the map, itself included."""
    links: int
    records: int
    waiting: int
    """Records that no link leads to yet."""
    radius: float | None
    """Seconds of cost; None: no bound, the map is the whole network."""


@dataclass(frozen=True, slots=True)
class StepInfo:
    """One question of a lookup."""

    peer: PeerID
    """Who was asked."""
    route: str
    """Over which way: a label, or a direct path."""
    shared: int
    """Bits its id has in common with the target, from the first on."""
    rtt: float | None
    """Seconds to the answer; None where none came."""
    result: str
    """`value`, `contacts`, `no answer`, `refused` or `bad answer`."""
    contacts: int
    """How many new nodes it named."""


@dataclass(frozen=True, slots=True)
class LocatorInfo:
    """What a node told of where it is."""

    peer: PeerID
    sequence: int
    """Milliseconds since 1970."""
    ttl: int
    """Seconds."""
    anchors: tuple[tuple[bytes, ...], ...]
    """Paths by shorts, from an anchor to the node before it; empty: it is an anchor itself."""
    links: tuple[bytes, ...]
    """Shorts of peers."""
    endpoints: tuple[str, ...]
    """Multiaddrs."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class LookupInfo:
    """What a lookup brought."""

    target: bytes
    """20 bytes."""
    bits: int
    """How many of them count: 160, or 120 for an address."""
    locator: LocatorInfo | None
    nearest: tuple[PeerID, ...]
    """The nodes nearest to the target that answered."""
    steps: tuple[StepInfo, ...]
    took: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class RecordInfo:
    """A signed record that the network keeps."""

    kind: str
    """`name`, `service`, or a number from 128 on."""
    peer: PeerID
    """Who signed it."""
    name: str
    body: bytes
    sequence: int
    """Milliseconds since 1970."""
    ttl: int
    """Seconds."""


@dataclass(frozen=True, slots=True)
class PutInfo:
    """Who took a record."""

    stored: int
    """Nodes that keep it now."""
    asked: int
    refused: dict[str, int]
    """By reason."""


@dataclass(frozen=True, slots=True)
class AnchorInfo:
    """A node that all know a way to."""

    peer: PeerID
    state: str
    """`seated`, `candidate`, or `self`."""
    hops: int
    cost: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class DhtInfo:
    """The DHT, as this node sees it."""

    contacts: int
    buckets: int
    values: dict[str, int]
    """Values kept for others, by kind: `locator`, `name`, `service`, numbers."""
    published: int
    """Own values."""
    size: float | None
    """Nodes in the network, estimated; None: not known yet."""
    exact: bool
    """Whether the size is counted, since the map is the whole network."""
    lookups: int
    found: int
    requests: int
    """Sent in lookups and upkeep."""
    unanswered: int
    answered: dict[str, int]
    """Requests of others, by type."""
    joined: bool
    """Whether a lookup of the own id succeeded."""
    anchors: tuple[AnchorInfo, ...]


@dataclass(frozen=True, slots=True)
class MapLink:
    """A link of a node, as the map has it."""

    peer: PeerID
    slot: int
    """The node's for the peer."""
    cost: float
    """Seconds."""
    mtu: int
    """Bytes of the largest forward packet."""


@dataclass(frozen=True, slots=True)
class MapNode:
    """A node of the map that links lead to."""

    peer: PeerID
    cost: float
    """Seconds, along the cheapest route."""
    hops: int
    """Of that route; 0 for this node itself."""
    links: tuple[MapLink, ...]


@dataclass(frozen=True, slots=True)
class TracedHop:
    """A node along a route that was asked for its name."""

    expected: PeerID | None
    """Whom the map has there."""
    peer: PeerID | None
    """Who answered, proved by a signature; None where nobody did."""
    rtts: tuple[float | None, ...]
    """Seconds; None for a question without an answer."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A route, hop by hop, the target last."""

    peer: PeerID | None
    """The target; None for a label whose end neither answers nor is in the map."""
    label: Label | None
    """None for the direct path of a session that is no peering."""
    hops: tuple[TracedHop, ...]


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
    routing: dict[str, int]
    """Records and messages about them."""
    interface: dict[str, int]
    """Packets between programs and the node, ICMPv6 made, and drops."""
    sessions: int
    peerings: int
