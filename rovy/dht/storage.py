"""Values kept for others, and those of the node itself. docs/protocol/dht.md §4

At most 4096 values. Values that are no locators have half of the places at most, and give way to
locators. What is full gives up the value farthest from the own id.
"""

from bisect import bisect_left, insort
from collections import Counter

from rovy.dht.const import (
    LOCATOR,
    MAX_OF_SIGNER,
    MAX_OF_TYPE,
    MAX_OTHERS,
    MAX_VALUES,
)
from rovy.dht.values import Value
from rovy.wire import dht as wire


class Storage:
    """Pure: values in, values out, at a time told by the wall clock."""

    def __init__(self, own_id: bytes) -> None:
        self._own_id = int.from_bytes(own_id, "big")
        self._values: dict[bytes, Value] = {}
        self._places: list[bytes] = []
        """Sorted, to look up by prefix."""
        self._far: dict[int, list[tuple[int, bytes]]] = {}
        """By type: (distance, place), sorted, so that the last is the farthest."""
        self._signers: Counter[bytes] = Counter()
        self.own: dict[bytes, Value] = {}
        """The node's own values, by place; never given up."""

    def __len__(self) -> int:
        return len(self._values)

    def by_type(self) -> dict[int, int]:
        """How many values of each type are kept for others."""
        return {kind: len(found) for kind, found in sorted(self._far.items()) if found}

    def verdict(self, value: Value, wall: float) -> int:
        """What `put` would answer, before anybody has looked at the signature."""
        if not value.counts(wall):
            return wire.REFUSED
        known = self._values.get(value.place)
        if known is not None:
            renewed = known.raw == value.raw or value.newer_than(known)
            return wire.STORED if renewed else wire.OLD
        return wire.STORED if self._has_room(value) else wire.QUOTA

    def put(self, value: Value, wall: float) -> int:
        """Keep a value that was checked. Its status: `STORED`, `OLD`, `QUOTA` or `REFUSED`."""
        status = self.verdict(value, wall)
        if status == wire.STORED:
            going = [value.place] if value.place in self._values else self._giving_way(value)
            for place in going:
                self._drop(place)
            self._keep(value)
        return status

    def find(self, target: bytes, bits: int, wall: float) -> list[Value]:
        """At most 4 values whose places begin with these bits of the target."""
        prefix = target[: bits // 8]
        places = [place for place in self.own if place.startswith(prefix)]
        at = bisect_left(self._places, prefix)
        for place in self._places[at : at + wire.MAX_VALUES]:
            if place.startswith(prefix) and place not in self.own:
                places.append(place)
        values = [self.own.get(place) or self._values[place] for place in places]
        return [value for value in values if value.counts(wall)][: wire.MAX_VALUES]

    def expire(self, wall: float) -> None:
        """Forget what is not of this time any more."""
        for place in [place for place, value in self._values.items() if not value.counts(wall)]:
            self._drop(place)
        for place in [place for place, value in self.own.items() if wall >= value.expires]:
            del self.own[place]

    def _has_room(self, value: Value) -> bool:
        if value.type != LOCATOR and self._signers[value.signer.key] >= MAX_OF_SIGNER:
            return False
        return all(self._farther(place, value) for place in self._giving_way(value))

    def _giving_way(self, value: Value) -> list[bytes]:
        """Whose place this value would take; one that is itself farther has no room."""
        others = len(self._values) - len(self._far.get(LOCATOR, ()))
        if value.type == LOCATOR:
            full = len(self._values) >= MAX_VALUES
            return [self._farthest_other() or self._farthest(LOCATOR)] if full else []
        if len(self._far.get(value.type, ())) >= MAX_OF_TYPE:
            return [self._farthest(value.type)]
        if others >= MAX_OTHERS or len(self._values) >= MAX_VALUES:
            return [self._farthest_other() or value.place]
        return []

    def _farther(self, place: bytes, value: Value) -> bool:
        """Whether the value at that place may give way to this one."""
        known = self._values.get(place)
        if known is None:
            return False
        if known.type != LOCATOR and value.type == LOCATOR:
            return True
        return known.number ^ self._own_id > value.number ^ self._own_id

    def _farthest(self, kind: int) -> bytes:
        return self._far[kind][-1][1]

    def _farthest_other(self) -> bytes | None:
        ends = [found[-1] for kind, found in self._far.items() if kind != LOCATOR and found]
        return max(ends)[1] if ends else None

    def _keep(self, value: Value) -> None:
        self._values[value.place] = value.kept()
        insort(self._places, value.place)
        distance = value.number ^ self._own_id
        insort(self._far.setdefault(value.type, []), (distance, value.place))
        if value.type != LOCATOR:
            self._signers[value.signer.key] += 1

    def _drop(self, place: bytes) -> None:
        value = self._values.pop(place, None)
        if value is None:
            return
        del self._places[bisect_left(self._places, place)]
        far = self._far[value.type]
        del far[bisect_left(far, (value.number ^ self._own_id, place))]
        if value.type != LOCATOR:
            self._signers[value.signer.key] -= 1
            if not self._signers[value.signer.key]:
                del self._signers[value.signer.key]
