"""Real `rovyd` processes on the hosts of a lab, driven through `rovyctl` as a person would."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from testnet.netns import Host, wait_until

BIN = Path(sys.executable).parent
PORT = 1312


class Daemon:
    """One `rovyd`, its state directory and its socket."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.name = host.name
        self.directory = directory
        self.socket = directory / "rovyd.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start it and wait until it answers, at most 10 s."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [str(BIN / "rovyd"), "--state-dir", str(self.directory)]
        command += ["--socket", str(self.socket), *arguments]
        self.process = self.host.spawn(command, log=self.directory / "rovyd.log")
        wait_until(self.answers, timeout=10.0)

    def answers(self) -> bool:
        """Whether its socket answers."""
        return self.run("info", "--json", check=False).returncode == 0

    def run(
        self, *arguments: str, check: bool = True, timeout: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `rovyctl` on its host."""
        return self.host.run(self.command(*arguments), check=check, timeout=timeout)

    def command(self, *arguments: str) -> list[str]:
        """The `rovyctl` command that talks to it."""
        return [str(BIN / "rovyctl"), *arguments, "--socket", str(self.socket)]

    def ask(self, *arguments: str) -> Any:
        """Run `rovyctl … --json` and read what it prints."""
        return json.loads(self.run(*arguments, "--json").stdout)

    @property
    def peer_id(self) -> str:
        """Its PeerID."""
        return str(self.ask("info")["peer_id"])

    def address(self, host: str) -> str:
        """Its multiaddr at an IPv4 address of its host."""
        return f"/ip4/{host}/udp/{PORT}/rovy/{self.peer_id}"

    def slots(self) -> dict[str, int]:
        """Its slots by PeerID, of peerings that are up."""
        peers = self.ask("peers")["peers"]
        return {p["peer_id"]: p["slot"] for p in peers if p["slot"] and p["their_slot"]}

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        if self.process:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(5)

    def log(self) -> str:
        """What it wrote."""
        return (self.directory / "rovyd.log").read_text(errors="replace")
