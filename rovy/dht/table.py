"""The routing table: contacts that proved their keys. docs/protocol/dht.md §5"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator
from heapq import nsmallest

from kademlia.node import Node
from kademlia.routing import RoutingTable

from rovy.address.keys import PeerID
from rovy.dht.bucket import Bucket, Judge
from rovy.dht.const import LEAVES, MISS_APART, MISSES, SPACE, K
from rovy.dht.contact import Contact
from rovy.routing.locator import Locator


class Table(RoutingTable):  # type: ignore[misc]
    """Buckets around the own id. Whoever gets in has proved its key; who is silent goes out."""

    def __init__(self, own: PeerID, judge: Judge) -> None:
        self._contacts: dict[bytes, Contact] = {}
        """All that have a place in a bucket, by id."""
        self._distances: list[int] = []
        """Of these to the own id, sorted."""
        self._judge = judge
        self._proof = 0.0
        """When any contact last proved its key."""
        super().__init__(None, K, Contact(own))

    def flush(self) -> None:
        """Forget everything."""
        self.buckets: list[Bucket] = [Bucket(0, SPACE - 1)]
        self._contacts.clear()
        self._distances.clear()

    def __len__(self) -> int:
        return len(self._contacts)

    def __iter__(self) -> Iterator[Contact]:
        return iter(list(self._contacts.values()))

    def contact(self, peer: PeerID) -> Contact | None:
        """The contact of this key."""
        return self._contacts.get(peer.node_id)

    def proved(self, peer: PeerID, locator: Locator | None, now: float) -> bool:
        """A node has shown that it holds its key. Whether that made it a new contact."""
        if peer.node_id == self.node.id:
            return False
        self._proof = now
        known = self._contacts.get(peer.node_id) or self._cached(peer)
        contact = known or Contact(peer)
        contact.learn(locator)
        contact.proved(now)
        before = peer.node_id in self._contacts
        self.add_contact(contact)
        return not before and peer.node_id in self._contacts

    def missed(self, peer: PeerID, now: float) -> bool:
        """It did not answer, or answered nonsense. Whether that was once too often.

        Where nobody else answers either, the fault is likely ours: then all stay.
        """
        contact = self._contacts.get(peer.node_id)
        if contact is None:
            self._bucket_of(peer).replacement_nodes.pop(peer.node_id, None)
            return False
        if contact.misses and now - contact.missed < MISS_APART:
            return False
        contact.doubted = contact.doubted if contact.misses else now
        contact.misses, contact.missed = contact.misses + 1, now
        if contact.misses < MISSES or self._proof < contact.doubted:
            return False
        self.remove_contact(contact)
        return True

    def add_contact(self, node: Contact) -> None:
        """Give a contact a place, or one in a replacement cache."""
        bucket = self._bucket(node.number)
        while bucket.full and node.id not in bucket.nodes and self._divisible(bucket):
            self.split_bucket(self.buckets.index(bucket))
            bucket = self._bucket(node.number)
        if node.id in bucket.nodes:
            bucket.nodes.move_to_end(node.id)
            return
        bucket.replacement_nodes.pop(node.id, None)
        self._enter(node)
        if bucket.full:
            for loser in bucket.admit(node, self.leaves(), self._judge):
                self._leave(loser)
        else:
            bucket.nodes[node.id] = node

    def remove_contact(self, node: Contact) -> None:
        """Forget a contact; a replacement takes its place."""
        bucket = self._bucket(node.number)
        bucket.replacement_nodes.pop(node.id, None)
        if bucket.nodes.pop(node.id, None) is None:
            return
        self._leave(node)
        successor = None if bucket.full else bucket.replacement()
        if successor is not None:
            bucket.nodes[successor.id] = successor
            self._enter(successor)

    def get_bucket_for(self, node: Node) -> int:
        """The index of the bucket whose range a node is in."""
        return self.buckets.index(self._bucket(node.long_id))

    def find_neighbors(
        self, node: Node, k: int | None = None, exclude: Node | None = None
    ) -> list[Contact]:
        """The k nearest contacts, exactly, but for the node itself."""
        without = {node.id, *((exclude.id,) if exclude else ())}
        return self.nearest(node.long_id, k or K, without)

    def nearest(self, target: int, count: int, without: Collection[bytes] = ()) -> list[Contact]:
        """The contacts nearest to a target, exactly, the nearest first."""
        found = (contact for contact in self._contacts.values() if contact.id not in without)
        return nsmallest(count, found, key=lambda contact: contact.number ^ target)

    def spare(self, since: float) -> Iterator[Contact]:
        """Those without a place who proved their keys lately."""
        for bucket in self.buckets:
            for contact in bucket.replacement_nodes.values():
                if contact.seen >= since and not contact.misses:
                    yield contact

    def leaves(self) -> frozenset[bytes]:
        """Ids of the 2k contacts nearest to the own id."""
        if not self._distances:
            return frozenset()
        bound = self._distances[min(LEAVES, len(self._distances)) - 1]
        own = self._own
        return frozenset(c.id for c in self._contacts.values() if c.number ^ own <= bound)

    @property
    def _own(self) -> int:
        return int(self.node.long_id)

    def _bucket(self, number: int) -> Bucket:
        """Ranges are sorted and leave no gap."""
        at = bisect_left(self.buckets, number, key=lambda bucket: bucket.range[1])
        return self.buckets[at]

    def _divisible(self, bucket: Bucket) -> bool:
        return bucket.holds(self._own) and bucket.range[0] < bucket.range[1]

    def _cached(self, peer: PeerID) -> Contact | None:
        cached: Contact | None = self._bucket_of(peer).replacement_nodes.get(peer.node_id)
        return cached

    def _bucket_of(self, peer: PeerID) -> Bucket:
        return self._bucket(int.from_bytes(peer.node_id, "big"))

    def _enter(self, contact: Contact) -> None:
        self._contacts[contact.id] = contact
        insort(self._distances, contact.number ^ self._own)

    def _leave(self, contact: Contact) -> None:
        del self._contacts[contact.id]
        distance = contact.number ^ self._own
        del self._distances[bisect_left(self._distances, distance)]
