"""The cost of a link as one byte q: 16 µs · 2^(q / 16), 16 µs to 1 s. docs/protocol/routing.md §1

cost = RTT / 2 + 1 ms, in seconds; a link's cost is that of its costlier end.
"""

from math import exp2, log2
from typing import Final

STEPS: Final = 16
"""Steps to a doubling; one is 4.4 %."""
LEAST: Final = 16e-6
"""Seconds that q = 0 stands for."""
MOST_Q: Final = 255
HOP: Final = 0.001
"""Seconds that every link costs besides half its RTT."""
CHANGE: Final = 0.25
"""A cost is told anew when it changed by more than this part of the old one, and than `HOP`."""


def encode_cost(seconds: float) -> int:
    """The nearest q, 0 to 255; costs beyond either end count as that end."""
    return round(STEPS * log2(_clamp(seconds) / LEAST))


def decode_cost(q: int) -> float:
    """Seconds."""
    return _SECONDS[q]


_SECONDS: Final = tuple(LEAST * exp2(q / STEPS) for q in range(MOST_Q + 1))


def changed_enough(old_q: int, new_seconds: float) -> bool:
    """Whether a link that was told at `old_q` is to be told again."""
    old = decode_cost(old_q)
    return abs(_clamp(new_seconds) - old) > max(CHANGE * old, HOP)


def _clamp(seconds: float) -> float:
    return min(max(seconds, LEAST), decode_cost(MOST_Q))
