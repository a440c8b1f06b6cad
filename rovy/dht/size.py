"""How many nodes there are, by how near the nearest are to where one looks.

Ids are spread evenly, so the k nearest to a random target lie within k / N of the space. Many
nodes much nearer than that were made to be there.
"""

from collections import deque
from statistics import median
from typing import Final

from rovy.dht.const import SPACE, K

REMEMBERED: Final = 8
"""Lookups whose median is the estimate."""
CROWDED: Final = 1.5
"""Nodes expected as near as the k-th nearest: fewer than this come by chance once in 5000 times."""
ENOUGH: Final = 4
"""Lookups before the estimate is good enough to judge by."""


class Size:
    """Estimates the number of nodes from the ends of lookups."""

    def __init__(self) -> None:
        self._sizes: deque[float] = deque(maxlen=REMEMBERED)

    def saw(self, distances: list[int]) -> bool:
        """A lookup ended with the nearest at these distances. Whether they are suspiciously many.

        They count all the same, or a network that grew would look crowded for ever; the median
        does not follow a few.
        """
        crowded = len(distances) >= K and self.crowded(distances)
        self._sizes.append(_size(sorted(distances)))
        return crowded

    @property
    def estimate(self) -> float | None:
        """Nodes, this one included; None before the first lookup."""
        return median(self._sizes) if self._sizes else None

    def crowded(self, distances: list[int]) -> bool:
        """Whether the k nearest are much nearer than in a network of the estimated size."""
        if self.estimate is None or len(self._sizes) < ENOUGH:
            return False
        return sorted(distances)[K - 1] / SPACE * self.estimate < CROWDED

    def radius(self, count: int) -> int:
        """The distance within which about so many nodes are expected; all of space if unknown."""
        if not self.estimate:
            return SPACE
        return min(SPACE, int(SPACE / self.estimate * count))


def _size(distances: list[int]) -> float:
    if len(distances) < K:
        return float(len(distances) + 1)
    return (K - 1) * SPACE / max(distances[K - 1], 1)
