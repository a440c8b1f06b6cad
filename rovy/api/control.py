"""What the API needs of the daemon around the node."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Multiaddr
from rovy.address.target import RoutedAddr, Target
from rovy.config.settings import Settings
from rovy.discovery.report import Report
from rovy.errors import RovyError
from rovy.fcnet.rules import Rule
from rovy.node.node import Node


class NotFound(RovyError):
    """What was named does not exist here."""


class Conflict(RovyError):
    """What was asked contradicts what is."""


@dataclass(frozen=True, slots=True)
class KeptPeer:
    """A peer that is kept connected."""

    peer: PeerID
    name: str
    targets: tuple[Multiaddr | RoutedAddr, ...]
    origin: str
    """config, command line or added"""


@dataclass(frozen=True, slots=True)
class Changes:
    """What reading the configuration again did."""

    applied: list[str]
    restart: list[str]


@dataclass(frozen=True, slots=True)
class AllowedRule:
    """A rule of the firewall."""

    rule: Rule
    origin: str
    """config or added"""


@dataclass(frozen=True, slots=True)
class Firewall:
    """How the interface is guarded."""

    kind: str
    """nftables, filter (rovy's own), off, or empty where there is no interface."""
    rules: list[AllowedRule]
    counters: dict[str, int]
    """Packets by what became of them."""


class Control(Protocol):
    """The daemon as the API sees it; the other implementation is the tests'."""

    node: Node
    settings: Settings
    config_file: str
    started: float
    """Monotonic clock, seconds."""

    def kept(self) -> Mapping[PeerID, KeptPeer]:
        """Peers that are kept."""

    def find(self, text: str) -> Target:
        """What a name, a shortened id or any other destination means."""

    async def add_peer(self, address: str, name: str) -> tuple[KeptPeer, bool]:
        """Keep a peer, also after a restart; and whether it is a new one."""

    async def remove_peer(self, text: str) -> tuple[PeerID, str]:
        """Keep a peer no longer; and a note on what will bring it back."""

    async def reload(self) -> Changes:
        """Read the configuration again. Raises `Malformed` and changes nothing where it is bad."""

    def stop(self) -> None:
        """End the daemon soon."""

    async def firewall(self) -> Firewall:
        """How the interface is guarded."""

    async def allow(self, text: str) -> tuple[Rule, bool]:
        """Add a rule, also after a restart; and whether it is new."""

    async def disallow(self, text: str) -> tuple[Rule, str]:
        """Take a rule away; and a note on what will bring it back."""

    def discovery(self) -> Report:
        """What was found on the local network."""

    def user(self) -> str:
        """Who the process runs as."""

    def capabilities(self) -> list[str]:
        """What it may do beyond that, capabilities(7)."""

    def problems(self) -> list[str]:
        """What does not work now."""
