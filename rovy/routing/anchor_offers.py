"""What a node offers its neighbours: beacons with its own hop, made anew where something changed.

docs/protocol/anchors.md §4
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from rovy.address.keys import PrivateKey
from rovy.routing.anchor_neighbour import Neighbour, Offer, digest
from rovy.routing.anchor_paths import AnchorPath
from rovy.routing.beacon import MAX_HOPS, Beacon
from rovy.wire.beacon import BeaconMessage, Withdrawn

SIGNED: Final = 64
"""Beacons signed in one go; the others follow."""


@dataclass(slots=True, eq=False)
class Offers:
    """Signs for all neighbours in turn, until `left` is used up."""

    private: PrivateKey
    random: Callable[[int], bytes]
    left: int = SIGNED

    def update(
        self, neighbour: Neighbour, own: Beacon | None, ways: Iterable[AnchorPath]
    ) -> list[BeaconMessage | Withdrawn]:
        """What to tell a neighbour so that it has been offered all that it is to be."""
        bases = {base.short: base for base in _bases(neighbour, own, ways)}
        lost = [short for short in neighbour.offered if short not in bases]
        for short in lost:
            del neighbour.offered[short]
        return [*map(Withdrawn, lost), *self._changed(neighbour, bases.values())]

    def _changed(self, neighbour: Neighbour, bases: Iterable[Beacon]) -> Iterator[BeaconMessage]:
        step = neighbour.step
        for base in bases:
            old = neighbour.offered.get(base.short)
            if self.left and (old is None or (old.base, old.step) != (base.raw, step)):
                self.left -= 1
                raw = base.extend(self.private, neighbour.peer, step, self.random(64)).raw
                neighbour.offered[base.short] = Offer(base.raw, step, raw, digest(raw))
                yield BeaconMessage(raw)


def _bases(
    neighbour: Neighbour, own: Beacon | None, ways: Iterable[AnchorPath]
) -> Iterator[Beacon]:
    """The beacons that are to be extended for a neighbour, the best anchors first."""
    if own:
        yield own
    for way in ways:
        if len(way.beacon.hops) < MAX_HOPS and not way.leads_through(neighbour.short):
            yield way.beacon
