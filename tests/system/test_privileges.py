"""Capabilities of real daemons: what they keep, what the programs they start have."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rovy.address import PrivateKey
from testnet.daemons import Daemon
from testnet.netns import Host, Lab, LabError

pytestmark = pytest.mark.system

OTHER = PrivateKey.generate(os.urandom).peer_id.path
KEPT = 1 << 12  # net_admin
AMBIENT = (
    *("setpriv", "--securebits", "+noroot,+noroot_locked"),
    *("--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin"),
)
"""Root is a user like any other, with one ambient capability: as a service manager starts us."""
DROP = "from rovy.daemon.privileges import drop_privileges as drop; drop({'net_admin'});"
RUN = DROP + "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"


@pytest.fixture
def daemon(lab: Lab, tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(lab.host("a"), tmp_path / "a")
    yield daemon
    assert "Traceback" not in daemon.log(), daemon.log()


def held(daemon: Daemon, kind: str) -> set[int]:
    """The capabilities of every thread of a daemon."""
    tasks = Path(f"/proc/{daemon.ask('info')['pid']}/task").iterdir()
    lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
    return {int(line.split()[1], 16) for line in lines if line.startswith(kind)}


def test_root_keeps_one_capability_in_every_thread(daemon: Daemon) -> None:
    daemon.start("--peer", f"/dns4/localhost/udp/1{OTHER}")  # looks a name up
    daemon.run("peer", "add", f"/ip4/127.0.0.1/udp/2{OTHER}")  # writes a file
    for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
        assert held(daemon, kind) == {KEPT}
    assert held(daemon, "NoNewPrivs") == {1}
    info = daemon.ask("info")
    assert (info["user"], info["capabilities"]) == ("root", ["net_admin"])
    assert not info["problems"]


def test_all_that_it_writes_and_reads_still_works(daemon: Daemon, tmp_path: Path) -> None:
    config = tmp_path / "rovy.toml"
    config.write_text("max_peers = 3\n")
    config.chmod(0o600)
    daemon.start("--config", str(config))
    before = (daemon.directory / "state.json").stat().st_ino
    daemon.run("peer", "add", f"/ip4/127.0.0.1/udp/2{OTHER}")
    assert (daemon.directory / "state.json").stat().st_ino != before
    config.write_text('max_peers = 4\nlog_level = "debug"\n')
    assert daemon.ask("reload")["applied"] == ["max_peers", "log_level"]
    daemon.run("stop")
    assert not daemon.socket.exists()


def test_low_ports_can_be_bound(daemon: Daemon) -> None:
    daemon.start("--listen", "/ip4/127.0.0.1/udp/443")
    info = daemon.ask("info")
    assert (info["port"], info["capabilities"]) == (443, ["net_bind_service", "net_admin"])


@pytest.mark.parametrize("start", [(), AMBIENT], ids=["root", "ambient"])
def test_programs_it_starts_can_change_the_network_and_nothing_else(
    lab: Lab, start: tuple[str, ...]
) -> None:
    host = lab.host("a")
    run(host, start, "ip", "link", "add", "one", "type", "veth", "peer", "name", "two")
    run(host, start, "ip", "link", "delete", "one")
    for command in (("mount", "-t", "tmpfs", "x", "/mnt"), ("chroot", "/tmp", "true")):
        with pytest.raises(LabError, match=r"(?i)permi|superuser"):
            run(host, start, *command)


def run(host: Host, start: tuple[str, ...], *command: str) -> None:
    host.run([*start, sys.executable, "-c", RUN, *command])
