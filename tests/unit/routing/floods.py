"""Floods joined by wires in memory that lose, delay, repeat and reorder; a clock of their own."""

from collections import Counter
from functools import cache
from heapq import heappop, heappush
from itertools import count
from random import Random

import networkx as nx

from rovy.routing.cost import decode_cost, encode_cost
from rovy.routing.flood import Flood
from rovy.routing.map import NEAREST
from rovy.routing.record import LinkEntry, LinkRecord
from rovy.wire import control
from tests.bench.keys import private_keys

EPOCH = 1.7e9
"""The wall clock at second 0."""
LATENCY = 0.01
COST = 0.005
MTU = 1400


@cache
def keys():
    """Identities by number."""
    return private_keys(150)


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
            self._send(number, next(n for n in self.floods if short(n) == target), message)
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
