"""How long a link that comes and goes waits before it is told again. docs/protocol/routing.md §5

Route flap damping (RFC 2439) with a wait that grows with the losses instead of an end that is far:
every change of a link costs the whole network around it, and its node alone decides how many.
"""

from collections import OrderedDict
from typing import Final

FREE: Final = 3.0
"""Losses of late that cost no wait."""
HALF_LIFE: Final = 15.0
"""Seconds in which half of the losses are forgotten."""
FIRST, LONGEST = 1.0, 8.0
"""Seconds of wait after the first loss that is not free, doubled with each; at most."""
MOST: Final = 8.0
"""Losses counted at most."""
LINKS: Final = 1024
"""Links remembered; those lost longest ago are forgotten first."""


class Flapping:
    """The losses of each link of one node; times in seconds of one steady clock."""

    def __init__(self) -> None:
        self._lost: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def lost(self, neighbour: bytes, now: float) -> None:
        """The link to the node of that short was told, and is gone."""
        self._lost[neighbour] = now, min(self._losses(neighbour, now) + 1, MOST)
        self._lost.move_to_end(neighbour)
        if len(self._lost) > LINKS:
            self._lost.popitem(last=False)

    def wait(self, neighbour: bytes, now: float) -> float:
        """Seconds until it is to be told again; 0.0: at once."""
        at, losses = self._lost.get(neighbour, (now, 0.0))
        if losses <= FREE:
            return 0.0
        wait = min(FIRST * 2 ** (losses - FREE - 1), LONGEST)
        return max(0.0, at + wait - now)

    def _losses(self, neighbour: bytes, now: float) -> float:
        at, losses = self._lost.get(neighbour, (now, 0.0))
        return float(losses * 2 ** ((at - now) / HALF_LIFE))
