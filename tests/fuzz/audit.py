"""What has to hold whatever comes in."""

import gc
import tracemalloc
from collections.abc import Callable, Sized

from rovy.dataplane.types import Handshake, NoticeReceived, Output, PacketHeld, Received
from rovy.dht import const
from rovy.dht.dht import CACHING, MAX_OWN
from rovy.dht.join import MAX_MET
from rovy.dht.known import MAX_REMEMBERED, MAX_STRANGERS
from rovy.dht.values import REMEMBERED as CHECKED
from rovy.node import exchange, resolver
from rovy.node.messenger import MOST_JUDGED
from rovy.node.router import COMPUTED
from rovy.routing import anchor_gone, atlas
from rovy.routing.anchor_neighbour import LIMITED
from rovy.routing.anchor_paths import ALTERNATIVES, FORMER
from rovy.routing.anchor_seats import CANDIDATES, SEATS
from rovy.routing.anchor_ways import MAX_ROWS
from rovy.routing.beacon import MAX_HOPS, VERIFIED
from rovy.wire.beacon import MAX_OFFERED
from rovy.wire.mapping import MOST

MEGABYTE = 1 << 20
ANCHORS = SEATS + CANDIDATES
MAP_ARCS = 2 * MOST // 9
"""Edges of a map that somebody gave: its links in both directions, 9 bytes each."""
DHT_TASKS = 3 + 1 + CACHING
"""Of a DHT: joins, pings, publication, and values that it leaves with others."""
DHT_STATUSES = 256
"""Types of values there can be."""
OUTCOMES = (Handshake, NoticeReceived, Received)


class Broken(AssertionError):
    """A promise was broken; the text says which."""


def promise(kept: bool, text: str) -> None:
    """Raise `Broken` unless kept."""
    if not kept:
        raise Broken(text)


def settled(plane) -> int:
    """Datagrams that were dropped or switched so far."""
    return sum(plane.drops().values()) + plane.forwarded()[0]


def received(plane, call: Callable[..., Output], buffer, length, size, source, now) -> Output:
    """Hand a batch in and see that each of its datagrams had exactly one outcome."""
    count = -(-length // size)
    before = settled(plane)
    out = call(buffer, length, size, source, now)
    passed = sum(isinstance(event, OUTCOMES) for event in out.events) + len(out.packets)
    done = settled(plane) - before + passed
    promise(done == count, f"{count} datagrams of {size} bytes had {done} outcomes")
    return out


def transmitted(plane, call: Callable[..., Output], packets, now) -> Output:
    """Hand IPv6 packets out and see that each had exactly one outcome."""
    before = sum(plane.drops().values())
    out = call(packets, now)
    left = sum(-(-len(run.data) // run.size) for run in out.runs)
    held = sum(isinstance(event, PacketHeld) for event in out.events)
    done = sum(plane.drops().values()) - before + left + held
    promise(done == len(packets), f"{len(packets)} packets had {done} outcomes")
    return out


def bounded(what: str, table: Sized, most: int) -> None:
    """A table has no more entries than that."""
    promise(len(table) <= most, f"{what}: {len(table)}, more than {most}")


def beyond_bounded(services) -> None:
    """All that a node was told of what lies beyond its map keeps its bounds."""
    _atlas_bounded(services.router._atlas)
    _anchors_bounded(services.beyond.anchoring, len(services.peerings.by_peer))
    _dht_bounded(services.beyond.dht)
    _lookups_bounded(services)


def _atlas_bounded(known: atlas.Atlas) -> None:
    bounded("locators", known._locators, atlas.LOCATORS)
    bounded("nodes with labels", known._labels, atlas.LABELS)
    bounded("maps", known._maps, atlas.MAPS)
    bounded("targets with nodes on the way", known._corridors, atlas.MAPS)
    bounded("edges of anchors", known._anchors, 2 * ANCHORS * MAX_HOPS)
    bounded("nodes on anchors' paths", known._peers, ANCHORS * (MAX_HOPS + 1))
    for labels in known._labels._values.values():
        bounded("labels to a node", labels, atlas.LABELS_TO)
    for edges, _ in known._maps._values.values():
        bounded("edges of a map", edges, MAP_ARCS)
    for nodes in known._corridors._values.values():
        bounded("nodes on the way", nodes, atlas.CORRIDOR)


def _anchors_bounded(anchoring, peerings: int) -> None:
    anchors = anchoring.anchors
    ways = anchors._ways
    promise(not anchors._out, "a message about anchors was not sent")
    promise(not ways.surplus, "paths that were given up are not noted")
    bounded("anchors", ways._rows.rows, MAX_ROWS)
    bounded("former anchors", ways._rows._former, FORMER)
    for row in ways._rows.rows.values():
        bounded("paths to an anchor", row.paths, ALTERNATIVES)
    bounded("seats", ways._seats.seated, SEATS)
    bounded("candidates", ways._seats.candidates, CANDIDATES)
    bounded("verified beginnings", ways.verified._known, VERIFIED)
    bounded("links gone", ways.gone._told, anchor_gone.LINKS)
    bounded("link records", ways.gone._records, anchor_gone.RECORDS)
    bounded("limits of neighbours", anchors._limits._limits, LIMITED)
    bounded("neighbours", anchors.neighbours, peerings)
    bounded("neighbours known", anchoring._peers, peerings)
    for each in anchors.neighbours.values():
        bounded("beacons heard of", each.heard, MAX_OFFERED)
        bounded("beacons asked for", each.missing, 2 * MAX_OFFERED)
        bounded("beacons offered", each.offered, ANCHORS + 1)


def _dht_bounded(dht) -> None:
    storage, table, known = dht._storage, dht._table, dht._known
    kinds = storage.by_type()
    others = sum(count for kind, count in kinds.items() if kind != const.LOCATOR)
    bounded("values", storage._values, const.MAX_VALUES)
    promise(others <= const.MAX_OTHERS, f"{others} values that are no locators")
    most = max((n for kind, n in kinds.items() if kind != const.LOCATOR), default=0)
    promise(most <= const.MAX_OF_TYPE, f"{most} values of one type")
    promise(max(storage._signers.values(), default=0) <= const.MAX_OF_SIGNER, "one signer's")
    promise(len(storage._values) == len(storage._places) == sum(kinds.values()), "values' books")
    bounded("types of values", storage._far, DHT_STATUSES)
    bounded("own values", storage.own, MAX_OWN)
    bounded("buckets", table.buckets, const.ID_BITS)
    bounded("contacts", table._contacts, const.K * len(table.buckets) + const.LEAVES)
    bounded("distances", table._distances, len(table._contacts))
    for bucket in table.buckets:
        bounded("replacements", bucket.replacement_nodes, const.CACHED)
        bounded("contacts of a bucket", bucket.nodes, const.K + const.LEAVES)
    bounded("nodes remembered", known.remembered, MAX_REMEMBERED)
    bounded("strangers", known._strangers, MAX_STRANGERS)
    bounded("anchors met", dht._join._met, MAX_MET)
    bounded("locators checked", dht._reader._good, CHECKED)
    bounded("lookups", dht._search.open, const.OPEN)
    bounded("tasks of the DHT", dht._tasks, DHT_TASKS)


def _lookups_bounded(services) -> None:
    beyond, router = services.beyond, services.router
    sessions = {session.id for session in services.engine.sessions}
    bounded("names not found", beyond.resolver._failed, resolver.REMEMBERED)
    bounded("lookups and those that wait", beyond.resolver._under_way, resolver.WAITING)
    bounded("routes judged", beyond.messenger._judged, MOST_JUDGED)
    bounded("maps asked for", beyond.exchange._asking, exchange.AT_ONCE)
    promise(beyond.exchange._rounds.keys() <= sessions, "rounds of sessions that ended")
    bounded("routes", router._cache, COMPUTED)
    bounded("best routes", router._best, COMPUTED)
    bounded("nodes of routes", router._computed, COMPUTED)
    promise(services.waiters._early.keys() <= sessions, "early answers of sessions that ended")
    promise(services.requests._seen.keys() <= sessions, "replies of sessions that ended")


class Meter:
    """Growth of memory over a round, where it is measured: that costs time."""

    def __init__(self, measured: bool) -> None:
        self.measured = measured
        self.grown = 0
        """Bytes more than at `start`."""
        self.left = 0
        """Bytes that outlived the round."""

    def start(self) -> None:
        """What is attacked stands."""
        if self.measured:
            gc.collect()
            tracemalloc.start()

    def stop(self, bound: int) -> None:
        """The attack is over: has it made more than `bound` bytes stay?"""
        if self.measured:
            gc.collect()
            self.grown = tracemalloc.get_traced_memory()[0]
            promise(self.grown <= bound, f"memory grew by {self.grown} bytes, more than {bound}")

    def end(self, bound: int) -> None:
        """What was attacked is gone."""
        if self.measured:
            gc.collect()
            self.left = tracemalloc.get_traced_memory()[0]
            self.abandon()
            promise(self.left <= bound, f"{self.left} bytes outlived the round")

    def abandon(self) -> None:
        """Measure no more."""
        tracemalloc.stop()
