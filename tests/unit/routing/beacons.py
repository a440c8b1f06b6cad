"""Anchors joined by wires in memory that lose, delay, repeat and reorder; a clock of their own."""

from collections import Counter
from functools import cache
from heapq import heappop, heappush
from itertools import count, pairwise
from random import Random

import networkx as nx

from rovy.routing.anchor_seats import SEATS, rank
from rovy.routing.anchors import Anchors
from rovy.routing.beacon import Beacon, Step
from rovy.routing.cost import decode_cost, encode_cost
from rovy.wire.beacon import READERS, BeaconMessage
from tests.bench.keys import private_keys
from tests.unit.routing.graphs import SHAPES

EPOCH = 1.7e9
"""The wall clock at second 0."""
LATENCY = 0.01
COST = 0.005
FAR = 0.05
MTU = 1400


@cache
def keys():
    """Identities by number."""
    return private_keys(420)


def peer(number):
    """Who a node is."""
    return keys()[number].peer_id


def short(number):
    """By which messages name an anchor."""
    return peer(number).short


@cache
def numbers():
    """Which identity has a short."""
    return {private.peer_id.short: number for number, private in enumerate(keys())}


def best(nodes):
    """The best ranked of these, as many as there are seats."""
    return sorted(nodes, key=lambda number: rank(peer(number)))[:SEATS]


class Relays:
    """Anchors objects by number of their node, and links between them."""

    def __init__(self, seed=1, *, loss=0.0, duplicate=0.0, jitter=0.0, pins=()):
        self.random = Random(seed)
        self.loss, self.duplicate, self.jitter, self.pins = loss, duplicate, jitter, pins
        self.now = 0.0
        self.nodes = {}
        self.skew = Counter()
        self.truth = nx.Graph()
        """Links by number of node, with the cost that both ends tell."""
        self.sent = []
        """(time, from, to, message)."""
        self.changes = []
        """(time, node) whenever the ways of a node changed."""
        self.tap = lambda source, target, message: message
        """May change a message, or swallow it with None."""
        self._slots = {}
        self._heap = []
        self._order = count()

    def node(self, number, sequence=0):
        """A node; one that is there already starts anew."""
        self.nodes[number] = Anchors(
            keys()[number],
            now=self.now,
            wall=lambda: EPOCH + self.now + self.skew[number],
            random=self.random.randbytes,
            sequence=sequence,
            pins=[peer(each) for each in self.pins],
        )
        self.truth.add_node(number)
        return self.nodes[number]

    def link(self, a, b, cost=COST, mtu=MTU):
        """A link comes up, or is measured anew."""
        for near, far in ((a, b), (b, a)):
            self.up(near, far, cost, mtu)
        self.truth.add_edge(a, b, cost=decode_cost(encode_cost(cost)))

    def up(self, near, far, cost=COST, mtu=MTU):
        """One end of a link."""
        slots = self.slot(near, far), self.slot(far, near)
        self.nodes[near].link(peer(far), *slots, cost, mtu, self.now)
        self.after(near)

    def cut(self, a, b):
        """A link ends at both ends."""
        for near, far in ((a, b), (b, a)):
            self.nodes[near].unlink(peer(far), self.now)
            self.after(near)
        self.truth.remove_edge(a, b)

    def stop(self, number):
        """A node is gone; its neighbours notice."""
        del self.nodes[number]
        for each in list(self.truth[number]):
            self.nodes[each].unlink(peer(number), self.now)
            self.after(each)
        self.truth.remove_node(number)

    def build(self, graph, costs=None, first=0):
        """Nodes and links of a graph, all at once."""
        names = {node: number for number, node in enumerate(graph, first)}
        for number in names.values():
            self.node(number)
        for a, b in graph.edges:
            self.link(names[a], names[b], costs(self.random) if costs else COST)

    def say(self, source, target, message):
        """Deliver a message now, whoever made it."""
        raw = message.emit()
        self.nodes[target].receive(peer(source), READERS[raw[0]](raw), self.now)
        self.after(target)

    def run(self, seconds):
        """Let time pass."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, event = heappop(self._heap)
            event()
        self.now = end

    def slot(self, near, far):
        """Of one node for another; chosen when first asked for."""
        own = self._slots.setdefault(near, {})
        return own.setdefault(far, len(own) + 1)

    # What came of it

    def seated(self, number):
        """The anchors in use at a node, itself included where it is one."""
        node = self.nodes[number]
        own = {short(number)} if node.is_anchor else set()
        return {numbers()[each] for each in own | {*node.seated}}

    def stretch(self):
        """The most that a way in use costs more than the cheapest one, as a factor."""
        worst = 1.0
        for anchor in {each for n in self.nodes for each in self.nodes[n].seated}:
            true = nx.single_source_dijkstra_path_length(
                self.truth, numbers()[anchor], weight="cost"
            )
            for number, node in self.nodes.items():
                if anchor in node.seated:
                    worst = max(worst, node.seated[anchor].cost / true[number])
        return worst

    def alive(self):
        """Whether every way in use leads over links that are there."""
        return all(self._leads(way) for node in self.nodes.values() for way in ways(node).values())

    def agree(self):
        """Whether each component seats its best ranked nodes, and all of it the same."""
        return all(
            self.seated(number) == set(best(part))
            for part in nx.connected_components(self.truth)
            for number in part
            if len(part) > 1
        )

    def settled(self, limit, right=None, step=0.25):
        """Seconds until all is right."""
        right = right or (lambda: self.agree() and self.alive())
        began = self.now
        while not right() and self.now < began + limit:
            self.run(step)
        return self.now - began

    def messages(self, kind, source=None, target=None, since=0.0):
        """What was sent of one kind."""
        return [
            message
            for at, a, b, message in self.sent
            if isinstance(message, kind) and at >= since and source in (None, a)
            if target in (None, b)
        ]

    def spent(self, since=0.0):
        """Beacons and bytes for each node."""
        sent = [message for at, _, _, message in self.sent if at >= since]
        beacons = sum(isinstance(message, BeaconMessage) for message in sent)
        size = sum(len(message.emit()) for message in sent)
        return beacons / len(self.nodes), size / len(self.nodes)

    def _leads(self, way):
        along = [numbers()[node.short] for node in way.nodes]
        pairs = list(pairwise(along))
        return all(self.truth.has_edge(a, b) for a, b in pairs) and all(
            (out.slot, out.back) == (self.slot(a, b), self.slot(b, a))
            and (back.slot, back.back) == (self.slot(b, a), self.slot(a, b))
            for (a, b), (out, back) in zip(pairs, way.links, strict=True)
        )

    # Inside

    def after(self, number):
        """What a node wants to say, and when it wants to be woken."""
        node = self.nodes[number]
        for target, message in node.pull():
            self._send(number, numbers()[target], message)
        heappush(self._heap, (node.next_timer(), next(self._order), lambda: self._wake(node)))

    def _wake(self, node):
        number = numbers()[node.own.short]
        if self.nodes.get(number) is not node or node.next_timer() > self.now:
            return
        if node.run(self.now):
            self.changes.append((self.now, number))
        self.after(number)

    def _send(self, source, target, message):
        self.sent.append((self.now, source, target, message))
        message = self.tap(source, target, message)
        if message is None or self.random.random() < self.loss:
            return
        raw = message.emit()
        for _ in range(2 if self.random.random() < self.duplicate else 1):
            at = self.now + LATENCY + self.random.random() * self.jitter
            heappush(self._heap, (at, next(self._order), lambda: self._arrive(source, target, raw)))

    def _arrive(self, source, target, raw):
        if target in self.nodes:
            self.nodes[target].receive(peer(source), READERS[raw[0]](raw), self.now)
            self.after(target)


def ways(node):
    """All that a node may use."""
    return {**node.seated, **node.candidates}


def network(shape, size, seed=1, **quality):
    """Relays in some shape."""
    relays = Relays(seed, **quality)
    relays.build(SHAPES[shape](size, seed), any_cost)
    return relays


def row(size, **quality):
    """Nodes in a row that know their anchors."""
    relays = Relays(**quality)
    relays.build(nx.path_graph(size))
    relays.run(10.0)
    assert relays.agree()
    return relays


def any_cost(random):
    """Of a link, seconds."""
    return random.uniform(0.001, FAR)


def beacon(*route, sequence=None, flags=0, relays=None, q=100, mtu=MTU):
    """A beacon as the nodes of a route would sign it, for the last of them."""
    slot = relays.slot if relays else lambda near, far: near + far + 1
    made = Beacon.begin(peer(route[0]), int(EPOCH * 1000) if sequence is None else sequence, flags)
    for near, far in pairwise(route):
        made = extend(made, near, far, slot, q, mtu)
    return made


def extend(made, near, far, slot, q=100, mtu=MTU):
    """A beacon with one more hop."""
    return made.extend(
        keys()[near], peer(far), Step(slot(near, far), slot(far, near), q, mtu), bytes(64)
    )
