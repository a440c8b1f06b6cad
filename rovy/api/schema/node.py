"""The node itself: what it is, counts, tells of, and lets in."""

from msgspec import Struct


class Interface(Struct, frozen=True):
    """By which programs of the machine reach the network."""

    name: str
    """Empty where there is none."""
    state: str
    """up, down (problem says why) or off"""
    problem: str
    mtu: int
    """Bytes."""


class MapSize(Struct, frozen=True):
    """How much of the network the node knows."""

    nodes: int
    """Itself included."""
    links: int


class NetworkSize(Struct, frozen=True):
    """How large the network is."""

    nodes: float | None
    """Itself included; null where it is not known yet."""
    exact: bool
    """Counted, as all are in the map; else estimated."""


class Info(Struct, frozen=True):
    """GET /v1/info"""

    version: str
    data_plane: str
    """pure or native"""
    peer_id: str
    address: str
    """In fc00::/8."""
    uptime: float
    """Seconds."""
    pid: int
    user: str
    """It runs as."""
    capabilities: list[str]
    """It holds, capabilities(7) without `cap_`."""
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
    map: MapSize
    network_size: NetworkSize
    interface: Interface
    config_file: str
    """Empty where there is none."""
    key_file: str
    state_dir: str
    socket: str
    problems: list[str]
    """What does not work now."""


class FirewallRule(Struct, frozen=True):
    """What others may begin."""

    rule: str
    """Such as `tcp/22`, with ` from` and a PeerID where it holds for one node."""
    name: str
    """Of that node, if it has one."""
    origin: str
    """config or added"""


class Firewall(Struct, frozen=True):
    """GET /v1/firewall"""

    kind: str
    """nftables, filter (rovy's own), off, or empty where there is no interface"""
    rules: list[FirewallRule]
    counters: dict[str, int]
    """Packets that came in, by what became of them."""


class Allowed(Struct, frozen=True):
    """POST /v1/firewall"""

    rule: str
    new: bool
    """Whether it was not there before."""


class Denied(Struct, frozen=True, omit_defaults=True):
    """DELETE /v1/firewall/{rule}"""

    rule: str
    note: str = ""
    """What will bring it back."""


class Counters(Struct, frozen=True):
    """GET /v1/counters"""

    counters: dict[str, dict[str, int]]
    """By group; every drop has a name."""


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
