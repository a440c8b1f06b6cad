"""Routes, the map, and what measures them."""

from msgspec import Struct

from rovy.api.schema.failure import Step


class Hop(Struct, frozen=True):
    """A node along a route."""

    peer_id: str
    """Empty where the map does not name it."""
    name: str
    slot: int
    """The slot for it of the node before; 0 where there is none."""


class Route(Struct, frozen=True):
    """One way to a node."""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    label: str
    """`/rovyrt/…`; empty for the direct path of a session that is no peering."""
    hops: list[Hop]
    """The node itself last."""
    via: str
    """Endpoint of a direct path, `local->` before it where that is fixed; else empty."""
    state: str
    """active, warm (held ready), works, trying, suspect, or offered (by the map, not in use)"""
    cost: float | None
    """Seconds, as the map has it: RTT / 2 and 1 ms for each hop."""
    rtt: float | None
    """Seconds, measured end to end."""
    mtu: int
    """Bytes of the longest IPv6 packet."""
    age: float | None
    """Seconds since it was taken up."""
    why: str
    """Why it was chosen."""
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int


class Routes(Struct, frozen=True):
    """GET /v1/routes"""

    routes: list[Route]


class Resolved(Struct, frozen=True):
    """POST /v1/resolve"""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    took: float
    """Seconds."""
    routes: list[Route]
    """The best first; none to the node itself."""
    steps: list[Step]
    """In the DHT, if it was asked for."""


class MapLink(Struct, frozen=True):
    """A link of a node."""

    peer_id: str
    """Of the other end."""
    name: str
    slot: int
    """The node's for the other end."""
    cost: float
    """Seconds."""
    mtu: int
    """Bytes of the largest forward packet."""


class MapNode(Struct, frozen=True):
    """A node that is known."""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    cost: float
    """Seconds, by the cheapest route."""
    hops: int
    """Of that route; 0 for this node itself."""
    links: list[MapLink]


class Map(Struct, frozen=True):
    """GET /v1/map"""

    nodes: list[MapNode]
    """The nearest first: this one."""
    links: int
    records: int
    waiting: int
    """Records that no link leads to yet."""
    radius: float | None
    """Seconds of cost up to which nodes are known; null: all of them."""


class TracedHop(Struct, frozen=True):
    """A node along a route that was asked who it is."""

    peer_id: str
    """Who answered, proved by a signature; empty where nobody did."""
    address: str
    name: str
    expected: str
    """PeerID that the map has there; empty where it does not say."""
    rtts: list[float | None]
    """Seconds of each question; null where no answer came."""


class Traced(Struct, frozen=True):
    """POST /v1/traceroute"""

    peer_id: str
    """The target; empty where a label's end is not known."""
    address: str
    name: str
    label: str
    """The route that was followed; empty for a direct path without one."""
    reached: bool
    """Whether the target answered."""
    hops: list[TracedHop]


class Pong(Struct, frozen=True):
    """POST /v1/ping"""

    peer_id: str
    rtt: float
    """Seconds."""
    route: str
    """Endpoint or label; `local` for the node itself."""
    size: int
