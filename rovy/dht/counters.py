"""What the DHT has done so far, in numbers."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Counted while it happens."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    malformed: int = 0
    """Answers, and values and contacts in answers, that did not check out."""
    lookups: int = 0
    lookup_requests: int = 0
    found: int = 0
    """Lookups that brought a value."""
    crowded: int = 0
    """Lookups that met more nodes near their target than chance puts there."""
    pings: int = 0
    finds: int = 0
    stores: int = 0
    """Requests answered, by kind."""
    refused: int = 0
    """Of the stores."""
    joins: int = 0
    published: int = 0


@dataclass(frozen=True, slots=True)
class DhtStats:
    """The state of a node's DHT at one moment."""

    contacts: int
    buckets: int
    replacements: int
    values: dict[int, int] = field(default_factory=dict)
    """Kept for others, by type."""
    own_values: int = 0
    estimate: float | None = None
    """Nodes in the network."""
    crowded: int = 0
    sent: int = 0
    answered: int = 0
    failed: int = 0
    malformed: int = 0
    lookups: int = 0
    found: int = 0
    requests_per_lookup: float = 0.0
    open_lookups: int = 0
    pings_served: int = 0
    finds_served: int = 0
    stores_served: int = 0
    stores_refused: int = 0
    joins: int = 0
    published: int = 0
