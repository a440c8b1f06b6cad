"""All settings of a daemon, with their defaults."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint, Multiaddr
from rovy.address.target import RoutedAddr
from rovy.config.places import Places
from rovy.discovery.const import LAN_PEERS
from rovy.errors import Malformed, UsageError
from rovy.fcnet.rules import Rule

PORT: Final = 1312
LISTEN: Final = (Multiaddr("ip4", "0.0.0.0", PORT), Multiaddr("ip6", "::", PORT))
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
FIREWALLS: Final = ("auto", "nftables", "filter", "off")
LOG_FORMATS: Final = ("text", "json")
STATE_FILE: Final = "state.json"
KEY_FILE: Final = "key.toml"
PUBLIC_NETWORK: Final = bytes(32)
MAP_SIZES: Final = (16, 128)
"""The least and the most of `map_size`."""
MAX_ANCHORS: Final = 4
MAX_PATTERNS: Final = 32
"""Of `discovery_interfaces`."""

RELOADABLE: Final = frozenset(
    {
        "peers",
        "accept_peers",
        "max_peers",
        "allow",
        "deny",
        "firewall_allow",
        "discovery",
        "lan_peers",
        "discovery_interfaces",
        "log_level",
        "log_format",
    }
)
"""Settings that a running daemon can change."""


@dataclass(frozen=True, slots=True)
class PeerSetting:
    """A peer to be kept, at one address; one with several addresses has several of these."""

    address: Multiaddr | RoutedAddr
    name: str = ""

    @property
    def peer(self) -> PeerID:
        """Whom the address names."""
        assert self.address.peer is not None
        return self.address.peer


@dataclass(frozen=True, slots=True)
class Settings:
    """What a daemon is told; every setting has a default."""

    key_file: Path
    """The node's identity; default `key.toml` in the state directory. Made when missing."""
    state_dir: Path
    """Written by the daemon; default /var/lib/rovy, for users $XDG_STATE_HOME/rovy."""
    socket: Path
    """API socket; default /run/rovy/rovyd.sock, for users $XDG_RUNTIME_DIR/rovy/rovyd.sock."""
    listen: tuple[Multiaddr, ...] = LISTEN
    """Addresses to receive on."""
    port_tries: int = 16
    """How many ports after the named one are tried when it is taken."""
    peers: tuple[PeerSetting, ...] = ()
    """Peers kept connected; `[[peer]]` with `address` and `name` in the file."""
    accept_peers: bool = True
    """Whether nodes that we did not ask for may become peers."""
    max_peers: int = 64
    """Most peerings taken from others; our own are not counted."""
    allow: frozenset[PeerID] = frozenset()
    """If not empty, only these nodes and the peers kept get an answer."""
    deny: frozenset[PeerID] = frozenset()
    """These nodes get no answer."""
    network_key: bytes = field(default=PUBLIC_NETWORK, repr=False)
    """32 secret bytes shared by a private network; all zero is the public one."""
    map_size: int = 128
    """Nodes nearby whose links are known, 16 to 128; beyond them anchors and the DHT lead."""
    anchors: tuple[PeerID, ...] = ()
    """Nodes that are anchors whatever their rank, at most 4: the same on all nodes, or nearly."""
    publish_addresses: bool = False
    """Whether the node's locator, which everybody can read, tells its public addresses."""
    discovery: str = "on"
    """Nodes on the local network: `on` (announce this one and look for others), `listen` (only
    look), or `off`."""
    lan_peers: int = LAN_PEERS
    """Most peers chosen among those found so; 0 chooses none."""
    discovery_interfaces: tuple[str, ...] = ()
    """Names of the interfaces used for it, with `*` and `?`; empty: all that lead to a LAN."""
    metrics_listen: Endpoint | None = None
    """TCP address on this machine for `/metrics`, "127.0.0.1:9312"; default none."""
    interface: bool = True
    """Whether IPv6 programs of this machine reach the network, over an interface of its own."""
    interface_name: str = "rovy0"
    interface_mtu: int = 8955
    """Bytes; packets too long for a route are answered with its MTU."""
    firewall: str = "auto"
    """What guards the interface: nftables, filter (rovy's own), auto (the first of these that can
    be had), or off, where somebody else sees to it."""
    firewall_allow: tuple[Rule, ...] = ()
    """What others may begin, such as `tcp/22` or `tcp/80 from <peer id>`; all else is closed."""
    log_level: str = "info"
    """The least urgent messages that are logged: debug, info, warning or error."""
    log_format: str = "text"
    """`text`, or `json` with one object a line."""

    @property
    def state_file(self) -> Path:
        """Where the daemon keeps what has to survive it."""
        return self.state_dir / STATE_FILE

    @property
    def private(self) -> bool:
        """Whether the node belongs to a private network."""
        return self.network_key != PUBLIC_NETWORK

    @classmethod
    def default(cls, places: Places) -> "Settings":
        """Settings of a daemon that was told nothing."""
        return cls(places.state_dir / KEY_FILE, places.state_dir, places.socket)

    def changed(self, other: "Settings") -> list[str]:
        """Names of the settings in which another differs."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]

    def check(self) -> None:
        """Raise `UsageError` where settings contradict each other."""
        both = self.allow & self.deny
        if both:
            raise UsageError(f"{min(both)} is in allow and in deny: take it out of one of them")
        names: dict[str, PeerID] = {}
        for entry in self.peers:
            if entry.name and names.setdefault(entry.name, entry.peer) != entry.peer:
                raise UsageError(f"two peers are named {entry.name}: rename one of them")


NAME_CHARS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def check_name(text: str) -> str:
    """A peer's name: 1 to 63 letters, digits, `-`, `_`, `.`; not one that could be an id."""
    if not (0 < len(text) <= 63 and set(text) <= NAME_CHARS and text[0].isalnum()):
        raise Malformed(
            "a name has 1 to 63 letters, digits, '-', '_' or '.', and begins with one of the"
            " first two"
        )
    if text.lower().startswith("bafzqai"):
        raise Malformed("a name that begins like a peer id would be taken for one")
    return text
