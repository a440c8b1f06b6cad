"""Networks of many shapes, as the records of their nodes and as networkx sees them."""

import random
from functools import cache
from itertools import count

import networkx as nx

from rovy.address.keys import PeerID
from rovy.address.label import MAX_SLOT, SMALL
from rovy.errors import Malformed
from rovy.routing.cost import decode_cost
from rovy.routing.graph import build
from rovy.routing.record import LinkEntry, LinkRecord

SHAPES = {
    "line": lambda n, seed: nx.path_graph(n),
    "ring": lambda n, seed: nx.cycle_graph(max(n, 3)),
    "tree": lambda n, seed: nx.random_labeled_tree(n, seed=seed),
    "grid": lambda n, seed: nx.grid_2d_graph(max(n // 5, 1), min(n, 5)),
    "geometric": lambda n, seed: nx.random_geometric_graph(n, 1.5 / n**0.5, seed=seed),
    "power law": lambda n, seed: nx.barabasi_albert_graph(max(n, 3), 2, seed=seed),
    "sparse": lambda n, seed: nx.gnm_random_graph(n, n + n // 4, seed=seed),
    "chain of rings": lambda n, seed: chain_of_rings(n, seed),
}


def chain_of_rings(n, seed):
    """Rings and single links in a row: cuts of both kinds with room between them."""
    rng, graph, end = random.Random(seed), nx.Graph(), 0
    graph.add_node(end)
    while len(graph) < n:
        size = rng.choice((2, 3, 4, 5))
        ring = [end, *range(len(graph), len(graph) + size - 1)]
        nx.add_cycle(graph, ring)
        graph.remove_edges_from(nx.selfloop_edges(graph))
        end = rng.choice(ring[1:])
    return graph


@cache
def peer(number):
    """One of many nodes."""
    rng = random.Random(number)
    while True:
        try:
            return PeerID(rng.randbytes(32))
        except Malformed:
            continue


class Network:
    """A graph whose nodes are shorts and whose links have slots, costs and sizes at random."""

    def __init__(self, shape, seed):
        self.random = random.Random(seed)
        numbers = {node: number for number, node in enumerate(shape)}
        self.peers = {peer(number).short: peer(number) for number in numbers.values()}
        self.truth = nx.Graph()
        self.truth.add_nodes_from(self.peers)
        self.links = {short: [] for short in self.peers}
        self._slots = {short: self._numbers() for short in self.peers}
        for a, b in shape.edges:
            self._link(peer(numbers[a]).short, peer(numbers[b]).short)
        self.graph = build(self.records())

    def records(self, flags=0):
        """A record of each node, not signed."""
        for short, links in self.links.items():
            yield record(self.peers[short], links, flags)

    def ends(self):
        """Two different nodes."""
        return self.random.sample(sorted(self.peers), 2)

    def _link(self, a, b):
        slots = next(self._slots[a]), next(self._slots[b])
        costs = [self.random.choice((0, 100, 120, self.random.randrange(256))) for _ in range(2)]
        sizes = [self.random.randrange(1203, 9000) for _ in range(2)]
        self.links[a].append(LinkEntry(b, *slots, costs[0], sizes[0]))
        self.links[b].append(LinkEntry(a, *reversed(slots), costs[1], sizes[1]))
        cost = decode_cost(max(costs))
        self.truth.add_edge(
            a, b, cost=cost, mtu=min(sizes), slots=dict(zip((a, b), slots, strict=True))
        )

    def _numbers(self):
        """Slots of both widths, none twice."""
        wide = count(SMALL + 1 + self.random.randrange(MAX_SLOT - SMALL - 300))
        small = count(1 + self.random.randrange(100))
        while True:
            yield next(wide if self.random.random() < 0.3 else small)


def record(peer_id, links, flags=0, sequence=1):
    """A record that nobody signed."""
    return LinkRecord(peer_id, sequence, flags, tuple(sorted(links, key=lambda x: x.peer)), b"")
