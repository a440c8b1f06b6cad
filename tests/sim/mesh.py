"""Data planes joined in memory: forwarding without nodes, sockets or time."""

from collections import Counter, deque
from itertools import count

from rovy.address.label import MAX_SLOT, SMALL, Label, back_label, narrowest
from rovy.address.path import Routed
from rovy.dataplane.types import Handshake, NoticeReceived, Refused
from rovy.errors import Malformed
from rovy.wire.notice import Code, Notice
from tests.dataplanes import direct, feed, hello, open_session, split


class Mesh:
    """Nodes by number, each one data plane; every link is a peering with a slot at both ends."""

    def __init__(self, factory):
        self.new = factory
        self.planes = []
        self.slots = []
        """Per node: neighbour -> slot."""
        self.sent = 0
        """Datagrams that went over some link."""
        self.unreadable = 0
        """Refusals of labels that do not read backwards."""
        self.log = []
        """(node, event) in the order in which they happened."""
        self._wires = deque()
        self._numbers = count(1)
        self._salt = count(1)

    def node(self):
        self.planes.append(self.new())
        self.slots.append({})
        return len(self.planes) - 1

    def link(self, a, b, slot_a, slot_b, mtu=9000):
        there, back = next(self._numbers), next(self._numbers)
        for node, peer, slot, mine, theirs in (
            (a, b, slot_a, there, back),
            (b, a, slot_b, back, there),
        ):
            plane = self.planes[node]
            open_session(
                plane,
                peer,
                direct(peer),
                mine=mine,
                theirs=theirs,
                receive=mine,
                send=theirs,
                mtu=mtu,
            )
            plane.set_slot(slot, peer)
            self.slots[node][peer] = slot

    def send(self, node, label, inner):
        """Send a datagram along a label and let everything that follows happen."""
        self._out(node, self.planes[node].carry(Routed(label), inner, 1.0))
        self.run()

    def hello(self, node, label, size=64):
        """Send something recognisable; where it ended, and by which label it came."""
        datagram = hello(next(self._salt), size)
        self.send(node, label, datagram)
        found = [
            (at, event.path)
            for at, event in self.log
            if isinstance(event, Handshake) and event.datagram == datagram
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def notices(self, node):
        """(notice, label back to its sender) for every notice that a node was sent."""
        return [
            (Notice.parse(event.datagram), event.path.label)
            for at, event in self.log
            if at == node and isinstance(event, NoticeReceived)
        ]

    def run(self):
        while self._wires:
            source, target, datagram = self._wires.popleft()
            self.sent += 1
            assert self.sent < 100_000, "packets breed"
            self._out(target, feed(self.planes[target], [datagram], direct(source)))

    def drops(self):
        total = Counter()
        for plane in self.planes:
            total.update(plane.drops())
        return total

    def _out(self, node, output):
        for run in output.runs:
            target = next(n for n in self.slots[node] if direct(n) == run.path)
            self._wires.extend((node, target, datagram) for datagram in split(run))
        for event in output.events:
            self.log.append((node, event))
            if isinstance(event, Refused):
                self._refuse(node, event)

    def _refuse(self, node, refused):
        try:
            back = back_label(refused.arrival, refused.travelled)
        except Malformed:
            self.unreadable += 1
            return
        notice = Notice(refused.code, refused.mtu, refused.quote).emit()
        self._out(node, self.planes[node].carry(Routed(back), notice, 1.0))

    # Labels

    def label_of(self, walk, *, wider=lambda: False):
        """The label along nodes, each entry as narrow as may be, or two bytes where `wider`."""
        entries = [self.slots[walk[0]][walk[1]]]
        for before, at, after in zip(walk, walk[1:], walk[2:], strict=False):
            leave, arrival = self.slots[at][after], self.slots[at][before]
            width = 2 if wider() else max(narrowest(leave), narrowest(arrival))
            entries.append((leave, width))
        return Label.of(*entries)

    def walk(self, random, start, hops):
        """A random walk that never turns straight back."""
        walk = [start]
        while len(walk) <= hops:
            onward = [n for n in self.slots[walk[-1]] if len(walk) < 2 or n != walk[-2]]
            if not onward:
                break
            walk.append(random.choice(sorted(onward)))
        return walk


def random_mesh(factory, random, nodes, links):
    """A connected graph with slots of both widths at random."""
    mesh = Mesh(factory)
    for _ in range(nodes):
        mesh.node()
    pairs = {(random.randrange(n), n) for n in range(1, nodes)}
    while len(pairs) < links:
        a, b = sorted(random.sample(range(nodes), 2))
        pairs.add((a, b))
    for a, b in sorted(pairs):
        mesh.link(a, b, free_slot(mesh, random, a), free_slot(mesh, random, b))
    return mesh


def free_slot(mesh, random, node):
    """A slot not used at a node: small, large, or next to where one byte ends."""
    taken = set(mesh.slots[node].values())
    while True:
        slot = random.choice(
            (
                random.randint(1, SMALL),
                random.randint(SMALL + 1, MAX_SLOT),
                random.choice((1, SMALL, SMALL + 1, 255, 256, 0x1FF, 0x200, MAX_SLOT)),
            )
        )
        if slot not in taken:
            return slot


def told(mesh, node, code, label):
    """The only notice a node was sent is this one, and came back along what it used."""
    [(notice, back)] = mesh.notices(node)
    assert notice.code is Code(code)
    assert label.startswith(back)
    return notice, back
