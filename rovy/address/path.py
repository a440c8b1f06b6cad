"""Paths: the ways by which a datagram reaches a node (docs/protocol/paths.md §1)."""

from dataclasses import dataclass

from rovy.address.label import Label, narrowest
from rovy.address.multiaddr import Endpoint


@dataclass(frozen=True, slots=True)
class Direct:
    """A pair of a local socket (and address) and a remote UDP endpoint."""

    socket: int
    """Number of the local socket, given by the underlay."""
    remote: Endpoint
    local: str = ""
    """Local address packets leave from; empty lets the kernel choose."""
    ifindex: int = 0
    """Interface packets leave by; 0 lets the kernel choose."""

    def __str__(self) -> str:
        return f"{self.local or '*'}->{self.remote}"

    def same_peer_end(self, other: "Direct") -> bool:
        """Whether both lead from one socket to one remote endpoint."""
        return self.socket == other.socket and self.remote == other.remote


@dataclass(frozen=True, slots=True)
class Routed:
    """A route label, as the node that holds this value uses it.

    The own slot never goes on the wire, so its width is nobody's choice: it is kept narrow, as in
    the labels that packets come by.
    """

    label: Label

    def __post_init__(self) -> None:
        slots = self.label.slots
        if slots and len(self.label.entries[0]) > narrowest(slots[0]):
            object.__setattr__(self, "label", Label(bytes((slots[0],)) + self.label.rest))

    def __str__(self) -> str:
        return str(self.label)


Path = Direct | Routed
