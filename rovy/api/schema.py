"""What goes over the API, as types: requests are decoded strictly, answers keep their shape.

Fields may be added to answers; none is renamed or changes its meaning. docs/api.md
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from rovy.dht.const import MAX_NAME, RECORD_TTL

MAX_BODY = 16384
"""Bytes of the longest request that is read."""
MAX_PING = 16384

Target = Annotated[str, Meta(min_length=1, max_length=1024)]
Name = Annotated[str, Meta(max_length=63)]
Kind = Annotated[str, Meta(min_length=1, max_length=16)]
RecordName = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Encoding = Literal["text", "base64"]
Patience = Annotated[float, Meta(gt=0, le=600)]


class Request(Struct, forbid_unknown_fields=True, frozen=True):
    """Something asked; unknown fields are refused, as they may be spelling mistakes."""


class AddPeer(Request, frozen=True):
    """POST /v1/peers"""

    address: Target
    name: Name = ""


class Ping(Request, frozen=True):
    """POST /v1/ping"""

    target: Target
    size: Annotated[int, Meta(ge=0, le=MAX_PING)] = 0
    """Bytes the probe carries."""
    timeout: Patience = 5.0
    """Seconds."""


class Resolve(Request, frozen=True):
    """POST /v1/resolve"""

    target: Target
    timeout: Patience = 5.0
    """Seconds."""
    dht: bool = False
    """Look the node up in the DHT even where a way is known."""


class Lookup(Request, frozen=True):
    """POST /v1/lookup"""

    target: Target
    """A node, or any id as 40 hex digits."""
    timeout: Patience = 10.0
    """Seconds."""


class GetRecord(Request, frozen=True):
    """POST /v1/dht/get"""

    kind: Kind
    """name, service, or a number from 128 to 255"""
    name: RecordName
    peer: Annotated[str, Meta(max_length=1024)] = ""
    """Who signed it; empty: this node."""
    timeout: Patience = 10.0
    """Seconds."""


class PutRecord(Request, frozen=True):
    """POST /v1/dht/put"""

    kind: Kind
    """name, service, or a number from 128 to 255"""
    name: RecordName
    body: str
    """At most 1024 bytes."""
    encoding: Encoding = "text"
    """Of `body`: text, which is stored as UTF-8, or base64"""
    ttl: Annotated[int, Meta(ge=1, le=RECORD_TTL)] = RECORD_TTL
    """Seconds that it counts."""
    timeout: Patience = 10.0
    """Seconds."""


class Traceroute(Request, frozen=True):
    """POST /v1/traceroute"""

    target: Target
    timeout: Annotated[float, Meta(gt=0, le=60)] = 2.0
    """Seconds that each question may take."""


class AllowRule(Request, frozen=True):
    """POST /v1/firewall"""

    rule: Annotated[str, Meta(min_length=1, max_length=256)]


class Error(Struct, frozen=True, omit_defaults=True):
    """Why a request failed."""

    reason: str
    """A short stable word, for programs."""
    message: str
    """For people."""
    remedy: str = ""
    """What to do about it."""


class Step(Struct, frozen=True):
    """One question of a lookup in the DHT."""

    peer_id: str
    """Who was asked."""
    address: str
    """In fc00::/8."""
    name: str
    route: str
    """Label or endpoint; empty where no answer came."""
    shared: int
    """Bits its id shares with the target, from the first on."""
    rtt: float | None
    """Seconds; null where no answer came."""
    result: str
    """value, contacts, no answer, refused or bad answer"""
    contacts: int
    """Nodes that it named."""


class Failure(Struct, frozen=True, omit_defaults=True):
    """Every answer whose status is 400 or more."""

    error: Error
    steps: list[Step] = []
    """What was asked before it failed; left out where nothing was."""


class Interface(Struct, frozen=True):
    """By which programs of the machine reach the network."""

    name: str
    """Empty where there is none."""
    state: str
    """up, down (problem says why) or off"""
    problem: str
    mtu: int
    """Bytes."""


class MapSize(Struct, frozen=True):
    """How much of the network the node knows."""

    nodes: int
    """Itself included."""
    links: int


class NetworkSize(Struct, frozen=True):
    """How large the network is."""

    nodes: float | None
    """Itself included; null where it is not known yet."""
    exact: bool
    """Counted, as all are in the map; else estimated."""


class Info(Struct, frozen=True):
    """GET /v1/info"""

    version: str
    data_plane: str
    """pure or native"""
    peer_id: str
    address: str
    """In fc00::/8."""
    uptime: float
    """Seconds."""
    pid: int
    user: str
    """It runs as."""
    capabilities: list[str]
    """It holds, capabilities(7) without `cap_`."""
    listen: list[str]
    """Open sockets, multiaddrs."""
    port: int
    addresses: list[str]
    """Where others may reach this node, multiaddrs with its peer id."""
    network: str
    """public or private"""
    peers: int
    """Peerings that are up."""
    sessions: int
    map: MapSize
    network_size: NetworkSize
    interface: Interface
    config_file: str
    """Empty where there is none."""
    key_file: str
    state_dir: str
    socket: str
    problems: list[str]
    """What does not work now."""


class Peer(Struct, frozen=True):
    """One peering, or one peer that is to be one."""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    state: str
    """up, session (reached, but no peering yet) or connecting"""
    kept: bool
    """Opened again whenever it ends."""
    origin: str
    """config, command line, added, lan (found there), or inbound: the other side asked for it."""
    targets: list[str]
    """Where it is tried."""
    route: str
    """Endpoint or label its packets take now; empty where there is none."""
    rtt: float | None
    """Seconds."""
    slot: int
    """Ours for it; 0 where there is none."""
    their_slot: int
    bytes_sent: int
    bytes_received: int
    age: float | None
    """Seconds since the session was opened."""


class Peers(Struct, frozen=True):
    """GET /v1/peers"""

    peers: list[Peer]


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


class Added(Struct, frozen=True):
    """POST /v1/peers"""

    peer_id: str
    name: str
    new: bool
    """Whether it was not kept before."""


class Removed(Struct, frozen=True, omit_defaults=True):
    """DELETE /v1/peers/{peer}"""

    peer_id: str
    note: str = ""
    """What will bring it back."""


class Path(Struct, frozen=True):
    """One path of a session."""

    route: str
    """Endpoint or label."""
    local: str
    """Local address; empty where the kernel chooses or the path is routed."""
    direct: bool
    valid: bool
    active: bool
    warm: bool
    suspect: bool
    rtt: float | None
    loss: float
    mtu: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int


class Session(Struct, frozen=True):
    """One session."""

    id: int
    peer_id: str
    name: str
    state: str
    age: float
    key_age: float | None
    initiator: bool | None
    kept: bool
    slot: int
    their_slot: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    paths: list[Path]


class Sessions(Struct, frozen=True):
    """GET /v1/sessions"""

    sessions: list[Session]


class Hop(Struct, frozen=True):
    """A node along a route."""

    peer_id: str
    """Empty where the map does not name it."""
    name: str
    slot: int
    """The slot for it of the node before; 0 where there is none."""


class Route(Struct, frozen=True):
    """One way to a node."""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    label: str
    """`/rovyrt/…`; empty for the direct path of a session that is no peering."""
    hops: list[Hop]
    """The node itself last."""
    via: str
    """Endpoint of a direct path, `local->` before it where that is fixed; else empty."""
    state: str
    """active, warm (held ready), works, trying, suspect, or offered (by the map, not in use)"""
    cost: float | None
    """Seconds, as the map has it: RTT / 2 and 1 ms for each hop."""
    rtt: float | None
    """Seconds, measured end to end."""
    mtu: int
    """Bytes of the longest IPv6 packet."""
    age: float | None
    """Seconds since it was taken up."""
    why: str
    """Why it was chosen."""
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int


class Routes(Struct, frozen=True):
    """GET /v1/routes"""

    routes: list[Route]


class Resolved(Struct, frozen=True):
    """POST /v1/resolve"""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    took: float
    """Seconds."""
    routes: list[Route]
    """The best first; none to the node itself."""
    steps: list[Step]
    """In the DHT, if it was asked for."""


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


class MapLink(Struct, frozen=True):
    """A link of a node."""

    peer_id: str
    """Of the other end."""
    name: str
    slot: int
    """The node's for the other end."""
    cost: float
    """Seconds."""
    mtu: int
    """Bytes of the largest forward packet."""


class MapNode(Struct, frozen=True):
    """A node that is known."""

    peer_id: str
    address: str
    """In fc00::/8."""
    name: str
    cost: float
    """Seconds, by the cheapest route."""
    hops: int
    """Of that route; 0 for this node itself."""
    links: list[MapLink]


class Map(Struct, frozen=True):
    """GET /v1/map"""

    nodes: list[MapNode]
    """The nearest first: this one."""
    links: int
    records: int
    waiting: int
    """Records that no link leads to yet."""
    radius: float | None
    """Seconds of cost up to which nodes are known; null: all of them."""


class TracedHop(Struct, frozen=True):
    """A node along a route that was asked who it is."""

    peer_id: str
    """Who answered, proved by a signature; empty where nobody did."""
    address: str
    name: str
    expected: str
    """PeerID that the map has there; empty where it does not say."""
    rtts: list[float | None]
    """Seconds of each question; null where no answer came."""


class Traced(Struct, frozen=True):
    """POST /v1/traceroute"""

    peer_id: str
    """The target; empty where a label's end is not known."""
    address: str
    name: str
    label: str
    """The route that was followed; empty for a direct path without one."""
    reached: bool
    """Whether the target answered."""
    hops: list[TracedHop]


class FirewallRule(Struct, frozen=True):
    """What others may begin."""

    rule: str
    """Such as `tcp/22`, with ` from` and a PeerID where it holds for one node."""
    name: str
    """Of that node, if it has one."""
    origin: str
    """config or added"""


class Firewall(Struct, frozen=True):
    """GET /v1/firewall"""

    kind: str
    """nftables, filter (rovy's own), off, or empty where there is no interface"""
    rules: list[FirewallRule]
    counters: dict[str, int]
    """Packets that came in, by what became of them."""


class Allowed(Struct, frozen=True):
    """POST /v1/firewall"""

    rule: str
    new: bool
    """Whether it was not there before."""


class Denied(Struct, frozen=True, omit_defaults=True):
    """DELETE /v1/firewall/{rule}"""

    rule: str
    note: str = ""
    """What will bring it back."""


class Counters(Struct, frozen=True):
    """GET /v1/counters"""

    counters: dict[str, dict[str, int]]
    """By group; every drop has a name."""


class Pong(Struct, frozen=True):
    """POST /v1/ping"""

    peer_id: str
    rtt: float
    """Seconds."""
    route: str
    """Endpoint or label; `local` for the node itself."""
    size: int


class Stopping(Struct, frozen=True):
    """POST /v1/stop"""

    stopping: bool = True
    pid: int = 0


class Reloaded(Struct, frozen=True):
    """POST /v1/reload"""

    applied: list[str]
    """Settings that were changed."""
    restart: list[str]
    """Settings that differ from what runs and take effect at the next start."""


class Event(Struct, frozen=True):
    """One line of GET /v1/events"""

    time: float
    """Seconds since 1970."""
    kind: str
    peer_id: str
    name: str
    detail: str
