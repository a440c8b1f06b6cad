"""Networks of many hosts in a regular shape; each link has networks of its own.

    net = topology.grid(lab, 6, 5)
    daemons = [Daemon(host, directory / host.name) for host in net.hosts]
    daemons[0].start()
    daemons[1].start("--peer", f"{net.endpoints[1][0]}/rovy/{daemons[0].peer_id}")

Measured: 30 hosts take 0.9 s as a line and 1.2 s as a grid of 49 links, 0.2 s more if emulated.
"""

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from testnet.daemons import PORT
from testnet.emulator import LinkQuality
from testnet.netns import Host, Lab, LabError, Link

Edge = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Topology:
    """Hosts, by number, and the links between them."""

    hosts: list[Host]
    links: dict[Edge, Link]
    """By the numbers of their ends, the lower one first."""
    endpoints: list[dict[int, str]]
    """For each host the multiaddr of each neighbour on their link, without a PeerID."""

    def holds_without(self, gone: Collection[int]) -> bool:
        """Whether links join all hosts but these."""
        rest = set(range(len(self.hosts))) - set(gone)
        found, fresh = set[int](), {min(rest)} if rest else set[int]()
        while fresh:
            found |= fresh
            fresh = {b for a in fresh for b in self.endpoints[a] if b in rest} - found
        return found == rest


def line(lab: Lab, n: int, quality: LinkQuality | None = None) -> Topology:
    """Hosts in a row."""
    return build(lab, n, ((i, i + 1) for i in range(n - 1)), quality)


def ring(lab: Lab, n: int, quality: LinkQuality | None = None) -> Topology:
    """A row of three or more whose ends are joined, too."""
    if n < 3:
        raise LabError("a ring needs three hosts")
    edges = [*((i, i + 1) for i in range(n - 1)), (0, n - 1)]
    return build(lab, n, edges, quality)


def tree(lab: Lab, n: int, quality: LinkQuality | None = None, fanout: int = 2) -> Topology:
    """A tree filled row by row from the root, host 0."""
    return build(lab, n, (((i - 1) // fanout, i) for i in range(1, n)), quality)


def grid(lab: Lab, w: int, h: int, quality: LinkQuality | None = None) -> Topology:
    """A grid numbered row by row; each host has up to four neighbours."""
    across = ((i, i + 1) for i in range(w * h) if (i + 1) % w)
    down = ((i, i + w) for i in range(w * (h - 1)))
    return build(lab, w * h, [*across, *down], quality)


def clustered(lab: Lab, n: int, seed: int = 1, quality: LinkQuality | None = None) -> Topology:
    """As a young public network may be: power-law links and LANs, 4 links a host or nearly."""
    from testnet.sim import graphs  # brings networkx

    edges = sorted((min(edge), max(edge)) for edge in graphs.clustered(n, seed).edges)
    return build(lab, n, edges, quality)


def build(lab: Lab, n: int, edges: Iterable[Edge], quality: LinkQuality | None = None) -> Topology:
    """Any shape: hosts n0, n1, … and links between them, emulated where there is a quality."""
    hosts = [lab.host(f"n{number}") for number in range(n)]
    made = Topology(hosts, {}, [{} for _ in hosts])
    for a, b in edges:
        net, v6 = lab.free_networks()
        if quality is None:
            made.links[a, b] = lab.link(hosts[a], hosts[b], net, v6)
        else:
            made.links[a, b] = lab.emulated(hosts[a], hosts[b], net, v6, quality)
        at_a, at_b = ipaddress.IPv4Network(net).hosts()
        made.endpoints[a][b] = f"/ip4/{at_b}/udp/{PORT}"
        made.endpoints[b][a] = f"/ip4/{at_a}/udp/{PORT}"
    return made
