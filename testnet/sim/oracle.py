"""What would be best: pairs, distances and ways by the graph itself, which no node sees."""

from itertools import pairwise
from random import Random

import networkx as nx  # type: ignore[import-untyped]

from testnet.sim.graphs import Graph

HOP = 0.001
"""Seconds that a hop costs besides its latency."""


def cost(graph: Graph, a: int, b: int) -> float:
    """Of the cheapest way: RTT / 2 + 1 ms a hop, seconds."""
    found: float = nx.dijkstra_path_length(graph, a, b, weight=_weight)
    return found


def latencies(graph: Graph, source: int) -> dict[int, float]:
    """One way, seconds, along the cheapest ways from a node to all that it is connected with."""
    ways = nx.single_source_dijkstra_path(graph, source, weight=_weight)
    return {target: latency(graph, way) for target, way in ways.items()}


def latency(graph: Graph, way: list[int]) -> float:
    """One way along nodes, seconds."""
    return sum(float(graph.edges[a, b]["latency"]) for a, b in pairwise(way))


def connected_pairs(
    graph: Graph, count: int, least_hops: int, random: Random
) -> list[tuple[int, int]]:
    """Random pairs with a way between them of at least so many hops, none twice."""
    part = {n: i for i, nodes in enumerate(nx.connected_components(graph)) for n in nodes}
    nodes, found = sorted(graph), dict[tuple[int, int], None]()
    for _ in range(50 * count):
        if len(found) == count:
            break
        a, b = random.sample(nodes, 2)
        if part[a] == part[b] and _apart(graph, a, b, least_hops):
            found[a, b] = None
    return list(found)


def _apart(graph: Graph, a: int, b: int, least_hops: int) -> bool:
    if least_hops <= 1:
        return True
    if least_hops == 2:
        return not graph.has_edge(a, b)
    return int(nx.shortest_path_length(graph, a, b)) >= least_hops


def _weight(a: int, b: int, data: dict[str, float]) -> float:
    return data["latency"] + HOP
