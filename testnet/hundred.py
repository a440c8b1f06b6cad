"""`make hundred`: a hundred daemons that know sixteen nodes each, and whether all find all.

The links are those of a young public network (`topology.clustered`), without delay or loss. Each
daemon is told its neighbours' addresses and `map_size = 16`, so whoever is farther away is found
by anchors and the DHT. They run without interfaces: a daemon takes the same memory with one, but a
hundred tables of nftables take the kernel's time, and the API asks as well as a program.

Runs inside `testnet/isolated`. The report goes to the terminal and to build/hundred.json; the exit
status is 0 if every pair was found before and after a tenth of the nodes were killed, and no log
tells of a mistake. What runs and what is written lies in namespaces of its own, so that nothing is
left however it ends.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from types import FrameType
from typing import Any

from testnet import topology
from testnet.daemons import Daemon
from testnet.fleet import Fleet
from testnet.hundred_asking import Asked, Pair, ask_once, ask_until_answered, resolve
from testnet.hundred_usage import Memory, Meter
from testnet.netns import Lab, LabError, stop

REPORT = Path("build/hundred.json")
STATE = Path("/run")
"""In memory, and private to the namespaces."""
SHARE = 0.1
"""Of the daemons is killed."""
TRIES = 1000
"""Choices of whom to kill, until one leaves the others joined."""
STOP = 60.0
"""Seconds for all to end politely."""
Figures = dict[str, float | int]


@dataclass(frozen=True, slots=True)
class Options:
    """What may be chosen."""

    nodes: int = 100
    map_size: int = 16
    seed: int = 1
    at_once: int = 16
    """Daemons that start, or ask, at a time."""
    settle: float = 60.0
    """Seconds from when all have joined until rest is measured."""
    rest: float = 60.0
    """Seconds over which it is."""
    samples: int = 2
    """Nodes that each daemon looks up step by step."""
    patience: float = 300.0
    """Seconds until all pairs have to have answered."""


@dataclass(slots=True)
class Report:
    """What came of it, part by part."""

    options: Options
    parts: dict[str, Figures] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, part: str, figures: Figures) -> None:
        """Print and keep the figures of a part."""
        rounded = {name: round(value, 3) for name, value in figures.items()}
        self.parts[part] = rounded
        print(f"== {part}")
        for name, value in rounded.items():
            print(f"  {name:<46} {value:>10g}", flush=True)

    def problem(self, text: str) -> None:
        """Something is not as it should be."""
        self.problems.append(text)
        print(f"PROBLEM: {text}", flush=True)

    def as_json(self) -> dict[str, Any]:
        """For build/hundred.json."""
        options = {name: getattr(self.options, name) for name in Options.__slots__}
        return {"options": options, **self.parts, "problems": self.problems}


class Hundred:
    """The fleet, and the steps."""

    def __init__(self, lab: Lab, directory: Path, options: Options) -> None:
        self._options, self._random = options, random.Random(options.seed)
        self.report = Report(options)
        began = time.monotonic()
        net = topology.clustered(lab, options.nodes, options.seed)
        took = time.monotonic() - began
        config = f'interface = false\nmap_size = {options.map_size}\nlog_level = "info"\n'
        self.fleet = Fleet(net, directory, config)
        self.alive = list(range(options.nodes))
        degrees = [len(endpoints) for endpoints in net.endpoints]
        figures = {
            "nodes": len(degrees),
            "links": len(net.links),
            "most links of one": max(degrees),
        }
        self.report.add("network", {**figures, "seconds to make it": took})

    def start(self) -> None:
        """Start all, a few at a time, and wait until they have found each other."""
        began = time.monotonic()
        took = self.fleet.start_in_turn(self._options.at_once)
        up = time.monotonic()
        self.fleet.wait_linked(self._options.patience)
        linked = time.monotonic()
        self.fleet.wait_joined(self._options.patience)
        joined = time.monotonic()
        figures: Figures = {
            "seconds until all answer": up - began,
            "seconds from then until all peers are up": linked - up,
            "seconds from then until all have joined": joined - linked,
        }
        self.report.add("start", {**figures, **_spread("seconds of one daemon", took)})

    def rest(self, part: str = "at rest") -> None:
        """Nothing is asked of them."""
        time.sleep(self._options.settle)
        meter = Meter(self._living())
        time.sleep(self._options.rest)
        self.report.add(part, self._usage(meter))

    def look_up(self) -> None:
        """Some pairs, by the DHT alone and step by step."""
        pairs = [
            (source, target)
            for source in self.alive
            for target in self._random.sample(self.alive, self._options.samples + 1)
            if target != source
        ]
        meter, began = Meter(self._living()), time.monotonic()
        asked = ask_once(self.fleet.daemons, pairs, resolve, self._options.at_once, began)
        found = [a for a in asked if not a.failure]
        figures: Figures = {"pairs": len(asked), "found": len(found)}
        figures |= {"seconds for all": time.monotonic() - began}
        figures |= _spread("seconds of one", [a.took for a in found])
        figures |= _spread("steps", [float(a.steps) for a in found])
        self.report.add("resolve --dht", {**figures, **_processor(meter)})
        self._tell_failed("was not resolved", [a for a in asked if a.failure])

    def ask_all(self, part: str) -> None:
        """Every pair, both ways, until each has answered."""
        pairs = list[Pair](permutations(self.alive, 2))
        self._random.shuffle(pairs)
        meter = Meter(self._living())
        found = ask_until_answered(
            self.fleet.daemons, pairs, self._options.at_once, self._options.patience
        )
        figures: Figures = {
            "pairs": len(pairs),
            "answered when asked first": len(found.answered),
            "answered in the end": len(pairs) - len(found.left),
            "rounds": found.count,
            "seconds until the last answer": found.last,
        }
        figures |= _spread("seconds of a first answer", [a.took for a in found.answered])
        self.report.add(part, {**figures, **self._usage(meter)})
        self._tell_failed(f"{part}: did not answer", found.left)

    def kill(self) -> None:
        """A tenth, with SIGKILL, so chosen that links still join the others."""
        count = max(1, round(SHARE * len(self.alive)))
        choices = (self._random.sample(self.alive, count) for _ in range(TRIES))
        gone = next((c for c in choices if self.fleet.net.holds_without(c)), None)
        if gone is None:
            raise LabError(f"no {count} nodes can be spared")
        for number in gone:
            self.fleet[number].kill()
        self.alive = [number for number in self.alive if number not in gone]
        print(f"== killed: {', '.join(self.fleet[number].name for number in gone)}")

    def finish(self) -> None:
        """Stop all politely, and read the logs."""
        processes = [d.process for d in self._living() if d.process]
        died = [d.name for d in self._living() if d.process and d.process.poll() is not None]
        began = time.monotonic()
        stop(processes, STOP)
        self.report.add("stop", {"seconds until all have ended": time.monotonic() - began})
        wrong = [d.name for d in self._living() if d.process and d.process.returncode != 0]
        for name in sorted({*died, *wrong}):
            self.report.problem(f"{name} did not end with status 0, or before it was told")
        for line in self.fleet.complaints():
            self.report.problem(f"in a log: {line}")

    # Inside

    def _living(self) -> list[Daemon]:
        return [self.fleet[number] for number in self.alive]

    def _usage(self, meter: Meter) -> Figures:
        memory = [Memory.of(daemon) for daemon in self._living()]
        traffic = [load.traffic for load in meter.loads()]
        return {
            **_processor(meter),
            "bytes a second of a daemon, mean": _mean(traffic),
            "bytes a second of a daemon, most": max(traffic),
            "MB unique, mean": _mean([m.unique for m in memory]),
            "MB unique, most": max(m.unique for m in memory),
            "MB unique, all": sum(m.unique for m in memory),
            "MB resident, mean": _mean([m.resident for m in memory]),
        }

    def _tell_failed(self, what: str, asked: Sequence[Asked]) -> None:
        for a in asked[:10]:
            source, target = (self.fleet[number].name for number in a.pair)
            self.report.problem(f"{target} {what}, asked by {source}: {a.failure}")
        if len(asked) > 10:
            self.report.problem(f"and {len(asked) - 10} more")


def run(hundred: Hundred) -> None:
    """All steps."""
    steps: list[Callable[[], None]] = [
        hundred.start,
        hundred.rest,
        hundred.look_up,
        lambda: hundred.ask_all("all pairs, first"),
        lambda: hundred.ask_all("all pairs, again"),
        hundred.kill,
        lambda: hundred.ask_all("all pairs left, after the kill"),
        hundred.finish,
    ]
    for step in steps:
        step()


def _processor(meter: Meter) -> Figures:
    shares = [load.processor for load in meter.loads()]
    return {
        "percent of a core of a daemon, mean": _mean(shares),
        "percent of a core of a daemon, most": max(shares),
    }


def _spread(what: str, values: Sequence[float]) -> Figures:
    """Median, 95th percentile and most."""
    if not values:
        return {}
    ranked = sorted(values)
    at = {"median": 0.5, "p95": 0.95, "most": 1.0}
    return {
        f"{what}, {name}": ranked[min(len(ranked) - 1, int(share * len(ranked)))]
        for name, share in at.items()
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _leave(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends it in order, too."""
    sys.exit(128 + number)


def _options() -> tuple[Options, Path]:
    parser = argparse.ArgumentParser(prog="python -m testnet.hundred", description=__doc__)
    for name in Options.__slots__:
        default = Options.__dataclass_fields__[name].default
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(default), default=default)
    parser.add_argument("--json", type=Path, default=REPORT)
    chosen = vars(parser.parse_args())
    return Options(**{name: chosen[name] for name in Options.__slots__}), chosen["json"]


def main() -> int:
    """Run it and report."""
    options, path = _options()
    signal.signal(signal.SIGTERM, _leave)
    with tempfile.TemporaryDirectory(prefix="h-", dir=STATE) as directory, Lab() as lab:
        try:
            hundred = Hundred(lab, Path(directory), options)
            run(hundred)
        except LabError as error:
            raise SystemExit(f"hundred: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(hundred.report.as_json(), indent=1) + "\n")
    problems = hundred.report.problems
    print(f"\nwritten to {path}; " + (f"{len(problems)} problems" if problems else "hundred ok"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
