"""Clocks and turns.

What runs in one thread is timed by processor time, so that other programs on the machine count
less; what crosses processes says in its own module what it takes.
"""

import gc
import time
from collections.abc import Callable

GIGA = 1e9
MICRO = 1e6


def cpu(work: Callable[[], object]) -> float:
    """Seconds of processor time, user and system, that a call takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def take_turns(runs: int, *works: Callable[[], float]) -> list[list[float]]:
    """What each work returns in each run, after one round that does not count.

    Every second run goes backwards, so that a machine that gets slower harms all alike.
    """
    values: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for turn in range(runs):
        gc.collect()
        order = range(len(works)) if turn % 2 == 0 else reversed(range(len(works)))
        for each in order:
            values[each].append(works[each]())
    return values


def scaled(values: list[float], factor: float) -> list[float]:
    """Each value times a factor: other units."""
    return [value * factor for value in values]


def rates(values: list[float], amount: float = 1.0) -> list[float]:
    """`amount` a second, for times that were taken."""
    return [amount / value for value in values]
