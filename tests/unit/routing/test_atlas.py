"""What is known beyond the map: which of it counts, for how long, and that labels arrive."""

import random
from itertools import pairwise

import networkx as nx
import pytest

from rovy.address.label import Label, narrowest
from rovy.errors import Malformed
from rovy.forwarder import mend
from rovy.routing.atlas import (
    CORRIDOR,
    DEPTH,
    LABEL_LIFE,
    LABELS,
    LABELS_TO,
    LOCATORS,
    MAP_LIFE,
    MAPS,
    Atlas,
    Recent,
    both,
)
from rovy.routing.cost import HOP, decode_cost, encode_cost
from rovy.routing.graph import LINK_FLOOR, Graph, Link
from rovy.routing.locator import Locator, LocatorLink
from rovy.routing.routes import Near, routes
from rovy.wire.mapping import MapAnswer, MapLink
from tests.dataplanes import IMPLEMENTATIONS
from tests.sim.mesh import random_mesh
from tests.unit.routing.graphs import peer

OWN, A, B, C, T = (peer(number).short for number in range(5))
NOBODY = b"stranger"
KNOWN = Graph({OWN: {A: Link(1, 2, 0.01, 1400)}, A: {OWN: Link(2, 1, 0.01, 1400)}})
Q = encode_cost(0.01)


def locator(number, anchors=(), links=(), sequence=1):
    """One that nobody signed."""
    return Locator(peer(number), sequence, 3600, 0, tuple(anchors), tuple(links), (), b"")


def to(*numbers, slot=7, back=300):
    """Links of a locator."""
    return tuple(LocatorLink(peer(number).short, slot, back, Q) for number in numbers)


def answer(*ends, mtu=1300):
    """A map of links between numbered nodes; the slots of the first are 5 and 6."""
    numbers = enumerate(ends)
    links = (
        MapLink(peer(a).short, peer(b).short, 5 + 2 * n, 6 + 2 * n, Q, mtu) for n, (a, b) in numbers
    )
    return MapAnswer(tuple(links))


def ways(atlas, target, now=0.0, known=KNOWN):
    """The nodes along the best route, as numbers; None where there is none."""
    numbers = {peer(number).short: number for number in range(40)}
    found = routes(atlas.graph(target, known, now), OWN, target)
    near = Near(atlas.base(known), OWN).route(target, atlas.arcs_to(target, now))
    assert bool(found) == bool(near)
    if near:
        assert near.cost == pytest.approx(found[0].cost)
    return [numbers[node] for node in found[0].nodes] if found else None


def test_nothing_is_known_at_first():
    atlas = Atlas(OWN)
    assert atlas.version == 0
    assert atlas.graph(T, KNOWN, 0.0) == atlas.base(KNOWN) == KNOWN
    assert atlas.locator(T) is atlas.peer(T) is None
    assert not atlas.has_map(T, 0.0)


def test_numbers_are_those_of_the_specification():
    assert (LOCATORS, LABELS, LABELS_TO, MAPS, CORRIDOR, DEPTH) == (1024, 2048, 4, 32, 16, 4)
    assert (LABEL_LIFE, MAP_LIFE) == (600.0, 600.0)


# What makes a route


def test_the_path_of_an_anchor():
    atlas = Atlas(OWN)
    atlas.set_anchors([*both(T, B, 1, 2, Q, 1500), *both(B, A, 300, 4, Q, 1250)], [peer(4)])
    assert ways(atlas, T) == [0, 1, 2, 4]
    [route] = routes(atlas.base(KNOWN), OWN, T)
    assert route.label == Label.of(1, 4, (2, 2))
    assert route.mtu == 1250 - 8
    assert atlas.peer(T) == peer(4)
    atlas.set_anchors([], [])
    assert ways(atlas, T) is None
    assert atlas.peer(T) is None


def test_the_links_of_a_locator():
    atlas = Atlas(OWN)
    atlas.learn_locator(locator(4, links=to(1)))
    assert ways(atlas, T) == [0, 1, 4]
    [route] = routes(atlas.graph(T, KNOWN, 0.0), OWN, T)
    assert route.label == Label.of(1, (300, 2))
    assert route.mtu == LINK_FLOOR - 8
    assert route.cost == pytest.approx(0.01 + decode_cost(Q))
    assert atlas.peer(T) == peer(4)
    assert ways(atlas, C) is None


def test_the_paths_of_a_locator_are_walked_either_way():
    atlas = Atlas(OWN)
    atlas.learn_locator(locator(4, anchors=[to(3, 1, 2), ()]))
    assert ways(atlas, T) == [0, 1, 2, 4]
    assert routes(atlas.graph(T, KNOWN, 0.0), OWN, T)[0].label == Label.of(1, 7, (7, 2))
    assert atlas.graph(T, KNOWN, 0.0).adjacency[A][C] == Link(300, 7, decode_cost(Q), LINK_FLOOR)


def test_only_what_leads_to_the_target_counts():
    atlas = Atlas(OWN)
    atlas.learn_locator(locator(2, links=to(1)))
    atlas.learn_locator(locator(4, links=to(2)))
    assert ways(atlas, B) == [0, 1, 2]
    assert ways(atlas, T) is None


def test_the_map_of_a_peer():
    atlas = Atlas(OWN)
    atlas.learn_map(T, answer((4, 2), (2, 1)), 100.0)
    assert ways(atlas, T, 100.0) == [0, 1, 2, 4]
    assert routes(atlas.graph(T, KNOWN, 100.0), OWN, T)[0].mtu == 1300 - 8


def test_the_maps_of_nodes_on_the_way():
    atlas = Atlas(OWN)
    atlas.learn_locator(locator(4, links=to(3)))
    atlas.learn_map(B, answer((2, 1), (2, 3)), 0.0)
    assert ways(atlas, T) is None
    atlas.on_the_way(T, B)
    assert ways(atlas, T) == [0, 1, 2, 3, 4]
    assert ways(atlas, C) is None


def test_a_label_heard_of():
    atlas = Atlas(OWN)
    label = Label.of((9, 2), 300, 8)
    atlas.learn_label(peer(1), peer(4), label.data, encode_cost(0.05), 0.0)
    assert ways(atlas, T) == [0, 1, 4]
    [route] = routes(atlas.graph(T, KNOWN, 0.0), OWN, T)
    assert route.label == Label.of(1, 9, 300, 8)
    assert route.reach == (1, 4)
    assert atlas.peer(T) == peer(4)


def test_labels_to_repliers():
    """The last of them so far away that nothing leads back from there to the map is not used."""
    for chain in range(1, DEPTH + 2):
        atlas = Atlas(OWN)
        for number in range(1, chain + 1):
            atlas.learn_label(peer(number), peer(number + 1), b"\x05\x06", Q, 0.0)
        found = ways(atlas, peer(chain + 1).short)
        assert found == ([*range(chain + 2)] if chain <= DEPTH else None)


def test_what_the_replier_says_of_itself_leads_to_it():
    atlas = Atlas(OWN)
    atlas.learn_label(peer(2), peer(4), b"\x05\x06", Q, 0.0)
    assert ways(atlas, T) is None
    atlas.learn_locator(locator(2, links=to(1)))
    assert ways(atlas, T) == [0, 1, 2, 4]
    [route] = routes(atlas.graph(T, KNOWN, 0.0), OWN, T)
    assert route.label == Label.of(1, (300, 2), 5, 6)


def test_what_comes_after_a_label_has_room_for_any_slot():
    atlas = Atlas(OWN)
    atlas.learn_label(peer(1), peer(2), b"\x05\x06", Q, 0.0)
    atlas.learn_label(peer(2), peer(4), b"\x07\x08", Q, 0.0)
    [route] = routes(atlas.graph(T, KNOWN, 0.0), OWN, T)
    assert route.label == Label.of(1, 5, 6, (7, 2), 8)
    assert [route.link_after(hops) for hops in range(6)] == [
        (OWN, A),
        (A, B),
        (A, B),
        (B, T),
        (B, T),
        None,
    ]


def test_a_label_that_begins_along_known_links_is_left_where_it_leaves_them():
    atlas = Atlas(OWN)
    atlas.learn_locator(locator(3, links=to(1, slot=9, back=8)))
    label = Label.of((9, 2), 20, 21)
    atlas.learn_label(peer(3), peer(4), label.data, encode_cost(0.05), 0.0)
    assert ways(atlas, T) == [0, 1, 4]
    [route] = routes(atlas.graph(T, KNOWN, 0.0), OWN, T)
    assert route.label == Label.of(1, 20, 21)
    assert route.cost == pytest.approx(0.01 + 0.05 - 0.01, rel=0.05)


def test_a_label_said_to_be_shorter_than_its_links_costs_its_hops():
    atlas = Atlas(OWN)
    atlas.learn_locator(locator(3, links=to(1, slot=9, back=8)))
    atlas.learn_label(peer(3), peer(4), Label.of((9, 2), 20, 21).data, 0, 0.0)
    found = atlas.graph(T, KNOWN, 0.0).adjacency
    assert (found[C][T].cost, found[A][T].cost) == (3 * HOP, 2 * HOP)


def test_of_a_label_through_ourselves_only_what_comes_after_is_of_use():
    both_ways = {OWN: Link(8, 9, 0.01, 1400)}
    known = {OWN: {**KNOWN.adjacency[OWN], B: Link(9, 8, 0.01, 1400)}, B: both_ways}
    for label, found in ((Label.of(2, 9, 30), [0, 2, 4]), (Label.of(2, 10, 30), None)):
        atlas = Atlas(OWN)
        atlas.learn_label(peer(1), peer(4), label.data, Q, 0.0)
        graph = Graph({**KNOWN.adjacency, **known})
        assert ways(atlas, T, known=graph) == found
        assert T not in atlas.graph(T, graph, 0.0).adjacency[OWN]


# What does not count


def test_own_links_are_told_by_nobody_else():
    atlas = Atlas(OWN)
    atlas.learn_locator(locator(4, anchors=[to(0, 2)], links=to(0)))
    atlas.learn_map(T, answer((4, 0), (0, 2), (2, 4)), 0.0)
    atlas.learn_label(peer(0), peer(4), b"\x05\x06", Q, 0.0)
    atlas.learn_label(peer(4), peer(0), b"\x05\x06", Q, 0.0)
    atlas.set_anchors([*both(T, OWN, 1, 2, Q, 1500), *both(OWN, B, 1, 2, Q, 1500)], [peer(4)])
    for graph in (atlas.graph(T, KNOWN, 0.0), atlas.base(KNOWN)):
        assert graph.adjacency[OWN] == KNOWN.adjacency[OWN]
    assert ways(atlas, T) is None


def test_of_oneself_nothing_is_learnt():
    atlas = Atlas(OWN)
    atlas.learn_locator(locator(0, links=to(1)))
    atlas.learn_label(peer(1), peer(0), b"\x05", Q, 0.0)
    assert (atlas.version, atlas.locator(OWN)) == (0, None)


def test_nobody_speaks_against_the_map():
    lies = [*both(A, OWN, 99, 98, 0, 9000), *both(A, B, 30, 31, 0, 9000)]
    known = Graph({**KNOWN.adjacency, A: {**KNOWN.adjacency[A], B: Link(3, 4, 0.02, 1350)}, B: {}})
    atlas = Atlas(OWN)
    atlas.set_anchors(lies, [])
    atlas.learn_map(T, answer((1, 0), (1, 2), (2, 4)), 0.0)
    atlas.learn_locator(locator(4, anchors=[to(1, 2)]))
    found = atlas.graph(T, known, 0.0).adjacency
    assert {far: found[A][far] for far in (OWN, B)} == known.adjacency[A]


def test_who_is_believed_first():
    """Anchors, then maps, locators and labels: all tell of one link."""
    atlas = Atlas(OWN)

    def said():
        return atlas.graph(T, KNOWN, 0.0).adjacency[A][T]

    atlas.learn_label(peer(1), peer(4), Label.of(40, 41).data, Q, 0.0)
    assert said() == Link(40, 0, decode_cost(Q), LINK_FLOOR, b"\x29")
    atlas.learn_locator(locator(4, links=to(1)))
    assert said() == Link(300, 7, decode_cost(Q), LINK_FLOOR)
    atlas.learn_map(T, answer((1, 4)), 0.0)
    assert said() == Link(5, 6, decode_cost(Q), 1300)
    atlas.learn_map(B, MapAnswer((MapLink(A, T, 50, 51, Q, 1310),)), 0.0)
    atlas.on_the_way(T, B)
    assert said() == Link(50, 51, decode_cost(Q), 1310)
    atlas.set_anchors(both(A, T, 60, 61, Q, 1320), [])
    assert said() == Link(60, 61, decode_cost(Q), 1320)
    known = Graph({**KNOWN.adjacency, A: {T: Link(70, 71, 1.0, 1330)}})
    assert atlas.graph(T, known, 0.0).adjacency[A][T] == Link(70, 71, 1.0, 1330)


@pytest.mark.parametrize("label", [b"\0", b"\xff\x01", b"\x01\xf0", b"\xf0\0", bytes([1]) * 256])
def test_labels_that_are_none(label):
    with pytest.raises(Malformed):
        Atlas(OWN).learn_label(peer(1), peer(4), label, Q, 0.0)


def test_labels_from_nowhere_to_nowhere():
    atlas = Atlas(OWN)
    atlas.learn_label(peer(1), peer(4), b"", Q, 0.0)
    atlas.learn_label(peer(4), peer(4), b"\x05", Q, 0.0)
    assert (atlas.version, atlas.peer(T)) == (0, None)


# How long, and how much


def test_the_newest_locator_counts():
    atlas = Atlas(OWN)
    for sequence, number in ((5, 1), (4, 2), (5, 3)):
        atlas.learn_locator(locator(4, links=to(number), sequence=sequence))
    assert atlas.locator(T).links == to(1)
    assert atlas.version == 1
    atlas.learn_locator(locator(4, links=to(2), sequence=6))
    assert atlas.locator(T).links == to(2)
    assert atlas.version == 2


def test_labels_and_maps_grow_old():
    atlas = Atlas(OWN)
    atlas.learn_label(peer(1), peer(4), b"\x05\x06", Q, 100.0)
    atlas.learn_map(C, answer((1, 3)), 100.0)
    assert ways(atlas, T, 100.0 + LABEL_LIFE - 1) == [0, 1, 4]
    assert ways(atlas, C, 100.0 + MAP_LIFE - 1) == [0, 1, 3]
    assert atlas.has_map(C, 100.0 + MAP_LIFE - 1)
    assert ways(atlas, T, 100.0 + LABEL_LIFE) is None
    assert ways(atlas, C, 100.0 + MAP_LIFE) is None
    assert not atlas.has_map(C, 100.0 + MAP_LIFE)


def test_the_four_labels_told_last_are_remembered():
    atlas = Atlas(OWN)
    for number in (10, 11, 12, 13, 10, 14):
        atlas.learn_label(peer(number), peer(4), b"\x05\x06", Q, 0.0)
    near = {arc[0] for arc in atlas.arcs_to(T, 0.0)}
    assert near == {peer(number).short for number in (12, 13, 10, 14)}


def test_a_label_told_again_replaces_the_former_one():
    atlas = Atlas(OWN)
    atlas.learn_label(peer(1), peer(4), b"\x05\x06", Q, 0.0)
    atlas.learn_label(peer(1), peer(4), b"\x07", Q, 1.0)
    [(near, far, link)] = atlas.arcs_to(T, 2.0)
    assert (near, far, link.slot, link.via) == (A, T, 7, b"")


def test_what_led_nowhere_is_forgotten():
    atlas = Atlas(OWN)
    atlas.learn_locator(locator(4, links=to(1)))
    atlas.learn_label(peer(1), peer(4), b"\x05\x06", Q, 0.0)
    atlas.learn_map(T, answer((1, 4)), 0.0)
    atlas.learn_map(B, answer((1, 4)), 0.0)
    atlas.on_the_way(T, B)
    atlas.forget(T)
    assert ways(atlas, T) is None
    assert not atlas.has_map(T, 0.0)
    assert atlas.locator(T) is atlas.peer(T) is None


def test_tables_have_an_end():
    table = Recent(3)
    for key in (b"a", b"b", b"c"):
        table.put(key, key)
    assert table.get(b"a") == b"a"
    table.put(b"d", b"d")
    assert [table.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"a", None, b"c", b"d"]
    table.put(b"c", b"again")
    assert (len(table), table.get(b"c")) == (3, b"again")
    table.drop(b"c")
    table.drop(b"nobody")
    assert (len(table), table.get(b"c")) == (2, None)


@pytest.mark.parametrize("extra", [0, 1])
def test_what_was_not_asked_for_longest_gives_way(extra):
    atlas = Atlas(OWN)
    for number in range(5, 5 + MAPS):
        atlas.learn_map(peer(number).short, answer((1, number)), 0.0)
    atlas.has_map(peer(5).short, 0.0)
    for number in range(100, 100 + extra):
        atlas.learn_map(peer(number).short, answer((1, number)), 0.0)
    held = [number for number in range(5, 5 + MAPS) if atlas.has_map(peer(number).short, 0.0)]
    assert held == [5, *range(6 + extra, 5 + MAPS)]


def test_of_nodes_on_the_way_the_last_ones_count():
    atlas = Atlas(OWN)
    for number in range(20, 21 + CORRIDOR):
        atlas.learn_map(peer(number).short, answer((number, 1), (number, 4)), 0.0)
        atlas.on_the_way(T, peer(number).short)
    atlas.on_the_way(T, peer(22).short)
    near = {arc[0] for arc in atlas.arcs_to(T, 0.0)} - {A, T}
    assert near == {peer(number).short for number in range(21, 21 + CORRIDOR)}


def test_the_version_rises_with_whatever_is_new():
    atlas, versions = Atlas(OWN), [0]

    def rises():
        versions.append(atlas.version)
        return versions[-1] > versions[-2]

    atlas.set_anchors([], [])
    assert rises()
    atlas.learn_locator(locator(4))
    assert rises()
    atlas.learn_locator(locator(4))
    assert not rises()
    atlas.learn_label(peer(1), peer(4), b"\x05", Q, 0.0)
    assert rises()
    atlas.learn_label(peer(1), peer(4), b"\x05", Q, 1.0)
    assert not rises()
    atlas.learn_label(peer(1), peer(4), b"\x06", Q, 1.0)
    assert rises()
    atlas.learn_label(peer(1), peer(4), b"\x06", Q, 1.0 + LABEL_LIFE)
    assert rises()
    atlas.learn_map(T, answer(), 0.0)
    assert rises()
    atlas.on_the_way(T, B)
    assert rises()
    atlas.forget(NOBODY)
    assert rises()


def test_map_and_anchors_are_joined_once():
    atlas = Atlas(OWN)
    base = atlas.base(KNOWN)
    assert atlas.base(KNOWN) is base
    other = Graph(dict(KNOWN.adjacency))
    assert atlas.base(other) is not base
    base = atlas.base(KNOWN)
    atlas.learn_label(peer(1), peer(4), b"\x05", Q, 0.0)
    assert atlas.base(KNOWN) is base
    atlas.set_anchors([], [])
    assert atlas.base(KNOWN) is not base


# Labels arrive


class World:
    """A mesh of data planes, and what its nodes truly say of it."""

    def __init__(self, seed, nodes=14, links=20):
        self.random = random.Random(seed)
        self.mesh = random_mesh(IMPLEMENTATIONS["pure"], self.random, nodes, links)
        self.truth = nx.Graph()
        for a, slots in enumerate(self.mesh.slots):
            for b in slots:
                self.truth.add_edge(a, b, q=self.random.choice((100, 110, 120, 140)))
        for _, _, link in self.truth.edges(data=True):
            link["cost"] = decode_cost(link["q"])
        order, size = list(nx.bfs_tree(self.truth, 0)), max(5, 1 + self.truth.degree(0))
        self.near, self.far = order[:size], order[size:]
        self.known = Graph({peer(0).short: {}}).joined(self.arcs(self.truth.subgraph(self.near)))
        self.atlas = Atlas(peer(0).short)

    def arcs(self, graph):
        """Links in both directions."""
        for a, b, link in graph.edges(data=True):
            yield from both(peer(a).short, peer(b).short, *self.slots(a, b), link["q"], 1400)

    def slots(self, a, b):
        return self.mesh.slots[a][b], self.mesh.slots[b][a]

    def way(self, a, b):
        return nx.shortest_path(self.truth, a, b, weight="cost")

    def link(self, near, far):
        return LocatorLink(peer(near).short, *self.slots(near, far), self.truth[near][far]["q"])

    def anchor(self, *anchors):
        """Paths of anchors to node 0."""
        paths = [nx.path_graph(self.way(anchor, 0)).edges for anchor in anchors]
        used = self.truth.edge_subgraph(edge for path in paths for edge in path)
        self.atlas.set_anchors(self.arcs(used), map(peer, used))

    def locate(self, node, *anchors, links=8):
        """The locator of a node."""
        ways = [self.way(anchor, node) for anchor in anchors]
        paths = [[self.link(a, b) for a, b in pairwise(way)] for way in ways]
        around = sorted(self.truth[node])[:links]
        far = (LocatorLink(peer(n).short, *self.slots(node, n), 100) for n in around)
        self.atlas.learn_locator(locator(node, map(tuple, paths), far))

    def tell(self, near, far, walk=None):
        """The label of some way between two nodes, as the first one tells it."""
        walk = walk or self.way(near, far)
        label = self.mesh.label_of(walk, wider=lambda: self.random.random() < 0.3)
        cost = sum(self.truth.edges[edge]["cost"] for edge in nx.path_graph(walk).edges)
        first = Label(label.widen(0).data)
        self.atlas.learn_label(peer(near), peer(far), first.data, encode_cost(cost), 0.0)

    def map(self, node, size=6):
        """The surroundings of a node, as it tells them."""
        around = self.truth.subgraph(list(nx.bfs_tree(self.truth, node))[:size])
        links = (
            MapLink(peer(a).short, peer(b).short, *self.slots(a, b), link["q"], 1400)
            for a, b, link in around.edges(data=True)
        )
        self.atlas.learn_map(peer(node).short, MapAnswer(tuple(links)), 0.0)

    def routes(self, target):
        return routes(
            self.atlas.graph(peer(target).short, self.known, 0.0), OWN, peer(target).short
        )

    def arrives(self, route, target, *, mended=False):
        """Whether a label leads to its target and, reversed, back; mended on the way perhaps."""
        label, found = route.label, self.mesh.hello(0, route.label)
        while found is None and mended and label:
            notice, told = self.mesh.notices(0)[-1]
            label = mend(label, notice.code, told)
            found = label and self.mesh.hello(0, label)
        return found and found[0] == target and self.mesh.hello(target, found[1].label)[0] == 0


SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_routes_over_anchors_and_locators_arrive(seed):
    world = World(seed)
    anchors = world.random.sample(world.far, 2)
    world.anchor(*anchors)
    for target in world.far:
        world.locate(target, *anchors, links=world.random.randint(0, 8))
        found = world.routes(target)
        assert found
        assert all(world.arrives(route, target) for route in found)
        assert all(route.label.hops == len(route.nodes) - 1 for route in found)
    assert not world.mesh.drops()


@pytest.mark.parametrize("seed", SEEDS)
def test_routes_over_labels_arrive(seed):
    """The labels of repliers in the map, and of those that they know, as they route themselves."""
    world = World(seed)
    for target in world.far:
        for near in world.random.sample(world.near[1:], 2):
            world.tell(near, target)
        further = world.random.choice([node for node in world.far if node != target])
        world.tell(further, target)
        found = world.routes(target)
        assert found
        assert all(world.arrives(route, target, mended=True) for route in found)


@pytest.mark.parametrize("seed", SEEDS)
def test_routes_over_any_mix_arrive(seed):
    """Labels here go any way at all: where a route turns straight back a notice says so."""
    world = World(seed, nodes=18, links=28)
    rng, tried = world.random, 0
    for target in rng.sample(world.far, 6):
        world.anchor(*rng.sample(world.far, 2))
        world.locate(target, rng.choice(world.far), links=rng.randint(0, 2))
        for _ in range(4):
            walk = world.mesh.walk(rng, rng.randrange(1, 18), rng.randint(1, 6))
            if walk[0] != walk[-1]:
                world.tell(walk[0], walk[-1], walk)
        world.tell(rng.choice([n for n in world.truth if n != target]), target)
        for node in rng.sample(world.far, 2):
            world.map(node)
            world.atlas.on_the_way(peer(target).short, peer(node).short)
        for route in world.routes(target):
            tried += 1
            assert route.reach[-1] == route.label.hops
            assert world.arrives(route, target, mended=True)
    assert tried >= 6


@pytest.mark.parametrize("seed", SEEDS)
def test_no_route_turns_straight_back_where_that_can_be_known(seed):
    """Repliers tell labels that begin with the link by which they are reached."""
    world = World(seed)
    for target in world.far:
        for replier in world.near[1:]:
            world.tell(replier, target)
        for route in world.routes(target):
            assert world.arrives(route, target)
    assert world.mesh.log
    assert all(not world.mesh.notices(node) for node in world.truth)


def test_slots_of_both_widths_stand_after_labels():
    widths = set()
    for seed in SEEDS:
        world = World(seed)
        for target in world.far:
            world.tell(world.near[1], world.far[0])
            if target != world.far[0]:
                world.tell(world.far[0], target)
            for route in world.routes(target):
                slots = zip(route.label.slots, route.label.widths, strict=True)
                widths |= {(narrowest(slot), width) for slot, width in slots}
    assert widths == {(1, 1), (1, 2), (2, 2)}
