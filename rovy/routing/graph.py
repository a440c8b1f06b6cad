"""The map as a weighted graph of confirmed links. docs/protocol/routing.md §3"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final, Generic, TypeVar

from rovy.address.label import Label, Width, narrowest
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
    """The far end's slot for the near end; 0 where it is not known."""
    cost: float
    """Seconds."""
    mtu: int
    """Bytes of the largest forward packet, header included."""
    via: bytes = b""
    """Entries of nodes in between that nobody named: a label heard of, rather than a link."""

    @property
    def arrival(self) -> Width:
        """Bytes that the far end needs for the slot by which it is entered."""
        return narrowest(self.back) if self.back else 2

    @property
    def hops(self) -> int:
        """The peerings it crosses."""
        return Label(self.via).hops + 1 if self.via else 1


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by short. Links of the map are there in both directions, labels heard of in one."""

    adjacency: dict[bytes, dict[bytes, Link]]

    def joined(self, links: Iterable[tuple[bytes, bytes, Link]]) -> "Graph":
        """With links (near, far, link) added, one direction each; what is there already stays."""
        adjacency, touched = dict(self.adjacency), set[bytes]()
        for near, far, link in links:
            if near not in touched:
                touched.add(near)
                adjacency[near] = dict(adjacency.get(near, {}))
            adjacency[near].setdefault(far, link)
        return Graph(adjacency)


class Links:
    """The links that records make, kept up to date record by record.

    A link counts when both ends list it with the same slots, or when one end lists it and the
    other's list is truncated and has no link to it.
    """

    def __init__(self) -> None:
        self.adjacency: dict[bytes, dict[bytes, Link]] = {}
        """By node; what lies within is replaced, never changed."""
        self._truncated: set[bytes] = set()
        self._listed: dict[bytes, dict[bytes, LinkEntry]] = {}
        self._listing: dict[bytes, set[bytes]] = {}
        """By node, who lists it."""

    def put(self, record: LinkRecord) -> bool:
        """A node's record, in place of its former one; whether any link changed."""
        short, flags = record.short, record.flags
        (self._truncated.add if flags & TRUNC else self._truncated.discard)(short)
        new = not self.adjacency.setdefault(short, {}) and short not in self._listed
        return self._list(short, {link.peer: link for link in record.links}) or new

    def drop(self, short: bytes) -> bool:
        """A node without a record; whether any link changed."""
        self._list(short, {})
        self._truncated.discard(short)
        del self._listed[short]
        return self.adjacency.pop(short, None) is not None

    def _list(self, near: bytes, links: dict[bytes, LinkEntry]) -> bool:
        before = self._listed.get(near, {})
        self._listed[near] = links
        for far in before.keys() - links.keys():
            self._listing[far].discard(near)
            if not self._listing[far]:
                del self._listing[far]
        for far in links:
            self._listing.setdefault(far, set()).add(near)
        concerned = before.keys() | links.keys() | self._listing.get(near, set())
        return sum(self._join(near, far) for far in concerned if far in self.adjacency) > 0

    def _join(self, near: bytes, far: bytes) -> bool:
        """Have the link between two nodes as they list it now; whether that changed it."""
        found = self._link(near, far)
        if found == (self.adjacency[near].get(far), self.adjacency[far].get(near)):
            return False
        for (a, b), link in zip(((near, far), (far, near)), found, strict=True):
            links = {peer: old for peer, old in self.adjacency[a].items() if peer != b}
            self.adjacency[a] = links | {b: link} if link else links
        return True

    def _link(self, near: bytes, far: bytes) -> tuple[Link, Link] | tuple[None, None]:
        mine, theirs = self._listed[near].get(far), self._listed[far].get(near)
        if mine is None and theirs and near in self._truncated:
            mine = _turned(theirs, far)
        elif theirs is None and mine and far in self._truncated:
            theirs = _turned(mine, near)
        if mine is None or theirs is None:
            return None, None
        if (mine.slot, mine.peer_slot) != (theirs.peer_slot, theirs.slot):
            return None, None
        return _link(mine, theirs), _link(theirs, mine)


def build(records: Iterable[LinkRecord]) -> Graph:
    """The graph of these records, of which each is another node's."""
    links = Links()
    for record in records:
        links.put(record)
    return Graph(links.adjacency)


def pair(a: bytes, b: bytes) -> tuple[bytes, bytes]:
    """The link between two nodes, smaller short first."""
    return (a, b) if a < b else (b, a)


def distances(graph: Graph, source: bytes) -> dict[bytes, float]:
    """Seconds from `source` to every node it can reach, itself included, the nearest first.

    What `search` finds, without the ways: maps ask for it with every record.
    """
    adjacency, found, best = graph.adjacency, dict[bytes, float](), {source: 0.0}
    queue = [(0.0, source)]
    while queue:
        cost, node = heappop(queue)
        if node in found:
            continue
        found[node] = cost
        for peer, link in adjacency.get(node, _NOWHERE).items():
            total = cost + link.cost
            if total < best.get(peer, inf):
                best[peer] = total
                heappush(queue, (total, peer))
    return found


_NOWHERE: Final[dict[bytes, Link]] = {}


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


def extended(
    tree: Tree[bytes],
    arcs: Callable[[bytes], Iterable[tuple[bytes, float]]],
    added: Iterable[bytes],
    target: bytes,
) -> tuple[bytes, ...] | None:
    """The cheapest way to a target in a graph that grew since its tree was searched.

    `arcs` tells the steps of the grown graph, of which those from the nodes `added` are new.
    """
    known, cost, before = tree.cost, dict[bytes, float](), dict[bytes, bytes]()
    queue = [(known[node], node) for node in added if node in known]
    heapify(queue)
    while queue:
        reached, node = heappop(queue)
        if reached > cost.get(node, known.get(node, inf)):
            continue
        if node == target:
            break
        for peer, step in arcs(node):
            total = reached + step
            if total < cost.get(peer, known.get(peer, inf)):
                cost[peer], before[peer] = total, node
                heappush(queue, (total, peer))
    return _joined_path(tree, cost, before, target)


def _joined_path(
    tree: Tree[bytes], cost: dict[bytes, float], before: dict[bytes, bytes], target: bytes
) -> tuple[bytes, ...] | None:
    """The way to a target by steps of the tree, but for those found to be cheaper since."""
    if target not in cost and target not in tree.cost:
        return None
    nodes = [target]
    while (node := before.get(nodes[-1]) or tree.before.get(nodes[-1])) is not None:
        nodes.append(node)
    return tuple(reversed(nodes))


def _turned(link: LinkEntry, near: bytes) -> LinkEntry:
    """What the other end of a link, that `near` lists, would list."""
    return LinkEntry(near, link.peer_slot, link.slot, link.cost, link.mtu)


def _link(near: LinkEntry, far: LinkEntry) -> Link:
    cost, mtu = max(near.cost, far.cost), min(near.mtu, far.mtu)
    return Link(near.slot, far.slot, decode_cost(cost), max(mtu, LINK_FLOOR))
