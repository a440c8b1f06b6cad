"""Run rows of networks in virtual time, print figure against goal, write build/sim.json."""

import argparse
import asyncio
import json
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rovy.io.virtual import run
from testnet.sim.measure import Measure, Row, Scale, number
from testnet.sim.rows import ROWS

OUT = Path("build/sim.json")
WIDTH = 78


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all goals are met; 1: one is not, or a row failed; 2: cannot be done as asked."""
    options = _options().parse_args(arguments)
    scale = Scale(options.seed, options.small, options.nodes)
    chosen = [row for row in ROWS if _wanted(row, options)]
    if not chosen:
        names = "\n  ".join(f"{row.name:<14} {row.what}" for row in ROWS)
        print(f"sim: no row of that name; there are\n  {names}", file=sys.stderr)
        return 2
    print(f"{'':<54} {'figure':>14} {'goal':>14}\n{'-' * (WIDTH + 8)}")
    results = [_run(row, scale) for row in chosen]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1) + "\n")
    bad = [result["row"] for result in results if not result["met"]]
    print(f"\nwritten to {options.json}; " + (f"not met: {', '.join(bad)}" if bad else "all met"))
    return 1 if bad else 0


def _run(row: Row, scale: Scale) -> dict[str, Any]:
    """Run one, print what came of it, and how to do it again where that is not enough."""
    began, error = time.process_time(), ""
    measures: list[Measure] = []
    try:
        measures, virtual = run(_timed(row, scale))
    except Exception as failure:
        traceback.print_exc()
        error, virtual = repr(failure), 0.0
        print(f"{row.name}: FAILED, {error}")
    seconds = time.process_time() - began
    for measure in measures:
        print(_line(measure), flush=True)
    met = not error and all(measure.met for measure in measures)
    note = "" if met else f"; seed {scale.seed}, repeat with: {_command(row, scale)}"
    print(
        f"  {row.name}: {seconds:.1f} s of CPU for {virtual:.0f} virtual ones{note}\n", flush=True
    )
    return {
        "row": row.name,
        "what": row.what,
        "seed": scale.seed,
        "small": scale.small,
        "cpu_seconds": round(seconds, 2),
        "virtual_seconds": round(virtual, 2),
        "met": met,
        "error": error,
        "repeat": _command(row, scale),
        "measures": [measure.as_json() for measure in measures],
    }


async def _timed(row: Row, scale: Scale) -> tuple[list[Measure], float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    return await row.run(scale), loop.time() - began


def _line(measure: Measure) -> str:
    figure = f"{number(measure.value)} {measure.unit}"
    sign = "≤" if measure.at_most else "≥"
    goal = f"{sign} {number(measure.bound)} {measure.unit}" if measure.bound is not None else ""
    text = f"{measure.name:<54} {figure:>14} {goal:>14}  {measure.verdict}".rstrip()
    return f"{text}\n    {measure.detail}" if measure.detail else text


def _command(row: Row, scale: Scale) -> str:
    parts = ["python -m testnet.sim --rows", row.name, f"--seed {scale.seed}"]
    parts += ["--small"] if scale.small else []
    parts += [f"--nodes {scale.nodes}"] if scale.nodes else []
    return " ".join(parts)


def _wanted(row: Row, options: argparse.Namespace) -> bool:
    if options.rows:
        return any(row.name == name or row.name.startswith(f"{name}.") for name in options.rows)
    return row.small or not options.small


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m testnet.sim",
        description="Networks of production nodes in virtual time, held against the goals.",
    )
    add = parser.add_argument
    add("--rows", nargs="+", metavar="NAME", help="only these; a name stands for name.* too")
    add("--seed", type=int, default=1)
    add("--small", action="store_true", help="the cut of a few minutes")
    add("--nodes", type=int, default=0, help="another size, where a row lets it be chosen")
    add("--json", type=Path, default=OUT, metavar="FILE", help=f"where results go ({OUT})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
