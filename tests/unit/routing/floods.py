"""Floods joined by wires in memory that lose, delay, repeat and reorder; a clock of their own."""

from collections import Counter
from functools import cache
from heapq import heappop, heappush
from itertools import count
from random import Random

import networkx as nx

from rovy.routing.cost import decode_cost, encode_cost
from rovy.routing.flood import Flood
from rovy.routing.map import NEAREST, WAITING
from rovy.routing.record import LinkEntry, LinkRecord
from rovy.wire import control
from tests.bench.keys import private_keys
from tests.unit.routing.graphs import SHAPES

EPOCH = 1.7e9
"""The wall clock at second 0."""
LATENCY = 0.01
FAR = 0.05
SOON = 3.0
"""Seconds by which all are told of a change where nothing gets lost."""
COST = 0.005
MTU = 1400


@cache
def keys():
    """Identities by number."""
    return private_keys(150)


@cache
def numbers():
    """Which identity has a short."""
    return {private.peer_id.short: number for number, private in enumerate(keys())}


def short(number):
    """By which records name a node."""
    return keys()[number].peer_id.short


class Wires:
    """Floods by number, and links between them."""

    def __init__(self, seed=1, *, loss=0.0, duplicate=0.0, jitter=0.0, nearest=NEAREST):
        self.random = Random(seed)
        self.loss, self.duplicate, self.jitter, self.nearest = loss, duplicate, jitter, nearest
        self.now = 0.0
        self.floods = {}
        self.skew = Counter()
        self.truth = nx.Graph()
        """Links by number of node, with the cost that both ends tell."""
        self.sent = []
        """(time, from, to, message)."""
        self.gone = []
        """(time, node, links) whenever a map lost some."""
        self.tap = lambda source, target, message: message
        """May change a message, or swallow it with None."""
        self._slots = {}
        self._heap = []
        self._order = count()

    def node(self, number, sequence=0):
        """A flood; one that is there already starts anew."""
        self.floods[number] = Flood(
            keys()[number],
            now=self.now,
            wall=lambda: EPOCH + self.now + self.skew[number],
            random=self.random.randbytes,
            sequence=sequence,
            nearest=self.nearest,
        )
        self.truth.add_node(number)
        return self.floods[number]

    def link(self, a, b, cost=COST, mtu=MTU):
        """A link comes up, or is measured anew."""
        for near, far in ((a, b), (b, a)):
            self.up(near, far, cost, mtu)
        self.truth.add_edge(a, b, cost=decode_cost(encode_cost(cost)))

    def up(self, near, far, cost=COST, mtu=MTU):
        """One end of a link."""
        slots = self.slot(near, far), self.slot(far, near)
        self.floods[near].link(short(far), *slots, cost, mtu, self.now)
        self._after(near)

    def cut(self, a, b):
        """A link ends at both ends."""
        for near, far in ((a, b), (b, a)):
            self.floods[near].unlink(short(far), self.now)
            self._after(near)
        self.truth.remove_edge(a, b)

    def stop(self, number):
        """A node is gone; its neighbours notice."""
        del self.floods[number]
        for peer in list(self.truth[number]):
            self.floods[peer].unlink(short(number), self.now)
            self._after(peer)
        self.truth.remove_node(number)

    def build(self, graph, costs=None):
        """Nodes and links of a graph, all at once."""
        numbers = {node: number for number, node in enumerate(graph)}
        for number in numbers.values():
            self.node(number)
        for a, b in graph.edges:
            cost = costs(self.random) if costs else COST
            self.link(numbers[a], numbers[b], cost)

    def say(self, source, target, message):
        """Deliver a message now, whoever made it."""
        self.floods[target].receive(short(source), control.parse(message.emit()), self.now)
        self._after(target)

    def run(self, seconds, until=lambda: False):
        """Let time pass; gives the time at which `until` was true, or that of the end."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, event = heappop(self._heap)
            event()
            if until():
                return self.now
        self.now = end
        return end

    def slot(self, near, far):
        """Of one node for another; chosen when first asked for."""
        own = self._slots.setdefault(near, {})
        return own.setdefault(far, len(own) + 1)

    def record(self, number, *peers, sequence=None, flags=0, slots=None, cost=COST):
        """A record of a node as it could sign it, with links to these nodes."""
        slots = slots or (lambda peer: (self.slot(number, peer), self.slot(peer, number)))
        links = [LinkEntry(short(peer), *slots(peer), encode_cost(cost), MTU) for peer in peers]
        sequence = int((EPOCH + self.now) * 1000) if sequence is None else sequence
        return LinkRecord.sign(keys()[number], sequence, flags, links, bytes(64))

    # What came of it

    def exact(self, numbers=None):
        """Whether these nodes, or all, hold exactly what they can reach, at the right cost."""
        return not self.wrong(numbers)

    def wrong(self, numbers=None):
        """The nodes whose map is another than the true one."""
        return [n for n in numbers or self.floods if not self._right(n)]

    def distances(self, number):
        """True cost to every node that can be reached, by short, the nearest first."""
        found = nx.single_source_dijkstra_path_length(self.truth, number, weight="cost")
        return {short(n): far for n, far in found.items()}

    def messages(self, kind, source=None, target=None, since=0.0):
        """What was sent of one kind."""
        return [
            message
            for at, a, b, message in self.sent
            if isinstance(message, kind) and at >= since and source in (None, a)
            if target in (None, b)
        ]

    def bytes(self, since, number=None):
        """Bytes of messages that all nodes, or one, sent."""
        return sum(
            len(message.emit())
            for at, source, _, message in self.sent
            if at >= since and number in (None, source)
        )

    def _right(self, number):
        found, true = self.floods[number].map.distance, self.distances(number)
        return found.keys() == true.keys() and all(
            abs(found[node] - true[node]) < 1e-9 for node in true
        )

    # Inside

    def _after(self, number):
        """What a node wants to say, and when it wants to be woken."""
        flood = self.floods[number]
        for target, message in flood.pull():
            self._send(number, numbers()[target], message)
        heappush(self._heap, (flood.next_timer(), next(self._order), lambda: self._wake(flood)))

    def _wake(self, flood):
        number = next((n for n, each in self.floods.items() if each is flood), None)
        if number is None or flood.next_timer() > self.now:
            return
        gone = flood.run(self.now)
        if gone:
            self.gone.append((self.now, number, gone))
        self._after(number)

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
        if target in self.floods:
            self.floods[target].receive(short(source), control.parse(raw), self.now)
            self._after(target)


def network(shape, size, seed=1, **quality):
    """Wires in some shape."""
    wires = Wires(seed, **quality)
    wires.build(SHAPES[shape](size, seed), any_cost)
    return wires


def any_cost(random):
    return random.uniform(0.001, FAR)


def row(count, **quality):
    """Nodes in a row that know each other."""
    wires = Wires(**quality)
    wires.build(nx.path_graph(count))
    wires.run(SOON)
    assert wires.exact()
    return wires


def settled(wires, limit):
    """Seconds until all maps are right, looked at every half second."""
    began = wires.now
    while not wires.exact() and wires.now < began + limit:
        wires.run(0.5)
    return wires.now - began


def own(wires, number):
    """A node's own record in force."""
    return wires.floods[number].map.held[short(number)].record


def holds(wires, number, *others):
    return all(short(other) in wires.floods[number].map.held for other in others)


def reaches(wires, number, other):
    return short(other) in wires.floods[number].map.distance


def published(wires, number):
    return wires.floods[number].counts["own record"]


def change(wires, random):
    """One thing happens."""
    dice, links = random.random(), sorted(wires.truth.edges)
    a, b = random.choice(links)
    if dice < 0.3:
        wires.cut(a, b)
    elif dice < 0.6:
        wires.link(*random.choice(sorted(nx.non_edges(wires.truth))), any_cost(random))
    elif dice < 0.8:
        wires.link(a, b, wires.truth[a][b]["cost"] * random.choice((0.3, 0.5, 1.5, 4)))
    else:
        peers = {peer: wires.truth[a][peer]["cost"] for peer in wires.truth[a]}
        wires.stop(a)
        wires.run(random.choice((0.01, 1.0)))
        wires.node(a)
        for peer, cost in peers.items():
            wires.link(a, peer, cost)


def nearest(wires, number):
    """The V nearest nodes by the true distances, all of one distance at the edge."""
    true = wires.distances(number)
    edge = sorted(true.values())[min(wires.nearest, len(true) - 1)]
    return {node: far for node, far in true.items() if far <= edge}


def misses(wires):
    """By node: those of its V nearest that it does not hold at the right distance."""
    found = {}
    for number, flood in wires.floods.items():
        held = flood.map.distance
        wrong = [
            node
            for node, far in nearest(wires, number).items()
            if abs(held.get(node, -1.0) - far) > 1e-9
        ]
        if wrong:
            found[number] = wrong
    return found


def bounded(wires):
    """Whether maps and what nodes know of neighbours are within their bounds."""
    return all(
        len(flood.map.distance) <= 2 * wires.nearest
        and len(flood.map.held) <= 2 * wires.nearest + WAITING * len(flood.neighbours)
        and all(len(n.has) <= len(flood.map.held) for n in flood.neighbours.values())
        for flood in wires.floods.values()
    )
