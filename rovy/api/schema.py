"""What goes over the API, as types: requests are decoded strictly, answers keep their shape.

Fields may be added to answers; none is renamed or changes its meaning. docs/api.md
"""

from typing import Annotated

from msgspec import Meta, Struct

MAX_BODY = 16384
"""Bytes of the longest request that is read."""
MAX_PING = 16384

Target = Annotated[str, Meta(min_length=1, max_length=1024)]
Name = Annotated[str, Meta(max_length=63)]


class Request(Struct, forbid_unknown_fields=True, frozen=True):
    """Something asked; unknown fields are refused, as they may be spelling mistakes."""


class AddPeer(Request, frozen=True):
    """POST /v1/peers"""

    address: Target
    name: Name = ""


class Ping(Request, frozen=True):
    """POST /v1/ping"""

    target: Target
    size: Annotated[int, Meta(ge=0, le=MAX_PING)] = 0
    """Bytes the probe carries."""
    timeout: Annotated[float, Meta(gt=0, le=600)] = 5.0
    """Seconds."""


class Error(Struct, frozen=True, omit_defaults=True):
    """Why a request failed."""

    reason: str
    """A short stable word, for programs."""
    message: str
    """For people."""
    remedy: str = ""
    """What to do about it."""


class Failure(Struct, frozen=True):
    """Every answer whose status is 400 or more."""

    error: Error


class Info(Struct, frozen=True):
    """GET /v1/info"""

    version: str
    peer_id: str
    address: str
    """In fc00::/8."""
    uptime: float
    """Seconds."""
    pid: int
    listen: list[str]
    """Open sockets, multiaddrs."""
    port: int
    addresses: list[str]
    """Where others may reach this node, multiaddrs with its peer id."""
    network: str
    """public or private"""
    peers: int
    """Peerings that are up."""
    sessions: int
    config_file: str
    """Empty where there is none."""
    key_file: str
    state_dir: str
    socket: str
    problems: list[str]
    """What does not work now."""


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
    """config, command line, added, or inbound where the other side asked for it."""
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


class Counters(Struct, frozen=True):
    """GET /v1/counters"""

    counters: dict[str, dict[str, int]]
    """By group; every drop has a name."""


class Pong(Struct, frozen=True):
    """POST /v1/ping"""

    peer_id: str
    rtt: float
    """Seconds."""
    route: str
    """Endpoint or label; `local` for the node itself."""
    size: int


class Stopping(Struct, frozen=True):
    """POST /v1/stop"""

    stopping: bool = True
    pid: int = 0


class Reloaded(Struct, frozen=True):
    """POST /v1/reload"""

    applied: list[str]
    """Settings that were changed."""
    restart: list[str]
    """Settings that differ from what runs and take effect at the next start."""


class Event(Struct, frozen=True):
    """One line of GET /v1/events"""

    time: float
    """Seconds since 1970."""
    kind: str
    peer_id: str
    name: str
    detail: str
