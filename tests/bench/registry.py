"""How a benchmark is declared: its names, and a function that gives their results."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.bench.record import Result


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to do."""

    quick: bool = False

    @property
    def runs(self) -> int:
        """Runs whose median is taken."""
        return 5 if self.quick else 9

    def of(self, full: int, quick: int) -> int:
        """An amount of work."""
        return quick if self.quick else full


Body = Callable[[Scale], Iterator[Result]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Benchmarks that are measured together, taking turns."""

    names: tuple[str, ...]
    body: Body

    def wanted(self, only: Sequence[str]) -> bool:
        """Whether one of its names is asked for; nothing asked for means everything."""
        return any(matches(name, only) for name in self.names)

    def run(self, scale: Scale) -> Iterator[Result]:
        """Measure; gives a result for each of `names` that this machine can measure."""
        for result in self.body(scale):
            assert result.name in self.names, result.name
            yield result


def benchmark(*names: str) -> Callable[[Body], Benchmark]:
    """Decorator: the function measures these."""
    return lambda body: Benchmark(names, body)


def matches(name: str, only: Sequence[str]) -> bool:
    """Whether a name is asked for, by itself or by the dotted start of it."""
    return not only or any(name == each or name.startswith(each + ".") for each in only)
