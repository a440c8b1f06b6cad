"""Two runs side by side: by ratio where both have a baseline, else by value."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.record import Result

MARKED = 0.15
"""Changes above this share are marked: machine noise stays below."""


@dataclass(frozen=True, slots=True)
class Change:
    """One benchmark in both runs."""

    name: str
    by: str
    """`ratio`, or the unit of the values compared."""
    before: float
    now: float
    better: bool
    """Whether the change, however small, is one for the better."""

    @property
    def share(self) -> float:
        """How much it changed: 0.1 is 10 % more."""
        if self.before:
            return self.now / self.before - 1
        return 0.0 if self.now == self.before else float("inf")

    @property
    def mark(self) -> str:
        """`better` or `worse` where it changed by more than `MARKED`, else empty."""
        if abs(self.share) <= MARKED:
            return ""
        return "better" if self.better else "worse"


def changes(before: Sequence[Result], now: Sequence[Result]) -> list[Change]:
    """The benchmarks that both runs have, in the order of the later one."""
    former = {result.name: result for result in before}
    return [_change(former[result.name], result) for result in now if result.name in former]


def only_in_one(before: Sequence[Result], now: Sequence[Result]) -> list[str]:
    """Names that cannot be compared."""
    return sorted({result.name for result in before} ^ {result.name for result in now})


def _change(before: Result, now: Result) -> Change:
    by, old, new = now.unit, before.value, now.value
    if before.ratio is not None and now.ratio is not None and before.baseline == now.baseline:
        by, old, new = "ratio", before.ratio, now.ratio
    return Change(now.name, by, old, new, (new > old) == now.more_is_better)
