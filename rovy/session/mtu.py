"""Search for the largest datagram a path carries, after RFC 8899. docs/protocol/paths.md §6

All sizes of a short ladder are tried at once; the largest that is answered counts. What was found
is confirmed while the path is used, and soon when packets go unanswered: so a path that shrinks is
noticed without ICMP.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from rovy.address.path import Direct, Path, Routed
from rovy.session.const import FLOOR_MTU
from rovy.wire.datagram import DATA_FIXED
from rovy.wire.forward import header_size

LINKS = (9000, 4400, 1500, 1492, 1480, 1420, 1380)
"""MTUs of links met in practice, bytes."""
RAISE_EVERY = 600.0
LOOK_AGAIN = 30.0
CONFIRM_EVERY = 5.0
CONFIRM_AT_REST = 150.0
BUSY = 20_000
"""Bytes that came by a path since its MTU was confirmed, from which on it is not at rest."""
DOUBT_EVERY = 5.0
"""Seconds between two confirmations at least because packets go unanswered."""
REPEAT = 1.0
FIRST_ANSWER = 0.2
"""Seconds that the first sizes tried have to be answered, at least."""
MISSES = 3
PROBE = DATA_FIXED + 9
"""Bytes of a datagram with a probe that has no padding."""


def floor(path: Path) -> int:
    """What every path of that kind carries, bytes."""
    if isinstance(path, Direct):
        return FLOOR_MTU[6 if path.remote.is_v6 else 4]
    return FLOOR_MTU[6] - _label_overhead(path)


def ladder(path: Path) -> list[int]:
    """Datagram sizes worth trying, the largest first."""
    if isinstance(path, Direct):
        sizes = [link - (48 if path.remote.is_v6 else 28) for link in LINKS]
    else:
        sizes = [link - 48 - _label_overhead(path) for link in LINKS]
    return [*sizes, floor(path)]


@dataclass(slots=True, eq=False)
class MtuSearch:
    """What is known of one path's MTU."""

    path: Path
    mtu: int
    """Largest datagram known to pass, bytes."""
    due: float = 0.0
    """When `probes` wants to be asked next."""
    expected: int = 0
    """What the path should carry, as somebody says: tried alone, before all others."""
    began: float = 0.0
    """When the first sizes were tried; 0.0: not yet."""
    _expecting: bool = False
    _came: int = 0
    _raise_at: float = 0.0
    _misses: int = 0
    _asked_at: float = -DOUBT_EVERY
    _rest_until: float = 0.0
    _sizes: dict[bytes, int] = field(default_factory=dict)

    @property
    def unconfirmed(self) -> bool:
        """Whether the size that was found is under way and not answered yet."""
        return self.mtu in self._sizes.values()

    def probes(
        self, random: Callable[[int], bytes], now: float, came: int, heard: float, wait: float
    ) -> list[tuple[bytes, int]]:
        """(token, padding) of the probes to send now.

        `came`: bytes that ever came by the path; `heard`: when it answered last, as one that is
        silent altogether has not shrunk; `wait`: seconds until an unanswered confirmation is
        repeated.
        """
        self.began = self.began or now
        repeated = self.unconfirmed
        if repeated and heard <= self._asked_at:
            self.due = now + wait
            return []
        if repeated and not self._missed():
            self._raise_at = now
            repeated = False
        late = {t: size for t, size in self._sizes.items() if repeated and size == self.mtu}
        found = self.mtu > floor(self.path)
        sizes = [self.mtu] if found else []
        expected, self.expected = self.expected, 0
        if expected > self.mtu:
            sizes.append(expected)
            self._raise_at = now + REPEAT
        elif found and self._expecting:
            self._raise_at = now + RAISE_EVERY
        elif now >= self._raise_at:
            sizes += [size for size in ladder(self.path) if size > self.mtu]
            self._raise_at = now + RAISE_EVERY
        self._expecting = expected > self.mtu
        asked = {random(8): size for size in sizes}
        self._sizes = dict(list(late.items())[-MISSES:]) | asked
        if not repeated:
            rest = CONFIRM_EVERY if came - self._came > BUSY else CONFIRM_AT_REST
            self._rest_until, self._came = now + rest, came
        self._asked_at = now if found else self._asked_at
        self.due = now + wait if found else self._rest_until
        if expected:
            self.due = now + REPEAT
        return [(token, size - PROBE) for token, size in asked.items()]

    def doubt(self, now: float) -> None:
        """Packets go unanswered, perhaps only the long ones: confirm the size soon."""
        if self.mtu > floor(self.path):
            self.due = min(self.due, max(now, self._asked_at + DOUBT_EVERY))

    def settled(self, now: float, rtt: float) -> bool:
        """Whether larger sizes had their time to be answered; seconds."""
        if self.mtu > floor(self.path):
            return True
        return self.began > 0 and now - self.began > max(FIRST_ANSWER, 3 * rtt)

    def answered(self, token: bytes) -> bool:
        """A probe of ours came back; False where the token is not one of these."""
        size = self._sizes.pop(token, 0)
        if size:
            self._misses = 0
            self.mtu = max(self.mtu, size)
            self._sizes = {t: other for t, other in self._sizes.items() if other > self.mtu}
            if not self._sizes:
                self.due = max(self.due, self._rest_until)
        return size > 0

    def limit(self, mtu: int, now: float) -> None:
        """Somebody says that no more than `mtu` bytes pass: look again in a while."""
        self.mtu = min(self.mtu, mtu)
        self._sizes.clear()
        self._raise_at = max(self._raise_at, now + LOOK_AGAIN)
        self.due = min(self.due, now + REPEAT)

    def _missed(self) -> bool:
        """Count an unanswered confirmation; False where the size is given up."""
        self._misses += 1
        if self._misses < MISSES:
            return True
        self.mtu, self._misses = floor(self.path), 0
        return False


def _label_overhead(path: Routed) -> int:
    return DATA_FIXED + header_size(len(path.label.rest))
