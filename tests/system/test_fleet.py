"""Thirty daemons at once: how soon everybody reaches everybody, and what they cost at rest.

The figures go to build/convergence.json. The goal is 5 s for 99 % of the pairs; what is asserted
leaves room for a machine of two cores that has other things to do.
"""

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testnet import topology
from testnet.fleet import Fleet
from testnet.netns import Lab
from testnet.pings import first_answers
from testnet.topology import Topology

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(180)]

SIZE = 30
PAIRS = 200
PATIENCE = 60.0
"""Seconds from when the last daemon was up until all pairs have answered."""
GOAL, GOAL_SHARE = 5.0, 0.99
SETTLE, REST = 16.0, 4.0
"""Seconds until nothing that was used is in use any more, and over which the rest is measured."""
RESTING = "tree"
"""The shape that is measured so."""
REPORT = Path(__file__).parents[2] / "build" / "convergence.json"
TICKS = os.sysconf("SC_CLK_TCK")

SHAPES: dict[str, Callable[[Lab], Topology]] = {
    "line": lambda lab: topology.line(lab, SIZE),
    "tree": lambda lab: topology.tree(lab, SIZE),
    "grid": lambda lab: topology.grid(lab, 6, SIZE // 6),
}


@pytest.fixture(scope="module")
def report():
    """Figures by shape; written in the end."""
    figures: dict[str, Any] = {"size": SIZE, "pairs": PAIRS, "goal_seconds": GOAL}
    yield figures
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")


@pytest.mark.parametrize("shape", SHAPES)
def test_all_pairs_are_reached_soon_after_the_last_start(tun, lab, report, shape):
    fleet = Fleet(SHAPES[shape](lab), lab.log_directory)
    began = time.monotonic()
    fleet.spawn()
    fleet.wait_ready()
    ready = time.monotonic() - began
    times = first_answers(some_pairs(fleet, shape), timeout=PATIENCE)
    answered = sorted(t for t in times if t is not None)
    figures = {
        "seconds until all daemons were up": round(ready, 1),
        "pairs answered": len(answered),
        "seconds for 50 % of the pairs": at_share(answered, 0.5),
        "seconds for 99 % of the pairs": at_share(answered, GOAL_SHARE),
        "seconds for all pairs": at_share(answered, 1.0),
        "share within the goal": sum(t <= GOAL for t in answered) / PAIRS,
    }
    if shape == RESTING:
        time.sleep(SETTLE)
        figures |= at_rest(fleet)
    for daemon in fleet.daemons:
        daemon.kill()  # thirty farewells take longer
    report[shape] = figures
    print(f"\n{shape} of {SIZE}:")
    for what, value in figures.items():
        print(f"  {what:<40} {value}")
    assert len(answered) == PAIRS
    assert fleet.complaints() == []


def some_pairs(fleet, seed):
    choice = random.Random(seed)
    pairs = (choice.sample(fleet.daemons, 2) for _ in range(PAIRS))
    return [(source.host, target.ip6) for source, target in pairs]


def at_share(times, share):
    """When that share of all pairs had answered; None where it never had."""
    needed = round(PAIRS * share)
    return round(times[needed - 1], 2) if len(times) >= needed else None


def at_rest(fleet):
    """Memory in MB and processor time in percent of a core, of each daemon: mean and most."""
    pids = [daemon.process.pid for daemon in fleet.daemons]
    before = [seconds_used(pid) for pid in pids]
    time.sleep(REST)
    used = [100 * (seconds_used(pid) - was) / REST for pid, was in zip(pids, before, strict=True)]
    memory = [memory_of(pid) for pid in pids]
    columns = {f"MB {kind}": [each[kind] for each in memory] for kind in ("RSS", "PSS", "USS")}
    columns["percent of a core"] = used
    return {
        f"{what}, {name}": round(function(values), 2)
        for what, values in columns.items()
        for name, function in (("mean", lambda v: sum(v) / len(v)), ("most", max))
    }


def seconds_used(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_of(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
    own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"RSS": kilobytes["Rss"] / 1024, "PSS": kilobytes["Pss"] / 1024, "USS": own / 1024}
