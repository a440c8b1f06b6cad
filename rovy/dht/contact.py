"""A node as the DHT knows it."""

from typing import Final

from kademlia.node import Node

from rovy.address.keys import PeerID
from rovy.routing.locator import Locator

UNKNOWN_COST: Final = 255


class Contact(Node):  # type: ignore[misc]
    """A node: its key, what it last said about its place, and how it behaved towards us.

    `id` and `long_id` are its node id, as kademlia's tables and crawls need them.
    """

    def __init__(
        self,
        peer: PeerID,
        locator: Locator | None = None,
        label: bytes = b"",
        cost: int = UNKNOWN_COST,
    ) -> None:
        super().__init__(peer.node_id, peer)
        self.peer = peer
        self.number: int = self.long_id
        """Its id as a number."""
        self.locator = locator
        self.label = label
        """From whoever named it to it; empty where nobody did or none was told."""
        self.cost = cost
        """One byte, of that label."""
        self.seen = 0.0
        """When it last proved its key."""
        self.misses = 0
        self.missed = 0.0
        """When its last miss that counts was."""
        self.doubted = 0.0
        """When the first of these misses was."""

    def learn(self, locator: Locator | None) -> None:
        """Keep the newer locator."""
        known = self.locator
        if locator and (known is None or locator.sequence > known.sequence):
            self.locator = locator

    def proved(self, now: float) -> None:
        """It answered, or asked us: what went wrong before is forgotten."""
        self.seen, self.misses = now, 0

    def same_home_as(self, node: Node) -> bool:
        """Whether this is the same node: a key has one home."""
        return bool(self.id == node.id)

    def __lt__(self, other: Node) -> bool:
        return bool(self.id < other.id)

    def __repr__(self) -> str:
        return f"<Contact {self.peer}>"
