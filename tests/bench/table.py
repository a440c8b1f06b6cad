"""Results as text, 80 columns wide."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.compare import MARKED, Change, changes, only_in_one
from tests.bench.record import Result

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Goal:
    """A number to reach; `ratio`: it is the ratio that counts."""

    name: str
    bound: float
    ratio: bool = False

    def row(self, result: Result) -> str:
        """The goal, what was measured, and whether that is enough."""
        value = result.ratio if self.ratio else result.value
        if value is None:
            return f"{self.name:<30} has no ratio"
        reached = value >= self.bound if result.more_is_better else value <= self.bound
        sign = "≥" if result.more_is_better else "≤"
        unit = "of baseline" if self.ratio else result.unit
        bound, got = number(self.bound), number(value)
        return f"{self.name:<30} {sign} {bound:>8} {got:>9} {unit:<11} {_said(reached)}"


GOALS = (
    Goal("switch", 37.0),
    Goal("forwarder.pure.1400B", 1.0),
    Goal("handshake", 500.0),
    Goal("flood.goodput", 0.5, ratio=True),
    Goal("flood.ping_loss", 1.0),
    Goal("tun_tcp.1hop.pure", 0.3),
    Goal("tun_tcp.abc.pure", 0.3),
    Goal("ping.1hop.pure", 350.0),
    Goal("daemon.rest.uss", 60.0),
    Goal("daemon.rest.cpu", 0.5),
    Goal("daemon.rest.traffic", 1000.0),
    Goal("daemon.rest.first_peer", 1.0),
    Goal("daemon.rest.info", 0.25),
)


def heading() -> str:
    """Names of the columns."""
    names = f"{'benchmark':<30} {'value':>10} {'unit':<9} {'ratio':>6} {'to':<16} {'±':>4}"
    return f"{names}\n{'-' * WIDTH}"


def row(result: Result) -> str:
    """One result."""
    ratio = number(result.ratio) if result.ratio is not None else ""
    baseline = (result.baseline or "")[:16]
    return (
        f"{result.name:<30} {number(result.value):>10} {result.unit:<9} "
        f"{ratio:>6} {baseline:<16} {round(100 * result.spread):>3}%"
    )


def goal_rows(results: Sequence[Result]) -> Iterator[str]:
    """The goals of the benchmarks that ran."""
    named = {result.name: result for result in results}
    met = [goal.row(named[goal.name]) for goal in GOALS if goal.name in named]
    if met:
        yield f"{'goal':<30} {'':>10} {'measured':>9}"
        yield from met


def comparison(before: Sequence[Result], now: Sequence[Result]) -> Iterator[str]:
    """Both runs side by side."""
    yield f"{'benchmark':<30} {'by':<9} {'before':>10} {'now':>10} {'change':>8}"
    yield "-" * WIDTH
    for change in changes(before, now):
        yield _change_row(change)
    for name in only_in_one(before, now):
        yield f"{name:<30} in one of the runs only"
    yield f"marked: changes above {MARKED:.0%}"


def number(value: float) -> str:
    """Three digits, or whole with separators from a thousand on."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 or not size else f"{value:.2g}"


def _change_row(change: Change) -> str:
    before, now = number(change.before), number(change.now)
    plain = f"{change.name:<30} {change.by:<9} {before:>10} {now:>10} {change.share:>+8.0%}"
    return f"{plain} {change.mark}".rstrip()


def _said(reached: bool) -> str:
    return "reached" if reached else "NOT REACHED"
