"""`make demo`: three daemons in a row, A – B – C, and what the network does for them.

Runs inside `testnet/isolated`; takes some seconds; the last line is `demo ok`.
"""

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testnet.daemons import Daemon
from testnet.netns import Lab, wait_until

MEGABYTE = 1_000_000
EXAMPLE = Path(__file__).parent.parent / "examples" / "transfer.py"


class Demo:
    """The steps, and the rows of the summary they earn."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self._directory = directory
        self.rows: list[tuple[str, str]] = []
        self._hosts = {name: lab.host(name) for name in "abc"}
        self._left = lab.link(self._hosts["a"], self._hosts["b"], net="10.0.1.0/24")
        lab.link(self._hosts["b"], self._hosts["c"], net="10.0.2.0/24")
        self.a, self.b, self.c = (
            Daemon(host, directory / name) for name, host in self._hosts.items()
        )

    def start(self) -> None:
        """Start three daemons; A and C know the address of B."""
        self.b.start()
        self.a.start("--peer", self.b.address("10.0.1.2"))
        self.c.start("--peer", self.b.address("10.0.2.1"))
        began = time.monotonic()
        wait_until(lambda: len(self.b.slots()) == 2, timeout=15.0)
        wait_until(lambda: bool(self.a.slots()) and bool(self.c.slots()), timeout=15.0)
        self.rows.append(("peerings A-B and B-C", f"up {time.monotonic() - began:.1f} s later"))

    def label(self) -> str:
        """The route from A to C: A's slot for B, then B's slot for C."""
        slots = self.a.slots()[self.b.peer_id], self.b.slots()[self.c.peer_id]
        return "/rovyrt/" + "-".join(f"{slot:02x}" for slot in slots)

    def ping(self) -> None:
        """A pings C by label, then by PeerID; there is no link between them."""
        for what, target in (("label", self.label()), ("PeerID", self.c.peer_id)):
            done = self.a.run("ping", "-c", "3", "-i", "0.2", target)
            print(done.stdout)
            self.rows.append((f"A pings C by {what}", done.stdout.strip().splitlines()[-1]))

    def transfer(self) -> None:
        """Two programs that use the library send a megabyte from A to C through the daemon B."""
        data = os.urandom(MEGABYTE)
        (self._directory / "data").write_bytes(data)
        log = self._directory / "receive.log"
        command = [sys.executable, str(EXAMPLE)]
        receiver = self._hosts["c"].spawn(
            [*command, "receive", "--relay", self.b.address("10.0.2.1")], log=log
        )
        wait_until(lambda: "receiver" in log.read_text(), timeout=10.0)
        peer = log.read_text().split()[1]
        wait_until(lambda: peer in self.b.slots(), timeout=10.0)
        relay = ["--relay", self.b.address("10.0.1.2"), "--slot", str(self.b.slots()[peer])]
        sent = self._hosts["a"].run(
            [*command, "send", str(self._directory / "data"), *relay, "--to", peer], timeout=60
        )
        receiver.wait(10)
        if hashlib.sha256(data).hexdigest() not in log.read_text():
            raise SystemExit(f"demo: the data arrived damaged: {log.read_text()}")
        print(sent.stdout + log.read_text())
        self.rows.append((f"{MEGABYTE} bytes A to C", sent.stdout.strip().rpartition(" over ")[2]))
        self.rows.append(("SHA-256 at C", "matches"))

    def roam(self) -> None:
        """B's address changes under a running ping; the sessions stay."""
        before = self._session_with_b()
        pings = self.a.host.spawn(
            self.a.command("ping", "-c", "40", "-i", "0.1", "-W", "1", "--json", self.c.peer_id),
            log=self._directory / "ping.log",
        )
        time.sleep(1)
        interface = self._left.interface(self._hosts["b"])
        self._hosts["b"].del_address(interface, "10.0.1.2/24")
        self._hosts["b"].add_address(interface, "10.0.1.77/24")
        pings.wait(30)
        lines = (self._directory / "ping.log").read_text().splitlines()
        summary = json.loads(lines[-1])
        after = self._session_with_b()
        if after["id"] != before["id"]:
            raise SystemExit("demo: the session was lost when B changed its address")
        path = next(path for path in after["paths"] if path["active"])
        self.rows.append(("B moves 10.0.1.2 -> 10.0.1.77", f"session kept, now {path['route']}"))
        lost = summary["sent"] - summary["answered"]
        self.rows.append(("pings lost meanwhile", f"{lost} of {summary['sent']}"))

    def stop(self) -> None:
        """Stop all daemons politely."""
        for daemon in (self.a, self.b, self.c):
            daemon.run("stop")
            if daemon.process and daemon.process.wait(5) != 0:
                raise SystemExit(f"demo: {daemon.name} did not stop cleanly:\n{daemon.log()}")
        self.rows.append(("stop", "all daemons ended with status 0"))

    def _session_with_b(self) -> dict[str, Any]:
        sessions: list[dict[str, Any]] = self.a.ask("sessions")["sessions"]
        return next(s for s in sessions if s["peer_id"] == self.b.peer_id)


def main() -> int:
    """Run all steps, say what each does, and sum up."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rovy-demo-") as directory, Lab() as lab:
        demo = Demo(lab, Path(directory))
        steps: list[Callable[[], None]] = [
            demo.start,
            demo.ping,
            demo.transfer,
            demo.roam,
            demo.stop,
        ]
        for step in steps:
            print(f"== {(step.__doc__ or '').strip().splitlines()[0]}", flush=True)
            step()
        print(f"\n{'what':<32} result\n{'-' * 32} {'-' * 46}")
        for what, result in demo.rows:
            print(f"{what:<32} {result}")
    print(f"{'took':<32} {time.monotonic() - began:.1f} s\ndemo ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
