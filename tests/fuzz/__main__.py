"""`python -m tests.fuzz`: rounds of every target in turn, with what they have done so far."""

import argparse
import sys
import time
import traceback

from tests.fuzz.run import TARGETS, Failed, command, one_round, schedule

PROGRESS = 5.0


def main() -> int:
    options = _options()
    targets = options.target or list(TARGETS)
    print(f"fuzz: seed {options.seed}, targets {', '.join(targets)}", flush=True)
    if options.round is not None:
        return _rounds(options, [(target, options.round) for target in targets])
    return _rounds(options, schedule(targets))


def _rounds(options: argparse.Namespace, rounds) -> int:
    began = shown = time.monotonic()
    until = began + 60 * options.minutes if options.minutes else float("inf")
    inputs = 0 if options.minutes or options.round is not None else options.inputs
    fed: dict[str, int] = {}
    spent: dict[str, float] = {}
    grown: dict[str, int] = {}
    failed: dict[str, str] = {}
    for target, number in rounds:
        if target in failed:
            continue
        start = time.monotonic()
        try:
            result = one_round(options.seed, target, number)
        except Failed as failure:
            failed[target] = command(options.seed, target, number)
            traceback.print_exception(failure.__cause__, limit=-8, file=sys.stderr)
            print(f"fuzz: {target} FAILED in round {number}; repeat it with", file=sys.stderr)
            print(f"  {failed[target]}", file=sys.stderr, flush=True)
            if len(failed) == len(options.target or TARGETS):
                break
            continue
        now = time.monotonic()
        fed[target] = fed.get(target, 0) + result.inputs
        spent[target] = spent.get(target, 0.0) + now - start
        grown[target] = max(grown.get(target, 0), result.grown)
        if now - shown >= PROGRESS:
            shown = now
            _progress(sum(fed.values()), now - began, failed)
        if now >= until or 0 < inputs <= sum(fed.values()):
            break
    _report(fed, spent, grown, failed)
    return 1 if failed else 0


def _progress(inputs: int, seconds: float, failed: dict[str, str]) -> None:
    text = f"fuzz: {inputs:,} inputs in {seconds:.0f} s, {inputs / seconds:,.0f}/s"
    print(f"{text}, {len(failed)} failures", flush=True)


def _report(fed, spent, grown, failed) -> None:
    print(f"\n{'target':<12} {'inputs':>12} {'inputs/s':>10} {'most growth':>14}  result")
    for target, inputs in fed.items():
        rate = inputs / spent[target] if spent[target] else 0
        growth = f"{grown[target] / 1e6:.2f} MB"
        result = "FAILED" if target in failed else "ok"
        print(f"{target:<12} {inputs:>12,} {rate:>10,.0f} {growth:>14}  {result}")
    print(f"{'all':<12} {sum(fed.values()):>12,}")
    for target, again in failed.items():
        print(f"{target} failed: {again}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="stop after so many")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so long instead")
    parser.add_argument("--seed", default="1", help="any text; the same one gives the same run")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this; repeatable")
    parser.add_argument("--round", type=int, help="only the round of this number")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
