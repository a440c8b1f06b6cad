"""Stock programs that run on while something happens to the network, and what they saw of it."""

import hashlib
import itertools
import os
import random
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testnet.netns import Host, wait_until

WEB = 8000
OPEN_WEB = 'firewall_allow = ["tcp/8000"]'
LISTENING = 10.0
"""Seconds a server may take to listen."""
ANSWER = re.compile(r"^\[(\d+\.\d+)\] \d+ bytes .*icmp_seq=(\d+) ttl=(\d+) time=([\d.]+) ms", re.M)


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of ping: when it came (Unix time), to which request, and how; seconds."""

    at: float
    number: int
    ttl: int
    trip: float


class Ping:
    """A ping that runs until it is stopped."""

    def __init__(self, host: Host, target: str, every: float = 0.05) -> None:
        self._log = host.lab.log_directory / f"{host.name}-ping-{len(host.processes)}.log"
        command = ["ping", "-n", "-D", f"-i{every}", target]
        self._process = host.spawn(command, log=self._log)
        wait_until(lambda: bool(self.answers()), timeout=LISTENING)

    def answers(self) -> list[Answer]:
        """What came so far."""
        lines = ANSWER.findall(self._log.read_text())
        return [Answer(float(at), int(n), int(ttl), float(ms) / 1000) for at, n, ttl, ms in lines]

    def wait_answers(self, count: int, timeout: float) -> None:
        """Wait for so many more answers."""
        enough = len(self.answers()) + count
        wait_until(lambda: len(self.answers()) >= enough, timeout=timeout)

    def stop(self) -> "Pinged":
        """End it; what came of it."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(5)
        sent = re.search(r"(\d+) packets transmitted", self._log.read_text())
        assert sent, self._log.read_text()
        return Pinged(int(sent[1]), self.answers())


@dataclass(frozen=True, slots=True)
class Pinged:
    """What came of a ping."""

    sent: int
    answers: list[Answer]

    @property
    def lost(self) -> int:
        """Requests without an answer, the last one left out: its answer may be on its way."""
        return self.sent - 1 - sum(answer.number < self.sent for answer in self.answers)

    @property
    def gap(self) -> float:
        """The longest time without an answer, seconds."""
        times = [answer.at for answer in self.answers]
        return max(after - before for before, after in itertools.pairwise(times))


class Site:
    """A web server with one file of random bytes."""

    def __init__(self, host: Host, address: str, size: int) -> None:
        directory = host.lab.log_directory / f"{host.name}-site-{len(host.processes)}"
        directory.mkdir()
        content = random.Random(size).randbytes(size)
        (directory / "file").write_bytes(content)
        self.size, self.digest = size, hashlib.sha256(content).hexdigest()
        self.url = f"http://[{address}]:{WEB}/file"
        options = ["--bind", address, "--directory", str(directory)]
        host.spawn([sys.executable, "-m", "http.server", *options, str(WEB)])
        wait_until(lambda: listens(host, WEB), timeout=LISTENING)


def listens(host: Host, port: int) -> bool:
    """Whether something on a host listens on a TCP port."""
    return bool(host.run(["ss", "-Hltn", f"sport = :{port}"]).stdout)


class Download:
    """A running curl.

    Its own limit of the rate would let all of the file wait in the receiver's system: where a
    download has to last, the links have a rate.
    """

    def __init__(self, host: Host, site: Site) -> None:
        self._site = site
        self._path = host.lab.log_directory / f"{host.name}-download-{len(host.processes)}"
        self._log = self._path.with_suffix(".log")
        command = ["curl", "-sS", "--no-buffer", "-o", str(self._path), site.url]
        self.process = host.spawn(command, log=self._log)

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self._path.stat().st_size if self._path.exists() else 0

    def wait_more(self, size: int, timeout: float) -> None:
        """Wait for so many more bytes; it must not end before."""
        enough = self.received + size
        wait_until(lambda: self.received >= enough or self.ended(), timeout=timeout)
        assert self.received >= enough, self._log.read_text()

    def ended(self) -> bool:
        """Whether curl has ended."""
        return self.process.poll() is not None

    def finish(self, timeout: float) -> None:
        """Wait for its end, and check that every byte arrived."""
        assert self.process.wait(timeout) == 0, self._log.read_text()
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        assert (self.received, digest) == (self._site.size, self._site.digest)


@dataclass(frozen=True, slots=True)
class Ssh:
    """An sshd with throw-away keys, and a client that knows them."""

    host: Host
    address: str
    directory: Path
    port: int = 2222

    def start(self) -> None:
        """Make the keys and start the server, which lets only us in."""
        self.directory.mkdir()
        for name in ("server", "client"):
            self.host.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", self._file(name)])
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = self.directory / "sshd_config"
        config.write_text("\n".join(self._server_lines()))
        known = (self.directory / "server.pub").read_text()
        (self.directory / "known").write_text(f"[{self.address}]:{self.port} {known}")
        self.host.spawn(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)])
        wait_until(lambda: listens(self.host, self.port), timeout=LISTENING)

    def options(self) -> list[str]:
        """Of ssh and scp."""
        pairs = {
            "IdentityFile": self._file("client"),
            "UserKnownHostsFile": self._file("known"),
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
        }
        return ["-F", "none", *(f"-o{name}={value}" for name, value in pairs.items())]

    def _server_lines(self) -> Iterator[str]:
        yield f"ListenAddress [{self.address}]:{self.port}"
        yield f"HostKey {self._file('server')}"
        yield f"AuthorizedKeysFile {self._file('client.pub')}"
        yield "StrictModes no"
        yield "PidFile none"
        yield "PasswordAuthentication no"
        yield f"AllowUsers {user()}"
        yield "Subsystem sftp internal-sftp"

    def _file(self, name: str) -> str:
        return str(self.directory / name)


def user() -> str:
    """The name of the user we are."""
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
