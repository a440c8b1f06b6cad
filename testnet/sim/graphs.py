"""Topologies: graphs whose nodes are 0, 1, 2 … and whose links have qualities.

An edge carries what `rovy.io.sim.Quality` has fields for, `latency` (seconds, one way) at least.
All chance comes from the seed.
"""

import json
from collections.abc import Iterable
from itertools import combinations
from math import dist, exp
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import networkx as nx  # type: ignore[import-untyped]

from rovy.io.simlink import Quality

Graph: TypeAlias = nx.Graph
INTERNET = 0.005, 0.080
"""Seconds between two nodes over the Internet, one way: the least and the most."""
LAN = 0.0003
METRE = 3e-6
"""Seconds a metre of a random geometric graph takes; it stands for kilometres of cable."""


def nothing(n: int) -> Graph:
    """Nodes without links."""
    return nx.empty_graph(n)


def square(latency: float = 0.01) -> Graph:
    """0 – 1 – 3 and 0 – 2 – 3."""
    return _numbered(nx.Graph([(0, 1), (1, 3), (0, 2), (2, 3)]), latency)


def line(n: int, latency: float = 0.01) -> Graph:
    """A row."""
    return _numbered(nx.path_graph(n), latency)


def ring(n: int, latency: float = 0.01) -> Graph:
    """A row whose ends are joined."""
    return _numbered(nx.cycle_graph(n), latency)


def tree(n: int, latency: float = 0.01, fanout: int = 2) -> Graph:
    """A tree filled row by row."""
    made = nx.Graph([((i - 1) // fanout, i) for i in range(1, n)])
    return _numbered(made, latency)


def random_tree(n: int, seed: int = 1, latency: float = 0.01) -> Graph:
    """A tree of any shape."""
    return _numbered(nx.random_labeled_tree(n, seed=seed), latency)


def grid(n: int, latency: float = 0.01, width: int = 0) -> Graph:
    """A grid of `n` nodes, as square as that allows, or of a given width."""
    width = width or max(w for w in range(1, n + 1) if n % w == 0 and w * w <= n)
    return _numbered(nx.grid_2d_graph(n // width, width), latency)


def star(n: int, latency: float = 0.01) -> Graph:
    """A hub, node 0, and spokes."""
    return _numbered(nx.star_graph(n - 1), latency)


def clustered(n: int, seed: int = 1, clique: int = 4, share: float = 0.3) -> Graph:
    """As a young public network may be: power-law links over the Internet, and LANs.

    A `share` of all nodes lives in cliques of `clique`, of which one node is on the Internet. The
    mean degree is near 4.
    """
    random = Random(seed)
    lans = int(n * share) // clique
    outside = n - lans * (clique - 1)
    made = nx.Graph()
    made.add_nodes_from(range(n))
    for a, b in nx.barabasi_albert_graph(outside, 2, seed=seed).edges:
        made.add_edge(a, b, latency=random.uniform(*INTERNET))
    gates = random.sample(range(outside), lans)
    for number, gate in enumerate(gates):
        first = outside + number * (clique - 1)
        for a, b in combinations((gate, *range(first, first + clique - 1)), 2):
            made.add_edge(a, b, latency=LAN)
    return made


def geometric(n: int, seed: int = 1, degree: float = 6.0) -> Graph:
    """Nodes on a plane linked to those near by; joined where that leaves parts."""
    random = Random(seed)
    places = {i: (random.random() * 10000, random.random() * 10000) for i in range(n)}
    reach = (degree / n / 3.1416) ** 0.5 * 10000
    made = nx.Graph()
    made.add_nodes_from(range(n))
    for a, b in combinations(range(n), 2):
        metres = dist(places[a], places[b])
        if metres <= reach:
            made.add_edge(a, b, latency=0.0005 + metres * METRE)
    _join_parts(made, lambda a, b: 0.0005 + dist(places[a], places[b]) * METRE)
    return made


def as_like(n: int, seed: int = 1) -> Graph:
    """Like the graph of autonomous systems: a dense core, providers, and many customers."""
    random = Random(seed)
    made = nx.random_internet_as_graph(n, seed=seed)
    for _, _, data in made.edges(data=True):
        data.clear()
        data["latency"] = min(INTERNET[1], INTERNET[0] * exp(abs(random.gauss(0.0, 1.0))))
    return nx.Graph(made.edges(data=True))


def side_by_side(one: Graph, other: Graph) -> tuple[Graph, tuple[int, int]]:
    """Two networks as one graph of two parts, and the pair of nodes to join them by later."""
    return nx.disjoint_union(one, other), (0, len(one))


def load(path: Path) -> Graph:
    """Read `{"nodes": [...], "links": [{"a": …, "b": …, "latency": seconds, …}]}`.

    Nodes may have any names; they are numbered in the order of the list, and keep their names as
    the attribute `name`. Raises `ValueError` with the reason.
    """
    described = json.loads(path.read_text())
    try:
        return _described(described["nodes"], described["links"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error!r} in the description of a network") from error


def save(graph: Graph, path: Path) -> None:
    """Write what `load` reads."""
    names = {node: graph.nodes[node].get("name", node) for node in sorted(graph)}
    links = [{"a": names[a], "b": names[b], **data} for a, b, data in graph.edges(data=True)]
    path.write_text(json.dumps({"nodes": list(names.values()), "links": links}, indent=1) + "\n")


def _described(nodes: list[Any], links: Iterable[dict[str, Any]]) -> Graph:
    numbers = {name: number for number, name in enumerate(nodes)}
    made = nx.Graph()
    for name, number in numbers.items():
        made.add_node(number, name=name)
    for link in links:
        ends = numbers[link["a"]], numbers[link["b"]]
        rest = {key: value for key, value in link.items() if key not in ("a", "b")}
        Quality(**rest)
        made.add_edge(*ends, **{"latency": 0.01, **rest})
    return made


def _numbered(graph: Graph, latency: float) -> Graph:
    made = nx.convert_node_labels_to_integers(graph, ordering="sorted")
    nx.set_edge_attributes(made, latency, "latency")
    return made


def _join_parts(graph: Graph, latency: Any) -> None:
    """One link from each part to the first, between the lowest numbers."""
    first, *others = sorted(min(part) for part in nx.connected_components(graph))
    for other in others:
        graph.add_edge(first, other, latency=latency(first, other))
