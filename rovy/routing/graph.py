"""The map as a weighted graph of confirmed links. docs/protocol/routing.md §3"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Final, Generic, TypeVar

from rovy.routing.cost import decode_cost
from rovy.routing.record import TRUNC, LinkEntry, LinkRecord

LINK_FLOOR: Final = 1232 - 29
"""Bytes of forward packet that every link takes, whatever it says. docs/protocol/paths.md §6"""

Element = bytes | tuple[bytes, bytes]
"""What can fail: a node by its short, or a link by those of its ends in either order."""


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a link."""

    slot: int
    """Of the near end."""
    back: int
    """The far end's slot for the near end."""
    cost: float
    """Seconds."""
    mtu: int
    """Bytes of the largest forward packet, header included."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by short; every link is there in both directions."""

    adjacency: dict[bytes, dict[bytes, Link]]


def build(records: Iterable[LinkRecord]) -> Graph:
    """The graph of these records, of which each is another node's.

    A link counts when both ends list it with the same slots, or when one end lists it and the
    other's list is truncated and has no link to it.
    """
    known = {record.short: record for record in records}
    listed = {short: {link.peer: link for link in known[short].links} for short in known}
    adjacency: dict[bytes, dict[bytes, Link]] = {short: {} for short in known}
    for near, links in listed.items():
        for far, link in links.items():
            if far not in known or far in adjacency[near]:
                continue
            other = listed[far].get(near)
            if other is None:
                if not known[far].flags & TRUNC:
                    continue
                other = LinkEntry(near, link.peer_slot, link.slot, link.cost, link.mtu)
            if (link.slot, link.peer_slot) == (other.peer_slot, other.slot):
                adjacency[near][far] = _link(link, other)
                adjacency[far][near] = _link(other, link)
    return Graph(adjacency)


def pair(a: bytes, b: bytes) -> tuple[bytes, bytes]:
    """The link between two nodes, smaller short first."""
    return (a, b) if a < b else (b, a)


def distances(graph: Graph, source: bytes) -> dict[bytes, float]:
    """Seconds from `source` to every node it can reach, itself included, the nearest first."""

    def arcs(node: bytes) -> Iterator[tuple[bytes, float]]:
        for peer, link in graph.adjacency.get(node, {}).items():
            yield peer, link.cost

    return search(arcs, source).cost


N = TypeVar("N", bytes, tuple[bytes, bool])


@dataclass(frozen=True, slots=True)
class Tree(Generic[N]):
    """The cheapest ways from one node."""

    cost: dict[N, float]
    """What it takes to get to each node, the nearest first."""
    before: dict[N, N]
    """The node before each on the way to it."""

    def path(self, target: N) -> tuple[N, ...] | None:
        """The nodes on the way to one of them, both ends included; None where there is no way."""
        if target not in self.cost:
            return None
        nodes = [target]
        while (node := self.before.get(nodes[-1])) is not None:
            nodes.append(node)
        return tuple(reversed(nodes))


def search(
    arcs: Callable[[N], Iterable[tuple[N, float]]], source: N, target: N | None = None
) -> Tree[N]:
    """Dijkstra's search from `source`, as far as `target` if that is given.

    `arcs` tells the nodes after a node and what each step costs, not less than 0. Among ways of
    equal cost it takes the one whose last node but one is nearer, then that with the smaller
    short there, whatever the order of the arcs.
    """
    tree: Tree[N] = Tree({}, {})
    best = {source: 0.0}
    queue = [(0.0, source)]
    while queue:
        cost, node = heappop(queue)
        if node in tree.cost:
            continue
        tree.cost[node] = cost
        if node == target:
            break
        for peer, step in arcs(node):
            total = cost + step
            if total < best.get(peer, inf):
                best[peer] = total
                tree.before[peer] = node
                heappush(queue, (total, peer))
    return tree


def _link(near: LinkEntry, far: LinkEntry) -> Link:
    cost, mtu = max(near.cost, far.cost), min(near.mtu, far.mtu)
    return Link(near.slot, far.slot, decode_cost(cost), max(mtu, LINK_FLOOR))
