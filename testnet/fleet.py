"""A daemon on each host of a topology, told the addresses of its neighbours and nothing else.

fleet = Fleet(topology.line(lab, 6), directory)
fleet.start()
fleet.wait_known()
"""

import time
from collections import deque
from pathlib import Path

from testnet.daemons import START, Daemon
from testnet.netns import LabError, wait_until
from testnet.topology import Topology

BAD_WORDS = ("Traceback", " ERROR ", " CRITICAL ")
KNOWN = 30.0
"""Seconds a fleet may take until every node knows every other."""


class Fleet:
    """Daemons by the number of their host; `config` is TOML for all of them."""

    def __init__(self, net: Topology, directory: Path, config: str = "") -> None:
        self.net = net
        self.daemons = [Daemon(host, directory / host.name) for host in net.hosts]
        self._config = directory / "fleet.toml"
        self._config.write_text(config)

    def __getitem__(self, number: int) -> Daemon:
        return self.daemons[number]

    def arguments(self, number: int) -> list[str]:
        """What the daemon of a host is started with."""
        peers = [
            f"--peer={endpoint}/rovy/{self.daemons[neighbour].peer_id}"
            for neighbour, endpoint in self.net.endpoints[number].items()
        ]
        return ["--config", str(self._config), *peers]

    def spawn(self) -> None:
        """Start all daemons at once, without waiting."""
        for number, daemon in enumerate(self.daemons):
            daemon.spawn(*self.arguments(number))

    def wait_ready(self) -> None:
        """Wait until each answers."""
        patience = START + len(self.daemons)
        wait_until(lambda: all(daemon.answers() for daemon in self.daemons), timeout=patience)

    def start_in_turn(self, at_once: int) -> list[float]:
        """Start them by number, while fewer than `at_once` do not answer yet; seconds each took."""
        waiting, begun = deque(range(len(self.daemons))), dict[int, float]()
        took, patience = [0.0] * len(self.daemons), START + len(self.daemons)
        while waiting or begun:
            while waiting and len(begun) < at_once:
                number = waiting.popleft()
                self.daemons[number].spawn(*self.arguments(number))
                begun[number] = time.monotonic()
            for number in [n for n in begun if self.daemons[n].answers()]:
                took[number] = time.monotonic() - begun.pop(number)
            late = [n for n, at in begun.items() if time.monotonic() > at + patience]
            if late:
                raise LabError(f"{self.daemons[late[0]].name} did not answer in {patience:g} s")
            time.sleep(0.02)
        return took

    def wait_linked(self, timeout: float = KNOWN) -> None:
        """Wait until every node has all its neighbours as peers."""
        wait_until(lambda: all(map(self._has_peers, range(len(self.daemons)))), timeout=timeout)

    def wait_joined(self, timeout: float = KNOWN) -> None:
        """Wait until every node has found its place in the DHT."""
        wait_until(lambda: all(map(_has_joined, self.daemons)), timeout=timeout)

    def wait_known(self) -> None:
        """Wait until every node has a map of all nodes and links."""
        wait_until(lambda: all(map(self._knows_all, self.daemons)), timeout=KNOWN)

    def start(self) -> None:
        """Start all daemons at once, and wait until each knows the whole network."""
        self.spawn()
        self.wait_ready()
        self.wait_known()

    def restart(self, number: int) -> None:
        """Start a daemon that has ended once more, and wait until it answers."""
        self.daemons[number].start(*self.arguments(number))

    def complaints(self) -> list[str]:
        """Lines of the logs that tell of a mistake of the program."""
        lines = [line for daemon in self.daemons for line in daemon.log().splitlines()]
        return [line for line in lines if any(word in line for word in BAD_WORDS)]

    def _knows_all(self, daemon: Daemon) -> bool:
        known = daemon.call("GET", "/info")["map"]
        return bool(known == {"nodes": len(self.daemons), "links": len(self.net.links)})

    def _has_peers(self, number: int) -> bool:
        peers = self.daemons[number].call("GET", "/info")["peers"]
        return bool(peers == len(self.net.endpoints[number]))


def _has_joined(daemon: Daemon) -> bool:
    return bool(daemon.call("GET", "/dht")["joined"])
