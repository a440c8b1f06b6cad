"""The DHT: locators, records, anchors."""

from msgspec import Struct

from rovy.api.schema.failure import Step
from rovy.api.schema.node import NetworkSize
from rovy.api.schema.requests import Encoding


class Short(Struct, frozen=True):
    """A node by the start of its id, as locators name it."""

    short: str
    """The first 8 bytes of its id in the DHT, hex."""
    peer_id: str
    """Empty where this node does not know whose that is."""
    name: str


class Locator(Struct, frozen=True):
    """What a node says of where it is, signed by it."""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    sequence: int
    """When it was signed: milliseconds since 1970."""
    ttl: int
    """Seconds that it counts from then on."""
    left: float
    """Seconds of these."""
    anchors: list[list[Short]]
    """Paths from an anchor to the node before it; an empty one: it is an anchor itself."""
    links: list[Short]
    """Its best ones."""
    endpoints: list[str]
    """Public addresses, if it tells them."""
    size: int
    """Bytes."""


class Near(Struct, frozen=True):
    """A node near what was looked for."""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    shared: int
    """Bits its id shares with the target, from the first on."""


class LookedUp(Struct, frozen=True):
    """POST /v1/lookup"""

    target: str
    """20 bytes, hex."""
    bits: int
    """How many of them count: 160, or 120 for an address."""
    locator: Locator | None
    """Null where nobody has it."""
    nearest: list[Near]
    """Nodes that answered, the nearest to the target first."""
    steps: list[Step]
    """In the order in which they ended."""
    took: float
    """Seconds."""


class Anchor(Struct, frozen=True):
    """A node that all nodes know a way to."""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    state: str
    """seated, candidate, or self"""
    hops: int
    cost: float
    """Seconds."""


class Dht(Struct, frozen=True):
    """GET /v1/dht"""

    joined: bool
    """Whether it has found its place among the others."""
    contacts: int
    """Nodes that answered lately."""
    buckets: int
    values: dict[str, int]
    """Kept for others, by kind."""
    published: int
    """Own values."""
    network_size: NetworkSize
    lookups: int
    found: int
    """Those that found what they looked for."""
    requests: int
    """Sent."""
    unanswered: int
    answered: dict[str, int]
    """Requests of others, by type."""
    anchors: list[Anchor]


class Record(Struct, frozen=True):
    """POST /v1/dht/get"""

    kind: str
    name: str
    peer_id: str
    """Who signed it."""
    address: str
    """In fc00::/8."""
    peer_name: str
    body: str
    encoding: Encoding
    """Of `body`: text where that is UTF-8, else base64"""
    sequence: int
    """When it was signed: milliseconds since 1970."""
    ttl: int
    """Seconds that it counts from then on."""
    left: float
    """Seconds of these."""


class Put(Struct, frozen=True):
    """POST /v1/dht/put"""

    stored: int
    """Nodes that keep it now."""
    asked: int
    refused: dict[str, int]
    """By reason."""
