"""Run benchmarks, print their table, write build/bench.json."""

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.record import BadRecord, Result, load, save
from tests.bench.registry import Benchmark, Scale, matches
from tests.bench.suite import SUITE
from tests.bench.table import comparison, goal_rows, heading, row

OUT = Path("build/bench.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all was measured; 1: some failed; 2: cannot be done as asked."""
    options = _options().parse_args(arguments)
    wanted = [bench for bench in SUITE if bench.wanted(options.only)]
    try:
        former = load(options.compare) if options.compare else None
    except BadRecord as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if not wanted:
        names = "\n  ".join(name for bench in SUITE for name in bench.names)
        print(f"bench: nothing by that name; there are\n  {names}", file=sys.stderr)
        return 2
    started, failed = time.monotonic(), 0
    results: list[Result] = []
    print(heading())
    for bench in wanted:
        failed += not _measure(bench, Scale(options.quick), options.only, results)
    for line in _after(results, former):
        print(line)
    save(options.out, results)
    print(f"\n{time.monotonic() - started:.0f} s; written to {options.out}")
    return 1 if failed else 0


def _measure(bench: Benchmark, scale: Scale, only: Sequence[str], results: list[Result]) -> bool:
    """Print and keep what one gives; False where it failed."""
    _progress(f"... {bench.names[0]}")
    try:
        for result in bench.run(scale):
            if matches(result.name, only):
                results.append(result)
                _progress("")
                print(row(result), flush=True)
    except Exception:
        _progress("")
        print(f"{bench.names[0]:<30} FAILED", flush=True)
        traceback.print_exc()
        return False
    _progress("")
    return True


def _progress(text: str) -> None:
    """What is under way, on a terminal only: the next line overwrites it."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{text}", end="", flush=True)


def _after(results: Sequence[Result], former: Sequence[Result] | None) -> Iterator[str]:
    goals = list(goal_rows(results))
    yield from ["", *goals] if goals else []
    if former is not None:
        yield ""
        yield from comparison(former, results)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure. A name stands for all that begin with it and a dot.",
    )
    parser.add_argument("--compare", type=Path, metavar="FILE", help="results of another run")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--quick", action="store_true", help="less work, more noise")
    parser.add_argument("--out", type=Path, default=OUT, help=f"where to write ({OUT})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
