"""Random choices from random bytes, which are an argument."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from rovy.dht.const import ID_BITS, JITTER

T = TypeVar("T")
Random = Callable[[int], bytes]


def fraction(random: Random) -> float:
    """Evenly from 0 to 1, 1 excluded."""
    return int.from_bytes(random(6), "big") / 256**6


def spread(random: Random, seconds: float) -> float:
    """About so many seconds, so that nodes that started together do not stay together."""
    return seconds * (1 + JITTER * (2 * fraction(random) - 1))


def shuffled(random: Random, items: Sequence[T]) -> list[T]:
    """The items in any order."""
    order = sorted((random(8), at) for at in range(len(items)))
    return [items[at] for _, at in order]


def id_at_depth(random: Random, own: int, depth: int) -> bytes:
    """An id that shares this many bits with the own one, and not the next."""
    low = ID_BITS - 1 - depth
    number = own >> low ^ 1
    rest = int.from_bytes(random(20), "big") & (1 << low) - 1
    return (number << low | rest).to_bytes(20, "big")
