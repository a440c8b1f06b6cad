"""Peers, sessions and their paths."""

from msgspec import Struct


class Peer(Struct, frozen=True):
    """One peering, or one peer that is to be one."""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    state: str
    """up, session (reached, but no peering yet) or connecting"""
    kept: bool
    """Opened again whenever it ends."""
    origin: str
    """config, command line, added, lan (found there), or inbound: the other side asked for it."""
    targets: list[str]
    """Where it is tried."""
    route: str
    """Endpoint or label its packets take now; empty where there is none."""
    rtt: float | None
    """Seconds."""
    slot: int
    """Ours for it; 0 where there is none."""
    their_slot: int
    bytes_sent: int
    bytes_received: int
    age: float | None
    """Seconds since the session was opened."""


class Peers(Struct, frozen=True):
    """GET /v1/peers"""

    peers: list[Peer]


class Added(Struct, frozen=True):
    """POST /v1/peers"""

    peer_id: str
    name: str
    new: bool
    """Whether it was not kept before."""


class Removed(Struct, frozen=True, omit_defaults=True):
    """DELETE /v1/peers/{peer}"""

    peer_id: str
    note: str = ""
    """What will bring it back."""


class Path(Struct, frozen=True):
    """One path of a session."""

    route: str
    """Endpoint or label."""
    local: str
    """Local address; empty where the kernel chooses or the path is routed."""
    direct: bool
    valid: bool
    active: bool
    warm: bool
    suspect: bool
    rtt: float | None
    loss: float
    mtu: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int


class Session(Struct, frozen=True):
    """One session."""

    id: int
    peer_id: str
    name: str
    state: str
    age: float
    key_age: float | None
    initiator: bool | None
    kept: bool
    slot: int
    their_slot: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    paths: list[Path]


class Sessions(Struct, frozen=True):
    """GET /v1/sessions"""

    sessions: list[Session]
