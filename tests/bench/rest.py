"""A real daemon with four peers and nothing to do: memory, processor, traffic; how soon it is up.

It runs in namespaces (`testnet/isolated`), in a process of its own: this module as a program.
Traffic is what passes its only link both ways, headers included.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rovy.cli.client import Client, Failed
from testnet.daemons import Daemon
from testnet.netns import Host, Lab, wait_until
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark

ROOT = Path(__file__).resolve().parents[2]
PEERS = 4
REFUSED = 77
"""Exit status of `testnet/isolated` where the kernel has no namespaces for us."""
SETTLE = 60.0
"""Seconds after the last peering is up, in which anchors and the DHT find themselves."""
UNITS = {
    "daemon.rest.uss": "MB",
    "daemon.rest.rss": "MB",
    "daemon.rest.cpu": "% core",
    "daemon.rest.traffic": "B per s",
    "daemon.rest.first_peer": "s",
    "daemon.rest.info": "s",
}
MEGA = 1e6


@benchmark(*UNITS)
def rest(scale: Scale) -> Iterator[Result]:
    """Nothing is given where the kernel refuses namespaces."""
    seconds, times = scale.of(60, 10), scale.of(9, 5)
    command = ["testnet/isolated", sys.executable, "-m", "tests.bench.rest", str(seconds)]
    done = subprocess.run(
        [*command, str(times)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == REFUSED:
        return
    done.check_returncode()
    for name, values in json.loads(done.stdout).items():
        yield Result.of(name, UNITS[name], values)


def measure(seconds: float, times: int, directory: Path) -> dict[str, list[float]]:
    """All of it, each figure as often as it was taken."""
    with Lab(directory) as lab:
        hosts = [lab.host(f"n{number}") for number in range(PEERS + 1)]
        lab.bridge("switch", *hosts, net="10.0.0.0/24")
        measured, *others = (Daemon(host, directory / host.name) for host in hosts)
        for other in others:
            other.start()
        peers = [o.address(f"10.0.0.{number}") for number, o in enumerate(others, start=2)]
        options = [part for peer in peers for part in ("--peer", peer)]
        starts = [_start(measured, options) for _ in range(times)]
        wait_until(lambda: len(measured.slots()) == PEERS, timeout=10.0)
        time.sleep(SETTLE)
        infos = [_timed(measured) for _ in range(times)]
        return {
            **_at_rest(measured, seconds),
            "daemon.rest.first_peer": starts,
            "daemon.rest.info": infos,
        }


def _start(daemon: Daemon, options: list[str]) -> float:
    """Seconds from starting a new process until it has a peer."""
    if daemon.process:
        daemon.run("stop")
    daemon.directory.mkdir(exist_ok=True)
    command = daemon.command()[0].replace("rovyctl", "rovyd")
    places = ["--state-dir", str(daemon.directory), "--socket", str(daemon.socket)]
    log = daemon.directory / "rovyd.log"
    began = time.monotonic()
    daemon.process = daemon.host.spawn([command, *places, *options], log=log)
    wait_until(lambda: _is_up(daemon), timeout=10.0)
    return time.monotonic() - began


def _is_up(daemon: Daemon) -> bool:
    client = Client(daemon.socket)
    try:
        return any(peer["state"] == "up" for peer in client.call("GET", "/peers")["peers"])
    except Failed:
        return False
    finally:
        client.close()


def _timed(daemon: Daemon) -> float:
    command = daemon.command("info")
    began = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def _at_rest(daemon: Daemon, seconds: float) -> dict[str, list[float]]:
    pid: int = daemon.ask("info")["pid"]
    began, processor, link = time.monotonic(), processor_time(pid), _link(daemon.host)
    time.sleep(seconds)
    spent = time.monotonic() - began
    memory = _memory(pid)
    return {
        "daemon.rest.uss": [(memory["Private_Clean"] + memory["Private_Dirty"]) / MEGA],
        "daemon.rest.rss": [memory["Rss"] / MEGA],
        "daemon.rest.cpu": [100 * (processor_time(pid) - processor) / spent],
        "daemon.rest.traffic": [(_link(daemon.host) - link) / spent],
    }


def processor_time(pid: int) -> float:
    """Seconds of processor time, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> dict[str, int]:
    """Bytes by kind."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    pairs = (line.split() for line in lines)
    return {name.rstrip(":"): 1024 * int(value) for name, value, *_ in pairs}


def _link(host: Host) -> int:
    """Bytes that passed a host's link, both ways."""
    links: list[dict[str, Any]] = json.loads(host.run(["ip", "-s", "-j", "link"]).stdout)
    (stats,) = (link["stats64"] for link in links if link["ifname"] == "to-switch")
    return int(stats["rx"]["bytes"]) + int(stats["tx"]["bytes"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="rovy-rest-") as name:
        print(json.dumps(measure(float(sys.argv[1]), int(sys.argv[2]), Path(name))))
