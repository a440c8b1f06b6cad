"""Up to three routes to a node, such that what breaks the first leaves another.

r1 is the cheapest. r2 and r3 come from the same search with what former routes use made dearer.
What all three share although a way around it exists is then taken out of r3; where r2 leaves no
room for that, both are replaced by the two cheapest routes that are apart from each other: no
link or node between can break both of them, so each of r1's is avoided by one. Such a pair always
exists but for what every route has to cross. docs/protocol/routing.md §3
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from typing import Final

from rovy.address.label import Label, encode_entry, narrowest
from rovy.routing.graph import Element, Graph, Link, extended, pair, search
from rovy.wire.forward import FORWARD_LIMIT, header_size

SUSPECT: Final = 100.0
"""How often a suspect is paid for where every route crosses some."""

Nodes = tuple[bytes, ...]
State = tuple[bytes, bool]
"""A node as it is entered (False) and left (True)."""


@dataclass(frozen=True, slots=True)
class Route:
    """A way through the graph."""

    nodes: Nodes
    """Shorts, from source to target, both included."""
    label: Label
    cost: float
    """Seconds, half the RTT and 1 ms for each hop."""
    mtu: int
    """Bytes of the largest inner datagram."""
    reach: tuple[int, ...]
    """Hops of the label up to each node but the source."""

    @property
    def elements(self) -> frozenset[Element]:
        """The links, smaller short first, and the nodes in between."""
        return _elements(self.nodes)

    def link_after(self, hops: int) -> tuple[bytes, bytes] | None:
        """The nodes around the link by which the route goes on after so many hops."""
        at = bisect_right(self.reach, hops)
        return (self.nodes[at], self.nodes[at + 1]) if at < len(self.reach) else None


class Near:
    """The first of `routes` to many targets, for a small part of the work.

    A graph is searched once; what leads to a single target is added to the result.
    """

    def __init__(self, graph: Graph, source: bytes, avoid: Iterable[Element] = ()) -> None:
        self._graph, self._source, self._avoid = graph, source, frozenset(avoid)
        self._times = _barred(self._avoid, inf)
        self._tree = search(self._finder(graph, b"").arcs, source)

    def route(self, target: bytes, added: Iterable[tuple[bytes, bytes, Link]] = ()) -> Route | None:
        """The best route over the graph and these links."""
        arcs = list(added)
        graph = self._graph.joined(arcs) if arcs else self._graph
        finder = self._finder(graph, target)
        nodes = extended(self._tree, finder.arcs, {near for near, _, _ in arcs}, target)
        if nodes is None and self._avoid:
            first = _first(graph, self._source, target, self._avoid)
            nodes = first[1] if first else None
        if not nodes or len(nodes) < 2:
            return None
        if route := _route(graph, nodes):
            return route
        return next(iter(routes(graph, self._source, target, self._avoid)), None)

    def _finder(self, graph: Graph, target: bytes) -> "_Finder":
        return _Finder(graph, self._source, target, self._times, 1.0)


def routes(
    graph: Graph, source: bytes, target: bytes, avoid: Iterable[Element] = ()
) -> list[Route]:
    """Up to three different routes, the best first; none to the node itself.

    Elements of `avoid` are not used, unless there is no route without them. Routes are left out
    whose label is longer than forwarders take.
    """
    first = _first(graph, source, target, avoid)
    if first is None:
        return []
    found = dict.fromkeys([first[1], *_backups(*first)])
    return [route for nodes in found if (route := _route(graph, nodes))]


def _first(
    graph: Graph, source: bytes, target: bytes, avoid: Iterable[Element]
) -> "tuple[_Finder, Nodes] | None":
    """The cheapest route, without suspects if there is one, and the search that found it."""
    if source == target:
        return None
    for times in (inf, SUSPECT):
        counted = _barred(avoid, times)
        counted.pop(target, None)
        finder = _Finder(graph, source, target, counted, 1.0)
        if first := finder.find():
            return finder, first
    return None


def _barred(avoid: Iterable[Element], times: float) -> Counter[Element]:
    """How often each suspect counts."""
    return Counter({e if isinstance(e, bytes) else pair(*e): times for e in avoid})


@dataclass(frozen=True, slots=True)
class _Finder:
    """Searches a graph with some elements made dearer.

    A step over a link of cost w costs 3 w + `share` more for each time its link or the node it
    enters counts, whichever counts more; what counts infinitely is barred.
    """

    graph: Graph
    source: bytes
    target: bytes
    times: Mapping[Element, float]
    share: float

    def find(self) -> Nodes | None:
        """The cheapest route."""
        return search(self.arcs, self.source, self.target).path(self.target)

    def arcs(self, node: bytes) -> Iterator[tuple[bytes, float]]:
        """The steps from a node."""
        links = self.graph.adjacency.get(node, {})
        if not self.times:
            yield from ((peer, link.cost) for peer, link in links.items())
            return
        for peer, link in links.items():
            times = max(self.times.get(peer, 0), self.times.get(pair(node, peer), 0))
            if times < inf:
                yield peer, link.cost + times * (3 * link.cost + self.share)

    def dearer(self, nodes: Nodes, share: float) -> "_Finder":
        """The same, with what this route uses counted once more."""
        times = Counter(self.times)
        times.update(_elements(nodes))
        return _Finder(self.graph, self.source, self.target, times, share)

    def without(self, elements: Iterable[Element]) -> "_Finder":
        """The same, with these barred."""
        times = {**self.times, **dict.fromkeys(elements, inf)}
        return _Finder(self.graph, self.source, self.target, times, self.share)


def _backups(finder: _Finder, first: Nodes) -> list[Nodes]:
    """r2 and r3, which may be equal, and equal to r1, where every route has to cross the same."""
    share = _cost(finder.graph, first)
    apart = finder.dearer(first, share)
    second = apart.find() or first
    shared = _elements(first) & _elements(second)
    avoidable = {each for each in shared if finder.without([each]).find()}
    third = apart.dearer(second, share).without(avoidable).find()
    return [second, third] if third else _disjoint(apart, shared - avoidable)


def _disjoint(finder: _Finder, cuts: frozenset[Element]) -> list[Nodes]:
    """The two routes, together the cheapest, that share nothing but `cuts`, which all must cross.

    Suurballe's way: a second search may go back along the first route, which takes the step back
    out of it, and enters its nodes only so. Costs are reduced by the nodes' distances, so that
    going back costs 0.
    """
    tree = search(finder.arcs, finder.source)
    residual: dict[State, dict[State, float]] = {}
    for node, cost in tree.cost.items():
        residual[node, False] = {(node, True): 0.0}
        residual[node, True] = {
            (peer, False): max(0.0, cost + step - tree.cost[peer])
            for peer, step in finder.arcs(node)
        }
    first = [(node, leaves) for node in tree.path(finder.target) or () for leaves in (False, True)]
    taken = list(pairwise(first[1:-1]))
    for near, far in taken:
        if (near[0] if near[0] == far[0] else pair(near[0], far[0])) not in cuts:
            del residual[near][far]
        residual[far][near] = 0.0
    second = search(lambda state: residual[state].items(), first[1], first[-2]).path(first[-2])
    for near, far in pairwise(second or ()):
        if (far, near) in taken:
            taken.remove((far, near))
        else:
            taken.append((near, far))
    onward = defaultdict(list)
    for near, far in taken:
        onward[near].append(far)
    found = [_follow(onward, first[1], first[-2]) for _ in range(2)]
    return sorted(found, key=lambda nodes: _cost(finder.graph, nodes))


def _follow(onward: dict[State, list[State]], start: State, end: State) -> Nodes:
    """A route along steps that are not taken yet."""
    nodes, state = [start[0]], start
    while state != end:
        state = onward[state].pop()
        if not state[1]:
            nodes.append(state[0])
    return tuple(nodes)


def _elements(nodes: Nodes) -> frozenset[Element]:
    return frozenset((*nodes[1:-1], *(pair(a, b) for a, b in pairwise(nodes))))


def _cost(graph: Graph, nodes: Nodes) -> float:
    return sum(graph.adjacency[near][far].cost for near, far in pairwise(nodes))


def _route(graph: Graph, nodes: Nodes) -> Route | None:
    """The route along nodes; None where its label is too long, or turns straight back."""
    links = [graph.adjacency[near][far] for near, far in pairwise(nodes)]
    if any(arrive.back == leave.slot for arrive, leave in pairwise(links)):
        return None
    rest = links[0].via + b"".join(
        encode_entry(leave.slot, max(arrive.arrival, narrowest(leave.slot))) + leave.via
        for arrive, leave in pairwise(links)
    )
    if len(rest) > FORWARD_LIMIT:
        return None
    label = Label(encode_entry(links[0].slot) + rest)
    mtu = min(link.mtu for link in links) - header_size(len(rest))
    reach = tuple(accumulate(link.hops for link in links))
    return Route(nodes, label, _cost(graph, nodes), mtu, reach)
