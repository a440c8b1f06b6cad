"""The bound on timestamps that is kept on disk. docs/protocol/handshake.md §6

A node stamps its hellos with max(clock, last used + 1), beginning above the bound it was given.
So a stamp is never later than the latest clock seen, or than the bound it was given and as many
nanoseconds as there were hellos. From this follows what has to be written down, tighter than the
node's own bound: a daemon that is killed or restarted over and over does not run ahead.
"""

import time
from collections.abc import Callable
from typing import Final

AHEAD: Final = 600 * 1_000_000_000
"""Nanoseconds ahead of the clock that are written down, so that it is seldom."""
HELLOS: Final = 1_000_000_000
"""More than anybody sends before the clock has passed the bound."""


class StampBound:
    """What to write down for a node that was given `loaded`."""

    def __init__(self, loaded: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._newest = clock()
        self._least = loaded + HELLOS
        self._bound = max(self._newest + AHEAD, self._least)

    def now(self) -> int:
        """The bound while the node runs; it moves every few minutes."""
        self._newest = max(self._newest, self._clock())
        if self._newest > self._bound - AHEAD // 2:
            self._bound = self._newest + AHEAD
        return self._bound

    def final(self) -> int:
        """The bound once the node has stopped."""
        self._newest = max(self._newest, self._clock())
        return max(self._newest + 1, self._least)
