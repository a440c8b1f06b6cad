"""`make soak`: five daemons in a ring, under constant change, for half an hour.

Runs inside `testnet/isolated`. One thing at a time happens: a daemon is killed and started again,
a link goes down and comes back, an address changes and changes back. Meanwhile neighbours ping
each other, and nodes two hops apart ping along route labels. The report goes to the terminal and
to build/soak.json; the exit status is 0 if every promise of `LIMITS` was kept.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testnet.daemons import Daemon
from testnet.netns import Lab, LabError, Link, wait_until

SIZE = 5
REPORT = Path("build/soak.json")
LIMITS = {
    "recovery, seconds": 60.0,
    "pings answered while nothing happens, share": 0.99,
    "growth of a daemon's memory, MB": 16.0,
}
BAD_WORDS = ("Traceback", "ERROR", "CRITICAL")
SETTLE = 10.0
"""Seconds until a daemon's memory is first measured: by then all modules are loaded."""


@dataclass(slots=True)
class Report:
    """What the soak found."""

    seed: int
    seconds: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)
    pings: Counter[str] = field(default_factory=Counter)
    """Sent and answered, while nothing happened and while something did."""
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    """Seconds until the neighbours of what was disturbed were reached again, by what it was."""
    memory: dict[str, list[float]] = field(default_factory=dict)
    """MB of each daemon, at the start of its last life and at the end."""
    problems: list[str] = field(default_factory=list)

    def answered(self, when: str) -> float:
        """Share of the pings that were answered."""
        sent = self.pings[f"{when} sent"]
        return self.pings[f"{when} answered"] / sent if sent else 1.0

    def as_json(self) -> dict[str, Any]:
        """For build/soak.json."""
        return {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "happened": dict(self.happened),
            "pings": dict(self.pings),
            "recoveries": {
                what: {"count": len(times), "median": _median(times), "worst": max(times)}
                for what, times in self.recoveries.items()
            },
            "memory_mb": self.memory,
            "limits": LIMITS,
            "problems": self.problems,
        }

    def show(self) -> None:
        """Print the table."""
        rows = [("ran", f"{self.seconds:.0f} s, seed {self.seed}")]
        rows += [(what, str(count)) for what, count in sorted(self.happened.items())]
        for when in ("calm", "disturbed"):
            sent, answered = (self.pings[f"{when} {what}"] for what in ("sent", "answered"))
            rows.append((f"pings, {when}", f"{answered} of {sent} answered"))
        for what, times in sorted(self.recoveries.items()):
            text = f"median {_median(times):.2f} s, worst {max(times):.2f} s"
            rows.append((f"recovery, {what}", text))
        for name, (start, end) in sorted(self.memory.items()):
            rows.append((f"memory of {name}", f"{start:.1f} MB, at the end {end:.1f} MB"))
        print(f"\n{'what':<28} result\n{'-' * 28} {'-' * 46}")
        for left, right in rows:
            print(f"{left:<28} {right}")
        for problem in self.problems:
            print(f"PROBLEM: {problem}")
        print("soak failed" if self.problems else "soak ok", flush=True)


class Soak:
    """The ring, and what happens to it."""

    def __init__(self, lab: Lab, directory: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.report = Report(seed)
        hosts = [lab.host(name) for name in "abcde"[:SIZE]]
        self.links: list[Link] = [
            lab.link(hosts[i], hosts[(i + 1) % SIZE], net=f"10.0.{i}.0/24") for i in range(SIZE)
        ]
        self.daemons = [Daemon(host, directory / host.name) for host in hosts]
        self.ids: list[str] = []
        self.slots: list[dict[str, int]] = []
        self.started = [0.0] * SIZE
        self.first: list[float | None] = [None] * SIZE
        self.seen = [0] * SIZE
        """How much of each log was read."""

    def start(self) -> None:
        """Start the daemons, each with both neighbours as peers."""
        for number, daemon in enumerate(self.daemons):
            daemon.start()
            self.started[number] = time.monotonic()
        self.ids = [daemon.peer_id for daemon in self.daemons]
        for i, daemon in enumerate(self.daemons):
            after, before = (i + 1) % SIZE, (i - 1) % SIZE
            for other, address in ((after, f"10.0.{i}.2"), (before, f"10.0.{before}.1")):
                daemon.run("peer", "add", f"/ip4/{address}/udp/1312/rovy/{self.ids[other]}")
        wait_until(lambda: all(len(daemon.slots()) == 2 for daemon in self.daemons), timeout=30.0)
        self.slots = [daemon.slots() for daemon in self.daemons]

    def run(self, seconds: float) -> None:
        """Disturb and ping until the time is over, then look once more."""
        began = shown = time.monotonic()
        while time.monotonic() < began + seconds:
            self._calm(self.random.uniform(2.0, 5.0))
            self.random.choice((self._kill, self._cut, self._move))()
            if time.monotonic() - shown >= 15.0:
                shown = time.monotonic()
                done = sum(self.report.happened.values())
                text = f"{shown - began:.0f} s, {done} disturbances"
                print(f"soak: {text}, {len(self.report.problems)} problems", flush=True)
            if len(self.report.problems) > 20:
                break
        self._calm(5.0)
        self.report.seconds = time.monotonic() - began

    def finish(self) -> None:
        """Measure memory, stop all politely, read the logs."""
        for number, daemon in enumerate(self.daemons):
            self._measure(number, settled=True)
            start, end = self.first[number] or 0.0, _memory(daemon)
            self.report.memory[daemon.name] = [start, end]
            if end - start > LIMITS["growth of a daemon's memory, MB"]:
                self._problem(f"{daemon.name} grew from {start:.1f} to {end:.1f} MB")
        if self.report.answered("calm") < LIMITS["pings answered while nothing happens, share"]:
            self._problem(f"only {self.report.answered('calm'):.1%} of calm pings were answered")
        for daemon in self.daemons:
            daemon.run("stop")
            if daemon.process and daemon.process.wait(10) != 0:
                self._problem(f"{daemon.name} did not end with status 0")
        self._read_logs()

    # What happens

    def _kill(self) -> None:
        """A daemon dies without a word and is started again."""
        i = self._any()
        self.daemons[i].kill()
        self.first[i] = None
        self._meanwhile(self.random.uniform(0.5, 4.0), {i})
        try:
            self.daemons[i].start()
        except LabError as error:
            last = "\n".join(self.daemons[i].log().splitlines()[-20:])
            raise SystemExit(
                f"soak: {self.daemons[i].name} did not start: {error}\n{last}"
            ) from error
        self.started[i] = time.monotonic()
        self._recover("killed", [(i, (i + 1) % SIZE), ((i - 1) % SIZE, i)])

    def _cut(self) -> None:
        """A link is cut and mended."""
        i = self._any()
        self.links[i].down()
        self._meanwhile(self.random.uniform(0.5, 10.0), {i, (i + 1) % SIZE})
        self.links[i].up()
        self._recover("link cut", [(i, (i + 1) % SIZE)])

    def _move(self) -> None:
        """A node's address on one link changes, and changes back."""
        i = self._any()
        end = self.random.randrange(2)
        host, interface = self.links[i].ends[end]
        home, away = f"10.0.{i}.{end + 1}/24", f"10.0.{i}.{self.random.randrange(20, 250)}/24"
        for old, new in ((home, away), (away, home)):
            host.del_address(interface, old)
            host.add_address(interface, new)
            self._recover("address changed", [(i, (i + 1) % SIZE)])
            self._meanwhile(self.random.uniform(0.5, 4.0), set())

    # Watching

    def _calm(self, seconds: float) -> None:
        """Nothing happens: all pings have to be answered."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._ping("calm", set())
        for number in range(SIZE):
            self._measure(number)
        self._read_logs()

    def _meanwhile(self, seconds: float, without: set[int]) -> None:
        """Something is broken: the others ping on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._ping("disturbed", without)

    def _recover(self, what: str, pairs: list[tuple[int, int]]) -> None:
        """Wait until neighbours reach each other again, and labels lead over them."""
        began = time.monotonic()
        self.report.happened[what] += 1
        limit = LIMITS["recovery, seconds"]
        for a, b in pairs:
            try:
                wait_until(self._reaching(a, self.ids[b]), timeout=limit, interval=0.05)
            except LabError:
                self._problem(f"{what}: {self._names(a, b)} not connected after {limit:g} s")
        for start in sorted({(a - back) % SIZE for a, _ in pairs for back in (0, 1)}):
            try:
                wait_until(self._reaching(*self._routed(start)), timeout=limit, interval=0.05)
            except LabError:
                self._problem(f"{what}: the label {self._routed(start)[1]} leads nowhere now")
        self.report.recoveries.setdefault(what, []).append(round(time.monotonic() - began, 2))

    def _ping(self, when: str, without: set[int]) -> None:
        """One ping between neighbours or along a label of two hops."""
        i = self._any()
        if self.random.random() < 0.5:
            used, target = {i, (i + 1) % SIZE}, self.ids[(i + 1) % SIZE]
        else:
            used, target = {(i + n) % SIZE for n in range(3)}, self._routed(i)[1]
        if used & without:
            return
        answered = self._reaching(i, target, 2.0)()
        self.report.pings[f"{when} sent"] += 1
        self.report.pings[f"{when} answered"] += answered

    def _routed(self, i: int) -> tuple[int, str]:
        """(node, label over its next neighbour to the one after): slots outlive restarts."""
        middle = (i + 1) % SIZE
        slots = self.slots[i][self.ids[middle]], self.slots[middle][self.ids[(i + 2) % SIZE]]
        return i, "/rovyrt/" + "-".join(f"{slot:02x}" for slot in slots)

    def _reaching(self, a: int, target: str, wait: float = 0.5) -> Callable[[], bool]:
        def ping() -> bool:
            arguments = ("ping", "-c", "1", "-W", str(wait), target)
            return self.daemons[a].run(*arguments, check=False).returncode == 0

        return ping

    def _measure(self, number: int, settled: bool = False) -> None:
        """Note the memory of a daemon that has run for a while, once a life."""
        old = time.monotonic() - self.started[number] >= SETTLE
        if self.first[number] is None and (old or settled):
            self.first[number] = _memory(self.daemons[number])

    def _read_logs(self) -> None:
        for number, daemon in enumerate(self.daemons):
            lines = daemon.log().splitlines()
            for line in lines[self.seen[number] :]:
                if any(word in line for word in BAD_WORDS):
                    self._problem(f"{daemon.name} logged: {line}")
            self.seen[number] = len(lines)

    def _problem(self, text: str) -> None:
        self.report.problems.append(text)
        print(f"soak: {text}", flush=True)

    def _names(self, *numbers: int) -> str:
        return " and ".join(self.daemons[number].name for number in numbers)

    def _any(self) -> int:
        return self.random.randrange(SIZE)


def _memory(daemon: Daemon) -> float:
    """Resident memory of a daemon, MB."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def main() -> int:
    """Run it and report."""
    parser = argparse.ArgumentParser(prog="python -m testnet.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rovy-soak-") as directory, Lab() as lab:
        soak = Soak(lab, Path(directory), options.seed)
        soak.start()
        soak.run(60 * options.minutes)
        soak.finish()
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(json.dumps(soak.report.as_json(), indent=1) + "\n")
        soak.report.show()
    return 1 if soak.report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
