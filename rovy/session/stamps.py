"""Timestamps of hellos: TAI64N, strictly rising per sender. docs/protocol/handshake.md §6"""

from collections import OrderedDict
from collections.abc import Callable
from struct import Struct

from rovy.session.const import STAMP_AHEAD, STAMPS

_TAI64N = Struct(">QI")
_EPOCH = (1 << 62) + 10
_BILLION = 1_000_000_000


class StampClock:
    """Stamps for our own hellos: max(clock, last used + 1), also over restarts and set clocks.

    `bound` is what has to be written down: after a restart no stamp below it is used. It runs
    ahead by an hour, so that it is written seldom.
    """

    def __init__(self, wall: Callable[[], float], bound: int = 0) -> None:
        self._wall = wall
        self._last = bound
        self.bound = bound
        """Nanoseconds; changed at most once in half an hour."""

    def stamp(self) -> bytes:
        """The next stamp, 12 bytes."""
        self._last = max(int(self._wall() * _BILLION), self._last + 1)
        if self._last >= self.bound - int(STAMP_AHEAD / 2 * _BILLION):
            self.bound = self._last + int(STAMP_AHEAD * _BILLION)
        seconds, rest = divmod(self._last, _BILLION)
        return _TAI64N.pack(_EPOCH + seconds, rest)


class StampMemory:
    """The newest stamp of each sender; when full the sender unheard for longest is forgotten.

    Forgetting is safe: a replayed hello then costs one response and an unconfirmed session,
    which sends nothing and displaces nothing.
    """

    def __init__(self, most: int = STAMPS) -> None:
        self._most = most
        self._newest: OrderedDict[bytes, bytes] = OrderedDict()

    def newer(self, key: bytes, stamp: bytes) -> bool:
        """Remember a stamp; False where it is not newer than the sender's last."""
        if stamp <= self._newest.get(key, b""):
            return False
        self._newest[key] = stamp
        self._newest.move_to_end(key)
        if len(self._newest) > self._most:
            self._newest.popitem(last=False)
        return True

    def __len__(self) -> int:
        return len(self._newest)
