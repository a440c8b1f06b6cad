"""Contacts at chosen places, and what a node thinks of the ways there."""

from dataclasses import dataclass, field

from rovy.dht.bucket import Judge
from rovy.dht.table import Table


@dataclass(frozen=True)
class Placed:
    """What tables and shortlists use of a PeerID, with an id of one's choice."""

    number: int
    node_id: bytes = field(init=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "node_id", self.number.to_bytes(20, "big"))


@dataclass
class Ways:
    """Costs and groups by number; cost 1 and no group where nothing is said."""

    costs: dict[int, float | None] = field(default_factory=dict)
    groups: dict[int, bytes] = field(default_factory=dict)

    @property
    def judge(self):
        return Judge(
            lambda peer: self.costs.get(peer.number, 1.0),
            lambda peer: self.groups.get(peer.number),
        )


def table(ways=None, own=0):
    return Table(Placed(own), (ways or Ways()).judge)


def numbers(contacts):
    return [contact.number for contact in contacts]
