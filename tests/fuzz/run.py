"""Rounds by target, seed and number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

from tests.fuzz import insiders, parsers, plane, strangers
from tests.fuzz.audit import Meter

MEASURED = 10
"""Memory is measured in every tenth round, the first among them, which is slower by that."""
LEFT = 1 << 20
"""Bytes a round may leave behind: caches of the interpreter and of libraries."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked, and how many inputs a round has."""

    run: Callable[[Random, int, Meter], None]
    inputs: int


@dataclass(frozen=True, slots=True)
class Result:
    """A round that passed; `grown` is the growth of memory in bytes, 0 where not measured."""

    inputs: int
    grown: int


class Failed(Exception):
    """A round failed; its cause is what went wrong."""


TARGETS = {
    "parsers": Target(parsers.run, 1000),
    "plane": Target(plane.run, 30_000),
    "strangers": Target(strangers.run, 10_000),
    "insiders": Target(insiders.run, 3000),
}


def schedule(targets: list[str]) -> Iterator[tuple[str, int]]:
    """Every target's rounds in turn, without end."""
    for number in count():
        for target in targets:
            yield target, number


def one_round(seed: str, target: str, number: int, inputs: int | None = None) -> Result:
    """Run a round. Raises `Failed`."""
    chosen = TARGETS[target]
    inputs = inputs or chosen.inputs
    meter = Meter(number % MEASURED == 0)
    try:
        chosen.run(Random(f"{seed}/{target}/{number}"), inputs, meter)
        meter.end(LEFT)
    except Exception as error:
        meter.abandon()
        raise Failed(command(seed, target, number)) from error
    return Result(inputs, meter.grown)


def command(seed: str, target: str, number: int) -> str:
    """What repeats a round."""
    return f"python -m tests.fuzz --seed {seed} --target {target} --round {number}"
