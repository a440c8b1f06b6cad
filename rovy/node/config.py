"""How a node is set up; files are read elsewhere."""

from dataclasses import dataclass, field

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint, Multiaddr
from rovy.address.target import RoutedAddr
from rovy.noise.handshake import NO_PSK
from rovy.routing.map import NEAREST
from rovy.session.guard import Limits

PORT = 1312
CHANGEABLE = ("accept_peers", "max_peers", "allow", "deny", "limits", "notice_rate")
"""What `Node.reconfigure` can change."""
ANY = (Endpoint("::", PORT), Endpoint("0.0.0.0", PORT))


@dataclass(frozen=True)
class NodeConfig:
    """Defaults join the public network on UDP port 1312 and take peers."""

    listen: tuple[Endpoint, ...] = ANY
    """Where to bind."""
    port_tries: int = 16
    """How many ports after the named one are tried when it is taken."""
    peers: tuple[Multiaddr | RoutedAddr, ...] = ()
    """Peers kept connected."""
    psks: tuple[bytes, ...] = (NO_PSK,)
    """Networks this node belongs to; the first is used where nothing else is said."""
    accept_peers: bool = True
    """Whether nodes we did not ask for may become peers."""
    max_peers: int = 64
    """Peerings taken from others; our own are not counted."""
    allow: frozenset[PeerID] = field(default_factory=frozenset)
    """If not empty, only these nodes and the peers we keep get an answer."""
    deny: frozenset[PeerID] = field(default_factory=frozenset)
    """These nodes get none."""
    limits: Limits = field(default_factory=Limits)
    """Work done for handshakes."""
    map_size: int = NEAREST
    """Nodes nearby whose links are known; beyond them anchors and the DHT lead (16 to 128)."""
    anchors: tuple[PeerID, ...] = ()
    """Nodes that are anchors whatever their rank, at most 4: the same on all nodes, or nearly."""
    publish_addresses: bool = False
    """Whether the locator tells everybody the node's public addresses."""
    ip6: bool = False
    """Whether IPv6 packets of other nodes are taken: where an interface is there for them."""
    notice_rate: float = 50.0
    """Notices sent, and traces answered, a second."""
