"""Figures, the goals they are held against, and the scale at which they are taken."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a row is run."""

    seed: int = 1
    small: bool = False
    """The cut of a few minutes that every change has to pass."""
    nodes: int = 0
    """Of them, where the row lets that be chosen; 0: as the row has it."""

    def size(self, whole: int, small: int) -> int:
        """Nodes at this scale."""
        return self.nodes or self.of(whole, small)

    @property
    def map_size(self) -> int:
        """Nodes in a map: few enough in the small cut that most nodes lie beyond it, as at size."""
        return 16 if self.small else 128

    def of(self, whole: int, small: int) -> int:
        """How often, or how long, at this scale."""
        return small if self.small else whole


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a row. `bound` is the goal; without one the figure is only told."""

    name: str
    value: float | None
    """None: nothing came of it, which no goal allows."""
    unit: str
    bound: float | None = None
    at_most: bool = True
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal is reached, where there is one."""
        if self.bound is None:
            return True
        if self.value is None:
            return False
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def verdict(self) -> str:
        """Met, or by how much it is missed."""
        if self.bound is None:
            return ""
        if self.value is None:
            return "MISSED"
        if self.met:
            return "met"
        return f"MISSED by {number(abs(self.value - self.bound))} {self.unit}"

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": self.bound,
            "at_most": self.at_most,
            "met": self.met,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One line of questions that a run of a network answers."""

    name: str
    what: str
    run: Callable[[Scale], Awaitable[list[Measure]]]
    small: bool = True
    """Whether it belongs to the small cut."""
    tags: tuple[str, ...] = field(default=())


def share(found: Sequence[object]) -> float:
    """Per cent of what is not None."""
    return 100 * sum(each is not None for each in found) / len(found) if found else 0.0


def percentile(values: Sequence[float | None], part: float) -> float | None:
    """The value that `part` (0 to 1) of all do not exceed; None counts as beyond everything."""
    if not values:
        return None
    known = sorted(value for value in values if value is not None)
    at = ceil(part * len(values)) - 1
    return known[max(at, 0)] if at < len(known) else None


def mean(values: Sequence[float]) -> float | None:
    """None where there are none."""
    return sum(values) / len(values) if values else None


def number(value: float | None) -> str:
    """Three digits or so."""
    if value is None:
        return "none"
    if value == 0 or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
