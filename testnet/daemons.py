"""Real `rovyd` processes on the hosts of a lab, driven through `rovyctl` as a person would."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from rovy.address.keys import PeerID, address_text
from rovy.cli.client import Client, Failed
from rovy.config.keys import load_or_create_key
from testnet.netns import Host, wait_until

BIN = Path(sys.executable).parent
PORT = 1312
START = 20.0
"""Seconds a daemon may take until it answers, on a machine that is busy with others."""


class Daemon:
    """One `rovyd`, its state directory and its socket."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.name = host.name
        self.directory = directory
        self.socket = directory / "rovyd.sock"
        self.discovery: str | None = "off"  # None: as its configuration has it
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start it and wait until it answers, at most `START`."""
        self.spawn(*arguments)
        wait_until(self.answers, timeout=START)

    def spawn(self, *arguments: str) -> None:
        """Start it without waiting."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [str(BIN / "rovyd"), "--state-dir", str(self.directory)]
        command += ["--socket", str(self.socket), *arguments]
        command += [f"--discovery={self.discovery}"] if self.discovery else []
        self.process = self.host.spawn(command, log=self.directory / "rovyd.log")

    def answers(self) -> bool:
        """Whether its socket answers."""
        try:
            return bool(self.call("GET", "/info", timeout=1.0))
        except Failed:
            return False

    def call(self, method: str, path: str, body: object = None, timeout: float = 10.0) -> Any:
        """One request to its API, without a `rovyctl` to start; raises `Failed`."""
        with contextlib.closing(self.client()) as client:
            return client.call(method, path, body, timeout=timeout)

    def client(self) -> Client:
        """Its API, for several requests over one connection."""
        return Client(self.socket)

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

    @cached_property
    def peer(self) -> PeerID:
        """Who it is; its key is made where there is none yet."""
        self.directory.mkdir(parents=True, exist_ok=True)
        private, _ = load_or_create_key(self.directory / "key.toml")
        return private.peer_id

    @property
    def peer_id(self) -> str:
        """Its PeerID."""
        return str(self.peer)

    @property
    def ip6(self) -> str:
        """Its address in fc00::/8."""
        return address_text(self.peer.address)

    def address(self, host: str) -> str:
        """Its multiaddr at an IPv4 address of its host."""
        return f"/ip4/{host}/udp/{PORT}/rovy/{self.peer_id}"

    def slots(self) -> dict[str, int]:
        """Its slots by PeerID, of peerings that are up."""
        peers = self.call("GET", "/peers")["peers"]
        return {p["peer_id"]: p["slot"] for p in peers if p["slot"] and p["their_slot"]}

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        if self.process:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(5)

    def log(self) -> str:
        """What it wrote."""
        return (self.directory / "rovyd.log").read_text(errors="replace")
