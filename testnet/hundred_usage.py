"""What daemons take of the machine: memory, processor, and the traffic of their hosts."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from testnet.daemons import Daemon

TICKS = os.sysconf("SC_CLK_TCK")
OWN = ("lo", "rovy0")
"""Interfaces whose traffic does not leave the host."""
RECEIVED, SENT = 0, 8
"""Columns of /proc/net/dev."""


@dataclass(frozen=True, slots=True)
class Memory:
    """MB of one process."""

    unique: float
    """Its alone: what would be free if it ended."""
    resident: float

    @classmethod
    def of(cls, daemon: Daemon) -> Self:
        """Of a daemon that runs."""
        lines = (_proc(daemon) / "smaps_rollup").read_text().splitlines()[1:]
        kilobytes = {name: int(rest.split()[0]) for name, rest in (s.split(":") for s in lines)}
        own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
        return cls(own / 1024, kilobytes["Rss"] / 1024)


@dataclass(frozen=True, slots=True)
class Load:
    """Of one daemon over a while."""

    processor: float
    """Percent of a core."""
    traffic: float
    """Bytes a second that passed the links of its host both ways, Ethernet headers included."""


class Meter:
    """Measures some daemons from when it is made."""

    def __init__(self, daemons: Sequence[Daemon]) -> None:
        self._daemons = daemons
        self._before = self._readings()
        self._began = time.monotonic()

    def loads(self) -> list[Load]:
        """Means since then."""
        seconds = time.monotonic() - self._began
        pairs = zip(self._before, self._readings(), strict=True)
        return [
            Load(100 * (now[0] - then[0]) / seconds, (now[1] - then[1]) / seconds)
            for then, now in pairs
        ]

    def _readings(self) -> list[tuple[float, int]]:
        return [(_seconds(daemon), _bytes(daemon)) for daemon in self._daemons]


def _proc(daemon: Daemon) -> Path:
    assert daemon.process is not None
    return Path(f"/proc/{daemon.process.pid}")


def _seconds(daemon: Daemon) -> float:
    """Of processor time, user and system."""
    fields = (_proc(daemon) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _bytes(daemon: Daemon) -> int:
    """That passed the links of its host."""
    lines = (_proc(daemon) / "net/dev").read_text().splitlines()[2:]
    rows = ((name.strip(), rest.split()) for name, _, rest in (s.partition(":") for s in lines))
    return sum(int(row[RECEIVED]) + int(row[SENT]) for name, row in rows if name not in OWN)
