"""What the DHT needs of the node it runs in."""

from typing import Protocol

from rovy.address.keys import PeerID
from rovy.dht.contact import Contact


class Messenger(Protocol):
    """Carries requests to nodes along whatever route is known, and knows routes."""

    def now(self) -> float:
        """Seconds of a steady clock, that of the event loop."""
        ...

    def wall(self) -> float:
        """Seconds since 1970."""
        ...

    async def request(self, peer: PeerID, body: bytes, timeout: float) -> tuple[bytes, str]:
        """The answer to a request of codec `dht`, and the route it took, for people.

        Raises `Unreachable`. A FIND or PING may ride in a hello, a STORE must not. An answer that
        comes proves the peer's key.
        """
        ...

    def cost(self, peer: PeerID) -> float | None:
        """Seconds one way along the best route; None where none is known. Asked often: be quick."""
        ...

    def group(self, peer: PeerID) -> bytes | None:
        """What the peer shares with others that may be the same party: first hop, IP prefix.

        None where it tells nothing, as in a node all of whose routes leave by one peering.
        """
        ...

    def label(self, peer: PeerID) -> tuple[bytes, int] | None:
        """A label of at most 32 bytes, its first entry two bytes wide, and its cost as a byte."""
        ...

    def heard(self, replier: PeerID, contact: Contact) -> None:
        """Somebody named this contact: its locator, and maybe its label as seen from there.

        Called before the contact is asked anything, so that there is a route to it.
        """
        ...

    def anchors(self) -> list[PeerID]:
        """The anchors within reach, candidates too."""
        ...

    def nearby(self) -> list[PeerID]:
        """The nodes of the map, the nearest first."""
        ...
