"""The local network."""

from msgspec import Struct


class LanInterface(Struct, frozen=True):
    """One interface of the machine, as discovery uses it."""

    name: str
    index: int
    addresses: list[str]
    state: str
    """on, starting, failed, or left out (problem says why)"""
    announced: bool
    """Whether this node is announced there."""
    heard_back: bool | None
    """Whether the own announcement came back; null: too early to say, or there is none."""
    others: int
    """Nodes announced there now."""
    heard: float | None
    """Seconds since one was last announced anew; null: never."""
    problem: str
    remedy: str


class LanNode(Struct, frozen=True):
    """One node that is announced on the local network."""

    peer_id: str
    """As it claims; proved where the state is peer or met."""
    address: str
    """In fc00::/8."""
    name: str
    state: str
    """peer, met, meeting, waiting (after failures), heard, or not accepted"""
    wanted: bool
    """Whether it is to be a peer."""
    interfaces: list[str]
    """On which it is announced."""
    endpoints: list[str]
    """Where it says it is."""
    rtt: float | None
    """Seconds."""
    heard: float
    """Seconds since it was last announced anew."""
    attempts: int
    """To meet it."""
    failures: int
    """Since the last success."""
    again: float | None
    """Seconds until it is tried again; null where it need not wait."""


class Discovery(Struct, frozen=True):
    """GET /v1/discovery"""

    mode: str
    """on, listen or off"""
    lan_peers: int
    """Most peers that are chosen among those found."""
    interfaces: list[LanInterface]
    nodes: list[LanNode]
    counters: dict[str, int]
    problems: list[str]
    """What does not work now, with the remedy."""
