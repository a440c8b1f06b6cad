"""All that a node knows of the network beyond its map, as one graph. docs/protocol/locators.md §3

Paths of anchors, locators, labels heard of and maps of peers are told by others and not checked
against each other: their links count until they are disproved, and never against the map.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

from rovy.address.keys import PeerID
from rovy.address.label import Label
from rovy.routing.cost import HOP, decode_cost
from rovy.routing.graph import LINK_FLOOR, Graph, Link
from rovy.routing.locator import Locator
from rovy.wire.mapping import MapAnswer

LOCATORS = 1024
"""Locators remembered; the one unused for longest gives way, as with all here."""
LABELS = 2048
"""Nodes to which labels are remembered."""
LABELS_TO = 4
"""Labels remembered to one node."""
LABEL_LIFE = 600.0
"""Seconds; a label is somebody's route of the moment."""
MAPS = 32
MAP_LIFE = 600.0
CORRIDOR = 16
"""Maps of nodes on the way that are used for one target."""
DEPTH = 4
"""Labels in a row that are followed back to something known."""

Arc = tuple[bytes, bytes, Link]
V = TypeVar("V")


class Recent(Generic[V]):
    """A bounded table by short; what was unused for longest gives way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> V | None:
        """What is stored, which makes it the newest."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: bytes, value: V) -> None:
        """Store as the newest."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def drop(self, key: bytes) -> None:
        """Forget."""
        self._values.pop(key, None)


@dataclass(frozen=True, slots=True)
class Heard:
    """A label from one node to another, as the first one told it."""

    near: PeerID
    far: PeerID
    link: Link
    until: float


class Atlas:
    """What others told; `now` is the caller's steady clock, seconds."""

    def __init__(self, own: bytes) -> None:
        self._own = own
        self._locators: Recent[tuple[Locator, float, tuple[Arc, ...]]] = Recent(LOCATORS)
        self._labels: Recent[dict[bytes, Heard]] = Recent(LABELS)
        self._maps: Recent[tuple[list[Arc], float]] = Recent(MAPS)
        self._corridors: Recent[tuple[bytes, ...]] = Recent(MAPS)
        """By target, the nodes on the way there whose maps help."""
        self._anchors: tuple[Arc, ...] = ()
        self._peers: dict[bytes, PeerID] = {}
        self._base: tuple[object, Graph] = None, Graph({})
        self.version = 0
        self._anchors_at = 0
        """Version at which the anchors' paths came."""
        self._changes: Recent[int] = Recent(LOCATORS + LABELS)
        """Version at which something was told of a node."""
        """Rises whenever a route may have become another."""

    # What is told

    def set_anchors(self, arcs: Iterable[Arc], peers: Iterable[PeerID]) -> None:
        """The links along the anchors' paths, both directions, and the nodes on them.

        The own ones among them do not count.
        """
        self._anchors = tuple(arc for arc in arcs if arc[0] != self._own)
        self._peers = {peer.short: peer for peer in peers}
        self._base = None, Graph({})
        self.version += 1
        self._anchors_at = self.version

    def learn_locator(self, locator: Locator, until: float = inf) -> None:
        """A verified locator, taken if none is newer; it counts `until` then."""
        known = self._locators.get(locator.short)
        if locator.short != self._own and (known is None or known[0].sequence < locator.sequence):
            self._locators.put(locator.short, (locator, until, tuple(locator_arcs(locator))))
            self._changed(locator.short)

    def learn_label(self, near: PeerID, far: PeerID, label: bytes, cost: int, now: float) -> None:
        """A label from `near` to `far` as `near` would use it. `Malformed` if it is none."""
        entries = Label(label).entries
        if not entries or far.short == self._own or near == far:
            return
        seconds = max(decode_cost(cost), HOP * len(entries))
        link = Link(Label(entries[0]).first, 0, seconds, LINK_FLOOR, b"".join(entries[1:]))
        heard = dict(self._labels.get(far.short) or {})
        known = heard.pop(near.short, None)
        heard[near.short] = Heard(near, far, link, now + LABEL_LIFE)
        while len(heard) > LABELS_TO:
            del heard[next(iter(heard))]
        self._labels.put(far.short, heard)
        if known is None or known.link != link or known.until <= now:
            self._changed(far.short)

    def on_the_way(self, target: bytes, peer: bytes) -> None:
        """The map of `peer` is to be used in routes to `target` too."""
        others = [each for each in self._corridors.get(target) or () if each != peer]
        self._corridors.put(target, (*others[1 - CORRIDOR :], peer))
        self._changed(target)

    def learn_map(self, peer: bytes, answer: MapAnswer, now: float) -> None:
        """The map of a node, by its short."""
        arcs: list[Arc] = []
        for link in answer.links:
            arcs += both(link.near, link.far, link.slot, link.back, link.cost, link.mtu)
        self._maps.put(peer, (arcs, now + MAP_LIFE))
        self._changed(peer)

    def forget(self, short: bytes) -> None:
        """What was said of a node led nowhere."""
        self._locators.drop(short)
        self._labels.drop(short)
        self._maps.drop(short)
        self._corridors.drop(short)
        self._changed(short)

    def _changed(self, short: bytes) -> None:
        self.version += 1
        self._changes.put(short, self.version)

    # What is known

    def locator(self, short: bytes) -> Locator | None:
        """Of a node."""
        held = self._locators.get(short)
        return held[0] if held else None

    def peer(self, short: bytes) -> PeerID | None:
        """Whose short that is, as far as locators, labels and anchors tell."""
        locator, labels = self.locator(short), self._labels.get(short)
        if locator:
            return locator.key
        return next(iter(labels.values())).far if labels else self._peers.get(short)

    def version_of(self, target: bytes) -> int:
        """Rises whenever routes to a node may have become others."""
        labels, on_the_way = self._labels.get(target) or (), self._corridors.get(target) or ()
        changes = (self._changes.get(each) or 0 for each in (target, *labels, *on_the_way))
        return max(self._anchors_at, *changes)

    def has_map(self, short: bytes, now: float) -> bool:
        """Whether a node's map is here and fresh."""
        held = self._maps.get(short)
        return held is not None and held[1] > now

    def graph(self, target: bytes, known: Graph, now: float) -> Graph:
        """Map, anchors, and all that leads to the target; `known` is the map's graph."""
        return self.base(known).joined(self.arcs_to(target, now))

    def base(self, known: Graph) -> Graph:
        """Map and anchors: the same object as long as both are."""
        if self._base[0] is not known:
            self._base = known, known.joined(self._anchors)
        return self._base[1]

    def arcs_to(self, target: bytes, now: float) -> list[Arc]:
        """What leads to a target besides; of our own links nobody else tells us.

        Labels are followed through the graph that `base` made last.
        """
        told = [arc for arc in self._leading_to(target, now) if arc[0] != self._own]
        if not any(link.via for _, _, link in told):
            return told
        adjacency = self._base[1].joined(told).adjacency
        rests = [_rests(adjacency, arc, self._own) for arc in told]
        return [rest[0] for rest in rests if rest] + [arc for rest in rests for arc in rest[1:]]

    def _leading_to(self, target: bytes, now: float) -> Iterator[Arc]:
        """Links of the target's and its labels' nodes, as many labels deep as these are unknown."""
        known = self._base[1].adjacency
        ends, seen = [target], {target}
        for each in self._corridors.get(target) or ():
            yield from self._of(each, now)
        for _ in range(DEPTH):
            nearer: list[bytes] = []
            for end in ends:
                yield from self._of(end, now)
                for heard in (self._labels.get(end) or {}).values():
                    if heard.until > now:
                        yield heard.near.short, end, heard.link
                        if heard.near.short not in known:
                            nearer.append(heard.near.short)
            ends = [end for end in dict.fromkeys(nearer) if end not in seen]
            seen.update(ends)

    def _of(self, short: bytes, now: float) -> Iterator[Arc]:
        """What a node says itself: map first, since it has the MTUs, then locator."""
        arcs, until = self._maps.get(short) or ([], 0.0)
        if until > now:
            yield from arcs
        held = self._locators.get(short)
        if held and held[1] > now:
            yield from held[2]


def locator_arcs(locator: Locator) -> Iterator[Arc]:
    """The links of a locator, both directions."""
    for near, far, link in locator.hops:
        yield from both(near, far, link.slot, link.back, link.cost, LINK_FLOOR)


def _rests(adjacency: dict[bytes, dict[bytes, Link]], arc: Arc, own: bytes) -> list[Arc]:
    """A label, and its rest from each node on it, as far as known links tell which those are.

    So a route that comes from one of them need not go on to where the label begins and turn back
    there. Of a label through `own` only what comes after it is of use.
    """
    near, far, link = arc
    found = [arc]
    while link.via and near != far:
        steps = adjacency.get(near, {}).items()
        step = next((step for step in steps if _is_by(step[1], link.slot)), None)
        if step is None:
            break
        near, entries = step[0], Label(link.via).entries
        cost = max(link.cost - step[1].cost, HOP * len(entries))
        link = Link(Label(entries[0]).first, 0, cost, link.mtu, b"".join(entries[1:]))
        found.append((near, far, link))
        if near == own:
            found.clear()
    return found


def _is_by(link: Link, slot: int) -> bool:
    """Whether a single hop by this slot is this link."""
    return link.slot == slot and not link.via


def both(near: bytes, far: bytes, slot: int, back: int, cost: int, mtu: int) -> Iterator[Arc]:
    """A link in both directions; `cost` is one byte."""
    seconds, size = decode_cost(cost), max(mtu, LINK_FLOOR)
    yield near, far, Link(slot, back, seconds, size)
    yield far, near, Link(back, slot, seconds, size)
