"""What discovery tells of itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint


@dataclass(frozen=True, slots=True)
class InterfaceReport:
    """One interface."""

    name: str
    index: int
    addresses: tuple[str, ...]
    state: str
    """on, starting, failed, or left out"""
    announced: bool
    """Whether this node is announced there."""
    heard_back: bool | None
    """Whether the own announcement came back; None: too early to say, or there is none."""
    others: int
    """Nodes announced there now."""
    heard: float | None
    """Seconds since one was last announced anew; None: never."""
    problem: str
    """What does not work, or why it is left out."""
    remedy: str


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node that was heard."""

    peer: PeerID
    state: str
    """peer, met, meeting, waiting (after failures), heard, or not accepted"""
    wanted: bool
    """Whether it is to be a peer."""
    interfaces: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    rtt: float | None
    heard: float
    """Seconds since it was last announced anew."""
    attempts: int
    failures: int
    """Since the last success."""
    again: float | None
    """Seconds until it is tried again; None where that is not due."""


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    mode: str
    lan_peers: int
    interfaces: tuple[InterfaceReport, ...] = ()
    nodes: tuple[NodeReport, ...] = ()
    counts: Mapping[str, int] | None = None

    @property
    def problems(self) -> list[str]:
        """What does not work, each with its remedy."""
        bad = [each for each in self.interfaces if each.problem and each.state != "left out"]
        return [f"discovery on {each.name}: {each.problem}; {each.remedy}" for each in bad]
