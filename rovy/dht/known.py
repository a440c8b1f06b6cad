"""All nodes that may be asked: contacts, the map, anchors, and those remembered from before."""

from collections import OrderedDict
from collections.abc import Collection, Iterator
from heapq import nsmallest
from itertools import chain
from typing import Final

from rovy.address.keys import PeerID
from rovy.dht.chance import Random, shuffled
from rovy.dht.const import PING_AFTER
from rovy.dht.contact import Contact
from rovy.dht.messenger import Messenger
from rovy.dht.table import Table
from rovy.routing.locator import Locator

MAX_REMEMBERED: Final = 256
MAX_STRANGERS: Final = 1024
"""Contacts made for nodes of the map; beyond that all are made anew."""
DOUBTFUL: Final = 2
"""Misses after which a contact is named to nobody."""


class Known:
    """Where lookups start, and what others are told."""

    def __init__(self, own: PeerID, messenger: Messenger, table: Table, random: Random) -> None:
        self._own, self._messenger, self._table = own, messenger, table
        self._random = random
        self.remembered: OrderedDict[PeerID, Contact] = OrderedDict()
        """From before the last start; nobody has proved anything since. The oldest is forgotten."""
        self._strangers: dict[PeerID, Contact] = {}

    def remember(self, peer: PeerID, locator: Locator | None) -> None:
        """Keep somebody to begin with."""
        self.remembered[peer] = contact = Contact(peer, locator)
        self._messenger.heard(self._own, contact)
        while len(self.remembered) > MAX_REMEMBERED:
            self.remembered.popitem(last=False)

    def nearest(self, target: int, count: int, without: Collection[bytes] = ()) -> list[Contact]:
        """To start a lookup with, the nearest first."""
        everybody = {contact.id: contact for contact in self._table}
        others = self._spare(), self._mapped(), self.anchors(), self.remembered.values()
        for contact in chain.from_iterable(others):
            everybody.setdefault(contact.id, contact)
        return _nearest(everybody, target, count, without)

    def trusted(self, target: int, count: int, without: Collection[bytes] = ()) -> list[Contact]:
        """To name to others: proved or in the map, and not silent of late."""
        everybody = {c.id: c for c in self._table if c.misses < DOUBTFUL}
        for contact in chain(self._spare(), self._mapped()):
            if contact.misses < DOUBTFUL:
                everybody.setdefault(contact.id, contact)
        return _nearest(everybody, target, count, without)

    def anchors(self) -> list[Contact]:
        """In any order."""
        peers = [peer for peer in self._messenger.anchors() if peer != self._own]
        return [self.contact(peer) for peer in shuffled(self._random, peers)]

    def contact(self, peer: PeerID) -> Contact:
        """The contact of the table, or one that has proved nothing."""
        return self._table.contact(peer) or self._stranger(peer)

    def closer(self, place: int, most: int) -> int:
        """How many nodes are nearer to a place than this one, counted up to `most`."""
        bound = place ^ int.from_bytes(self._own.node_id, "big")
        return sum(c.number ^ place < bound for c in self.trusted(place, most))

    def in_map(self, peer: PeerID) -> bool:
        """Whether the map leads to a node."""
        return peer in self._messenger.nearby()

    def _stranger(self, peer: PeerID) -> Contact:
        known = self._strangers.get(peer)
        if known is None:
            if len(self._strangers) >= MAX_STRANGERS:
                self._strangers.clear()
            known = self._strangers[peer] = Contact(peer)
        return known

    def _spare(self) -> Iterator[Contact]:
        return self._table.spare(self._messenger.now() - PING_AFTER)

    def _mapped(self) -> Iterator[Contact]:
        return (self.contact(peer) for peer in self._messenger.nearby() if peer != self._own)


def _nearest(
    everybody: dict[bytes, Contact], target: int, count: int, without: Collection[bytes]
) -> list[Contact]:
    found = (contact for contact in everybody.values() if contact.id not in without)
    return nsmallest(count, found, key=lambda contact: contact.number ^ target)
