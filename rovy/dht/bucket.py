"""A bucket of contacts: kademlia's, with reasons for who may stay. docs/protocol/dht.md §5"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

from kademlia.routing import KBucket

from rovy.address.keys import PeerID
from rovy.dht.const import CACHED, CHEAPER, K
from rovy.dht.contact import Contact


@dataclass(frozen=True, slots=True)
class Judge:
    """What the node says about its routes to contacts."""

    cost: Callable[[PeerID], float | None]
    group: Callable[[PeerID], bytes | None]

    def price(self, contact: Contact) -> float:
        """Seconds one way; infinite where no route is known."""
        cost = self.cost(contact.peer)
        return inf if cost is None else cost


class Bucket(KBucket):  # type: ignore[misc]
    """Contacts whose ids lie in one range, and a bounded cache of those who found no place."""

    def __init__(self, lower: int, upper: int) -> None:
        super().__init__(lower, upper, K, CACHED // K)

    def touch_last_updated(self) -> None:
        """Nothing: joins refresh all buckets at a time, and no clock is read in here."""

    @property
    def contacts(self) -> list[Contact]:
        """Those that have a place."""
        return self.get_nodes()  # type: ignore[no-any-return]

    @property
    def full(self) -> bool:
        """Whether a newcomer has to replace somebody."""
        return len(self) >= K

    def holds(self, number: int) -> bool:
        """Whether an id lies in the range."""
        return bool(self.range[0] <= number <= self.range[1])

    def split(self) -> "tuple[Bucket, Bucket]":
        """Two buckets of half the range each, with the same contacts.

        Nobody waits for a place in a bucket that can still be split.
        """
        lower, upper = self.range
        middle = (lower + upper) // 2
        halves = Bucket(lower, middle), Bucket(middle + 1, upper)
        for contact in self.contacts:
            halves[contact.number > middle].nodes[contact.id] = contact
        return halves

    def admit(self, contact: Contact, leaves: frozenset[bytes], judge: Judge) -> list[Contact]:
        """Give a newcomer to a full bucket a place if it deserves one; those without one then.

        Leaves always stay, even where they are more than k.
        """
        self.nodes[contact.id] = contact
        losers = []
        while len(self) > K:
            loser = self._worst(contact, leaves, judge)
            if loser is None:
                break
            del self.nodes[loser.id]
            self._cache(loser)
            losers.append(loser)
        return losers

    def replacement(self) -> Contact | None:
        """The replacement seen last, taken out of the cache."""
        return self.replacement_nodes.popitem()[1] if self.replacement_nodes else None

    def _worst(self, newcomer: Contact, leaves: frozenset[bytes], judge: Judge) -> Contact | None:
        spare = [contact for contact in self.contacts if contact.id not in leaves]
        if not spare:
            return None
        crowded = _crowded(self.contacts, judge)

        def badness(contact: Contact) -> tuple[bool, bool, float]:
            # Those who are here are preferred to newcomers, or places would change hands for ever.
            price = judge.price(contact)
            fair = price if contact is newcomer else price * CHEAPER
            return contact.misses > 1, judge.group(contact.peer) in crowded, fair

        newest_first = reversed(spare)
        return max(newest_first, key=badness)

    def _cache(self, contact: Contact) -> None:
        self.replacement_nodes.pop(contact.id, None)
        self.replacement_nodes[contact.id] = contact
        while len(self.replacement_nodes) > self.max_replacement_nodes:
            self.replacement_nodes.popitem(last=False)


def _crowded(contacts: Iterable[Contact], judge: Judge) -> set[bytes | None]:
    """Groups that have more than half of a bucket."""
    groups = Counter(judge.group(contact.peer) for contact in contacts)
    return {group for group, count in groups.items() if group is not None and count > K // 2}
