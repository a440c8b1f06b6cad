"""Questions from many daemons to many others at once, each over its daemon's API.

A thread a daemon asks one question after the other; so many threads run at a time.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from rovy.cli.client import Client, Failed
from testnet.daemons import Daemon

TRY = 2.0
"""Seconds that one question may take."""
SLACK = 15.0
"""Seconds more until a daemon that does not answer at all is given up."""
PAUSE = 0.2
"""Seconds between two rounds of questions."""
Pair = tuple[int, int]
Ask = Callable[[Client, Daemon], int]
"""Asks a daemon for another one; gives the steps it took. Raises `Failed`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what became of it."""

    pair: Pair
    took: float
    """Seconds until its answer, or until it was given up."""
    at: float
    """Seconds from the beginning of all questions until then."""
    failure: str = ""
    """Why there was none."""
    steps: int = 0


@dataclass(slots=True)
class Rounds:
    """Questions repeated until all are answered."""

    first: list[Asked]
    """The first one of each pair."""
    last: float
    """Seconds until the last answer."""
    left: list[Asked] = field(default_factory=list)
    """Those never answered."""
    count: int = 1

    @property
    def answered(self) -> list[Asked]:
        """Those answered when asked first."""
        return [asked for asked in self.first if not asked.failure]


def ping(client: Client, other: Daemon) -> int:
    """One round trip, for which a route and a session are made where there is none."""
    body = {"target": other.peer_id, "timeout": TRY}
    client.call("POST", "/ping", body, timeout=TRY + SLACK)
    return 0


def resolve(client: Client, other: Daemon) -> int:
    """The DHT asked, whatever is known, and a route proved."""
    body = {"target": other.peer_id, "timeout": TRY, "dht": True}
    return len(client.call("POST", "/resolve", body, timeout=2 * TRY + SLACK)["steps"])


def ask_once(
    daemons: Sequence[Daemon], pairs: Sequence[Pair], ask: Ask, at_once: int, began: float
) -> list[Asked]:
    """Ask for every pair once, from `at_once` daemons at a time."""
    targets = defaultdict[int, list[int]](list)
    for source, target in pairs:
        targets[source].append(target)

    def work(source: int) -> list[Asked]:
        with contextlib.closing(daemons[source].client()) as client:
            return [_ask(client, ask, source, t, daemons[t], began) for t in targets[source]]

    with ThreadPoolExecutor(at_once) as threads:
        return [asked for done in threads.map(work, targets) for asked in done]


def ask_until_answered(
    daemons: Sequence[Daemon], pairs: Sequence[Pair], at_once: int, patience: float
) -> Rounds:
    """Ping every pair, and those without an answer again, for so many seconds at least."""
    began = time.monotonic()
    asked = ask_once(daemons, pairs, ping, at_once, began)
    found = Rounds(asked, _last(asked, 0.0), [a for a in asked if a.failure])
    while found.left and time.monotonic() - began < patience:
        time.sleep(PAUSE)
        asked = ask_once(daemons, [a.pair for a in found.left], ping, at_once, began)
        found.last = _last(asked, found.last)
        found.left = [a for a in asked if a.failure]
        found.count += 1
    return found


def _ask(client: Client, ask: Ask, source: int, target: int, other: Daemon, began: float) -> Asked:
    failure, steps, begin = "", 0, time.monotonic()
    try:
        steps = ask(client, other)
    except Failed as error:
        failure, steps = error.message, len(error.steps)
    now = time.monotonic()
    return Asked((source, target), now - begin, now - began, failure, steps)


def _last(asked: Sequence[Asked], before: float) -> float:
    return max((a.at for a in asked if not a.failure), default=before)
