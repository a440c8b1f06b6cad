"""What discovery needs of the node: meet others, and have some of them as peers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint


@dataclass(frozen=True, slots=True)
class Link:
    """A direct path to a node, which a handshake has proved."""

    rtt: float | None
    """Seconds."""
    peering: bool
    """Whether it is a peer."""
    ours: bool
    """Whether we asked for that."""


class Overlay(Protocol):
    """A node; the other implementation is the tests'."""

    def accepts(self, peer: PeerID) -> bool:
        """Whether the lists of the node admit a peer."""

    async def meet(self, peer: PeerID, endpoints: Sequence[Endpoint], timeout: float) -> None:
        """Have a direct path to a node, at one of these endpoints. Raises `RovyError`."""

    def want(self, peer: PeerID) -> None:
        """Offer a peering, now and whenever a session with a direct path is opened."""

    def release(self, peer: PeerID) -> None:
        """Offer none any more, and end the one there is, unless somebody else wants it."""

    def links(self) -> Mapping[PeerID, Link]:
        """All direct paths."""
