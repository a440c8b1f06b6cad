"""What a benchmark gives, and the file it is kept in."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Self


class BadRecord(Exception):
    """A file that is not a list of results."""


@dataclass(frozen=True, slots=True)
class Result:
    """One figure."""

    name: str
    value: float
    """Median of the runs."""
    unit: str
    baseline: str | None
    """What took turns with it in the same run; None where there is nothing to compare with."""
    ratio: float | None
    """Median over the runs of value / baseline."""
    runs: int
    spread: float
    """Interquartile range / median over the runs: of the ratios, or of values without a baseline.

    The speed of a machine can change between runs, so that values scatter more than ratios.
    """

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        values: Sequence[float],
        baseline: str | None = None,
        against: Sequence[float] | None = None,
    ) -> Self:
        """Sum up runs; `against` has the baseline's value of each run."""
        if against is None:
            return cls(name, median(values), unit, None, None, len(values), _spread(values))
        ratios = [mine / other for mine, other in zip(values, against, strict=True)]
        spread = _spread(ratios)
        return cls(name, median(values), unit, baseline, median(ratios), len(values), spread)

    @classmethod
    def parse(cls, entry: Any) -> Self:
        """Read one entry of the file. Raises `BadRecord`."""
        if not isinstance(entry, dict) or set(entry) != {field.name for field in fields(cls)}:
            raise BadRecord(f"not a result: {entry!r:.60}")
        result = cls(**entry)
        texts = (result.name, result.unit)
        numbers = (result.value, result.runs, result.spread)
        if not all(isinstance(text, str) for text in texts) or not all(map(_finite, numbers)):
            raise BadRecord(f"not a result: {entry!r:.60}")
        if (result.baseline is None) != (result.ratio is None):
            raise BadRecord(f"{result.name}: a ratio needs a baseline, and the other way round")
        if result.ratio is not None and not _finite(result.ratio):
            raise BadRecord(f"{result.name}: the ratio is not a number")
        return result

    @property
    def more_is_better(self) -> bool:
        """Whether it is a rate, rather than a time, a size or a loss."""
        return self.unit.endswith("/s")


def save(path: Path, results: Iterable[Result]) -> None:
    """Write a list of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [asdict(result) for result in results]
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> list[Result]:
    """Read a list of results. Raises `BadRecord`."""
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadRecord(f"{path}: {error}") from error
    if not isinstance(entries, list):
        raise BadRecord(f"{path}: not a list of results")
    return [Result.parse(entry) for entry in entries]


def _spread(values: Sequence[float]) -> float:
    middle = median(values)
    if not middle or len(values) < 2:
        return 0.0
    first, _, third = quantiles(values, n=4, method="inclusive")
    return (third - first) / abs(middle)


def _finite(number: object) -> bool:
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    return math.isfinite(number)
