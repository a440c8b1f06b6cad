"""rovyctl without a daemon: arguments, output, exit statuses."""

import inspect
import json
import platform
from importlib import metadata

import click
import pytest
from click.testing import CliRunner

from rovy.cli import options
from rovy.cli.__main__ import cli
from rovy.cli.client import Failed

A = "bafzqaibwj6dr3o63g4eguar73v2csws4wqqwux5sarwydofheqsmow33au"
B = "bafzqaifskz2tcetxnaepehuaxmthnr7dzmebzr2osz677ox7aok4f3wghe"
SOCKET = "/run/rovy/rovyd.sock"

INFO = {
    "version": "0.1.0",
    "data_plane": "pure",
    "peer_id": A,
    "address": "fcaa::1",
    "uptime": 90061.0,
    "pid": 7,
    "user": "root",
    "capabilities": ["net_admin"],
    "listen": ["/ip4/0.0.0.0/udp/1312"],
    "port": 1312,
    "addresses": [f"/ip4/192.0.2.1/udp/1312/rovy/{A}"],
    "network": "public",
    "peers": 1,
    "sessions": 2,
    "map": {"nodes": 4, "links": 1},
    "network_size": {"nodes": 1187.3, "exact": False},
    "interface": {"name": "rovy0", "state": "up", "problem": "", "mtu": 8955},
    "config_file": "",
    "key_file": "/k",
    "state_dir": "/s",
    "socket": SOCKET,
    "problems": ["/s/state.json cannot be written: No space left on device"],
}
PEER = {
    "peer_id": B,
    "address": "fcb5::1",
    "name": "laptop",
    "state": "up",
    "kept": True,
    "origin": "config",
    "targets": [],
    "route": "[2001:db8:1111:2222:3333:4444:5555:6666]:1312",
    "rtt": 0.0123,
    "slot": 3839,
    "their_slot": 1,
    "bytes_sent": 123456789,
    "bytes_received": 5,
    "age": 12.0,
}
PATH = {"route": "192.0.2.2:1312", "active": True, "rtt": 0.0005, "mtu": 1452}
SESSION = {
    "peer_id": B,
    "name": "",
    "state": "open",
    "age": 4000.0,
    "paths": [
        {**PATH, "bytes_sent": 1, "bytes_received": 2},
        {**PATH, "active": False, "rtt": None, "bytes_sent": 1, "bytes_received": 2},
    ],
}
COUNTERS = {"dropped": {"replay": 3, "no slot": 0}, "node": {"sessions": 1}}
PONG = {"peer_id": B, "rtt": 0.0005, "route": "192.0.2.2:1312", "size": 56}


class FakeDaemon:
    """Stands for `Client`: answers by method and path, and remembers what was asked."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def __call__(self, path, patience=10.0):
        self.path = path
        return self

    def call(self, method, path, body=None, *, timeout=10.0):
        self.asked.append((method, path, body))
        answer = self.answers[method, path]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def stream(self, path):
        yield from self.answers["GET", path]

    def gone(self):
        return True

    def close(self):
        pass


@pytest.fixture
def rovyctl(monkeypatch):
    def run(*arguments, answers=None, color=False):
        run.daemon = FakeDaemon(answers or {})
        monkeypatch.setattr(options, "Client", run.daemon)
        return CliRunner().invoke(cli, arguments, prog_name="rovyctl", color=color)

    return run


def commands(group=cli, before=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name), command


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=lambda value: str(value)[:40])
def test_every_command_has_help_examples_and_json(rovyctl, path, command):
    result = rovyctl(*path, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert "--json" in result.output
    assert command.help
    assert max(map(len, result.output.splitlines())) <= 90


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=lambda value: str(value)[:40])
def test_exit_statuses_of_every_command(tmp_path, path, command):
    """2 for wrong usage; 1 where a daemon is needed and none is there, with the remedy."""
    assert CliRunner().invoke(cli, [*path, "--nonsense"]).exit_code == 2
    if all(each.nargs > 0 for each in command.params):
        assert CliRunner().invoke(cli, [*path, "one", "word", "too", "many"]).exit_code == 2
    options = {option for parameter in command.params for option in parameter.opts}
    if "--socket" not in options or path == ("version",):
        return
    arguments = ["x" for each in command.params if isinstance(each, click.Argument)]
    arguments += ["--socket", str(tmp_path / "none.sock")]
    done = CliRunner().invoke(cli, [*path, *arguments])
    assert done.exit_code == 1
    assert "start it with `rovyd`" in done.stderr
    done = CliRunner().invoke(cli, [*path, *arguments, "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout.splitlines()[-1])["error"]["reason"] == "not running"


def test_commands_without_a_daemon_have_status_0(tmp_path):
    config = tmp_path / "rovy.toml"
    config.touch()
    for arguments in (
        ["version", "--socket", str(tmp_path / "none.sock")],
        ["keygen"],
        ["config", "check", str(config)],
        ["config", "show", str(config)],
        ["completion", "fish"],
    ):
        assert CliRunner().invoke(cli, arguments).exit_code == 0


def test_colours_only_where_they_are_wanted(rovyctl, monkeypatch):
    answers = {("GET", "/info"): INFO}
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in rovyctl("info", answers=answers).output  # not a terminal
    assert "\x1b[" in rovyctl("info", answers=answers, color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in rovyctl("info", answers=answers, color=True).output
    failed = {("GET", "/info"): Failed("not running", "no")}
    assert "\x1b[" not in rovyctl("info", answers=failed, color=True).output


def test_usage_errors_have_status_2(rovyctl):
    for arguments in (["nonsense"], ["ping"], ["ping", "x", "-c", "0"], ["info", "--nonsense"]):
        assert rovyctl(*arguments).exit_code == 2


def test_info(rovyctl):
    result = rovyctl("info", answers={("GET", "/info"): INFO})
    assert result.exit_code == 0
    assert A in result.output
    assert "1d 1h" in result.output
    assert "Problem: /s/state.json cannot be written" in result.output
    assert json.loads(rovyctl("info", "--json", answers={("GET", "/info"): INFO}).output) == INFO


def test_socket_comes_from_option_then_environment(rovyctl, monkeypatch):
    monkeypatch.setenv("ROVY_SOCKET", "/tmp/environment")
    rovyctl("info", answers={("GET", "/info"): INFO})
    assert str(rovyctl.daemon.path) == "/tmp/environment"
    rovyctl("info", "--socket", "/tmp/option", answers={("GET", "/info"): INFO})
    assert str(rovyctl.daemon.path) == "/tmp/option"


def test_failure_has_status_1_and_its_remedy(rovyctl):
    answers = {("GET", "/info"): Failed("not running", "rovyd does not run", "start it")}
    result = rovyctl("info", answers=answers)
    assert result.exit_code == 1
    assert result.stderr == "rovyctl: rovyd does not run\n  start it\n"
    assert result.stdout == ""
    result = rovyctl("info", "--json", answers=answers)
    assert result.exit_code == 1
    assert json.loads(result.output)["error"]["reason"] == "not running"


def test_peers_fit_80_columns_and_whole_with_wide(rovyctl):
    peers = {"peers": [PEER, {**PEER, "peer_id": A, "name": "n" * 63, "state": "connecting"}]}
    answers = {("GET", "/peers"): peers}
    lines = rovyctl("peers", answers=answers).output.splitlines()
    assert max(map(len, lines)) <= 80
    assert "bafzqai…wghe" in lines[1]
    assert "]:1312" in lines[1]
    wide = rovyctl("peers", "--wide", answers=answers).output
    assert B in wide
    assert PEER["route"] in wide
    assert "123 MB" in wide
    assert json.loads(rovyctl("peers", "--json", answers=answers).output) == peers


def test_no_peers_says_how_to_get_some(rovyctl):
    assert "rovyctl peer add" in rovyctl("peers", answers={("GET", "/peers"): {"peers": []}}).output


def test_peer_add_and_remove(rovyctl):
    address = f"/ip4/192.0.2.1/udp/1312/rovy/{B}"
    added = {"peer_id": B, "name": "laptop", "new": True}
    result = rovyctl(
        "peer", "add", address, "--name", "laptop", answers={("POST", "/peers"): added}
    )
    assert result.output == f"added laptop {B}\n"
    assert rovyctl.daemon.asked == [("POST", "/peers", {"address": address, "name": "laptop"})]
    removed = {"peer_id": B, "note": "it comes back"}
    result = rovyctl("peer", "remove", "a/b", answers={("DELETE", "/peers/a%2Fb"): removed})
    assert result.output == f"removed {B}\nit comes back\n"


def test_sessions_mark_the_active_path(rovyctl):
    result = rovyctl("sessions", answers={("GET", "/sessions"): {"sessions": [SESSION]}})
    _, first, second = result.output.splitlines()
    assert "* 192.0.2.2:1312" in first
    assert "*" not in second
    empty = rovyctl("sessions", answers={("GET", "/sessions"): {"sessions": []}})
    assert empty.output == "no sessions\n"


def test_counters_leave_zeros_out(rovyctl):
    answers = {("GET", "/counters"): {"counters": COUNTERS}}
    assert "no slot" not in rovyctl("counters", answers=answers).output
    assert "no slot" in rovyctl("counters", "--all", answers=answers).output


def test_reload_names_what_waits(rovyctl):
    answers = {("POST", "/reload"): {"applied": [], "restart": ["listen"]}}
    assert rovyctl("reload", answers=answers).output == (
        "applied: nothing changed\nat the next start: listen\n"
    )


def test_stop(rovyctl):
    answers = {("POST", "/stop"): {"stopping": True, "pid": 7}}
    assert rovyctl("stop", answers=answers).output == "rovyd has stopped\n"


def test_events(rovyctl):
    event = {"time": 0.0, "kind": "peering_up", "peer_id": B, "name": "", "detail": "slot 1"}
    result = rovyctl("events", "--json", answers={("GET", "/events"): [event]})
    assert json.loads(result.output.splitlines()[0]) == event
    assert result.exit_code == 1  # the stream ended, as the daemon did
    assert "bafzqai…wghe slot 1" in rovyctl("events", answers={("GET", "/events"): [event]}).output


def test_version_without_a_daemon(rovyctl):
    answers = {("GET", "/info"): Failed("not running", "no")}
    document = json.loads(rovyctl("version", "--json", answers=answers).output)
    assert document["rovyd"] is document["data_plane"] is None
    assert "not reached" in rovyctl("version", answers=answers).output


def test_version_tells_what_it_stands_on(rovyctl):
    answers = {("GET", "/info"): INFO}
    document = json.loads(rovyctl("version", "--json", answers=answers).output)
    assert (document["rovyd"], document["data_plane"]) == ("0.1.0", "pure")
    assert document["python"] == platform.python_version()
    assert document["libraries"]["cryptography"] == metadata.version("cryptography")
    assert "hypothesis" not in document["libraries"]
    assert "data plane" in rovyctl("version", answers=answers).output


class TestPing:
    ANSWERS = ("POST", "/ping")

    def test_looks_like_ping(self, rovyctl):
        answers = {self.ANSWERS: [PONG, {**PONG, "rtt": 0.0015}]}
        result = rovyctl("ping", "laptop", "-c2", "-i0.01", answers=answers)
        lines = result.output.splitlines()
        assert result.exit_code == 0
        assert lines[0] == "PING laptop: 56 bytes"
        assert lines[1] == ("56 bytes from bafzqai…wghe: seq=1 via 192.0.2.2:1312 time=0.500 ms")
        assert lines[3] == "--- laptop ping statistics ---"
        assert lines[4].startswith("2 sent, 2 answered, 0% lost, time ")
        assert lines[5] == "rtt min/avg/max/mdev = 0.500/1.000/1.500/0.500 ms"

    def test_loss(self, rovyctl):
        answers = {self.ANSWERS: [Failed("no answer", "no answer from x"), PONG]}
        result = rovyctl("ping", "x", "-c2", "-i0.01", answers=answers)
        assert result.exit_code == 0
        assert "no answer from x seq=1" in result.output
        assert "2 sent, 1 answered, 50% lost" in result.output

    def test_all_lost_has_status_1(self, rovyctl):
        answers = {self.ANSWERS: [Failed("no answer", "nothing")]}
        result = rovyctl("ping", "x", "-c1", answers=answers)
        assert result.exit_code == 1
        assert "1 sent, 0 answered, 100% lost" in result.output

    def test_interrupt_shows_the_statistics(self, rovyctl):
        answers = {self.ANSWERS: [PONG, KeyboardInterrupt()]}
        result = rovyctl("ping", "x", "-i0.01", answers=answers)
        assert result.exit_code == 0
        assert "2 sent, 1 answered" in result.output

    def test_json(self, rovyctl):
        answers = {self.ANSWERS: [PONG, Failed("no answer", "nothing")]}
        result = rovyctl("ping", "x", "-c2", "-i0.01", "--json", answers=answers)
        reply, lost, summary = map(json.loads, result.output.splitlines())
        assert (reply["type"], reply["seq"], reply["time_ms"]) == ("reply", 1, 0.5)
        assert (lost["type"], lost["error"]["reason"]) == ("lost", "no answer")
        assert (summary["sent"], summary["answered"], summary["loss"]) == (2, 1, 0.5)

    def test_nonsense_ends_it(self, rovyctl):
        answers = {self.ANSWERS: [Failed("malformed", "not a target", usage=True)]}
        assert rovyctl("ping", "x", answers=answers).exit_code == 2
        answers = {self.ANSWERS: [Failed("not found", "no peer is named x")]}
        assert rovyctl("ping", "x", answers=answers).exit_code == 1


class TestKeygen:
    def test_prints_a_key_file(self, rovyctl):
        from rovy.address import KeyFile

        result = rovyctl("keygen")
        assert result.exit_code == 0
        assert KeyFile.parse(result.output)

    def test_creates_a_private_file_once(self, rovyctl, tmp_path):
        path = tmp_path / "key.toml"
        result = rovyctl("keygen", "-o", str(path), "--json")
        assert json.loads(result.output)["peer_id"] in path.read_text()
        assert "PrivateKey" not in result.output
        assert path.stat().st_mode & 0o777 == 0o600
        before = path.read_bytes()
        result = rovyctl("keygen", "-o", str(path))
        assert result.exit_code == 1
        assert "exists and is not overwritten" in result.stderr
        assert path.read_bytes() == before

    def test_network_key(self, rovyctl, tmp_path):
        from rovy.config.values import read_network_key

        key = json.loads(rovyctl("keygen", "--network", "--json").output)["network_key"]
        assert len(read_network_key(key)) == 32
        assert rovyctl("keygen", "--network", "-o", str(tmp_path / "k")).exit_code == 2

    def test_where_nothing_can_be_written(self, rovyctl, tmp_path):
        result = rovyctl("keygen", "-o", str(tmp_path / "missing/key.toml"))
        assert result.exit_code == 1
        assert "cannot be created" in result.stderr


class TestConfig:
    def test_check(self, rovyctl, tmp_path):
        path = tmp_path / "rovy.toml"
        path.write_text("max_peers = 3\n")
        assert rovyctl("config", "check", str(path)).output == f"{path}: good\n"
        path.write_text("\nmax_pers = 3\n")
        result = rovyctl("config", "check", str(path))
        assert result.exit_code == 1
        assert f"{path}:2: 'max_pers': unknown setting; did you mean max_peers?" in result.stderr

    def test_show(self, rovyctl, tmp_path):
        path = tmp_path / "rovy.toml"
        path.write_text("max_peers = 3\n")
        assert f"max_peers = 3  # {path}:1\n" in rovyctl("config", "show", str(path)).output
        shown = json.loads(rovyctl("config", "show", str(path), "--json").output)
        assert shown["max_peers"] == 3
        assert shown["origins"]["max_peers"] == f"{path}:1"

    def test_show_has_the_origin_of_every_setting(self, rovyctl, tmp_path):
        path = tmp_path / "rovy.toml"
        peer = f'[[peer]]\naddress = "/ip4/192.0.2.1/udp/1312/rovy/{B}"\n'
        path.write_text(f'\nstate_dir = "{tmp_path}"\n{peer}\n{peer}')
        shown = json.loads(rovyctl("config", "show", str(path), "--json").output)
        origins = shown.pop("origins")
        assert set(origins) - {"network_key"} == set(shown) - {"network"}
        assert origins["state_dir"] == f"{path}:2"
        assert origins["key_file"] == "state_dir"
        assert origins["peer"] == [f"{path}:3", f"{path}:6"]
        assert origins["listen"] == "default"
        text = rovyctl("config", "show", str(path)).output
        assert f"[[peer]]  # {path}:6" in text
        assert "port_tries = 16  # default" in text
        again = tmp_path / "again.toml"
        again.write_text(text)
        read = json.loads(rovyctl("config", "show", str(again), "--json").output)
        assert {**read, "origins": None} == {**shown, "origins": None}

    def test_missing_file(self, rovyctl, tmp_path):
        assert rovyctl("config", "check", str(tmp_path / "x")).exit_code == 1


LONG = "long_" * 20
TABLES = {
    ("peers",): {
        "peers": [
            {
                **PEER,
                "name": "n" * 63,
                "route": LONG,
                "rtt": 9999.0,
                "age": 1e9,
                "state": "connecting",
            }
        ]
    },
    ("sessions",): {
        "sessions": [
            {
                **SESSION,
                "name": "n" * 63,
                "state": "rekeying",
                "age": 1e9,
                "paths": [{**PATH, "route": LONG, "bytes_sent": 1e18, "bytes_received": 1e18}],
            }
        ]
    },
    ("routes",): {
        "routes": [
            {
                "peer_id": B,
                "name": "n" * 63,
                "label": LONG,
                "hops": [{}] * 99,
                "cost": 9999.0,
                "rtt": 9999.0,
                "mtu": 65535,
                "state": "suspect",
                "age": 1e9,
            }
        ]
    },
    ("map",): {
        "nodes": [
            {
                "peer_id": B,
                "address": "fcb5:1111:2222:3333:4444:5555:6666:7777",
                "name": "n" * 63,
                "cost": 9999.0,
                "hops": 99,
                "links": [{}] * 48,
            }
        ],
        "links": 48,
        "radius": 9999.0,
    },
    ("firewall", "list"): {
        "kind": "filter",
        "rules": [
            {"rule": f"udp/50000-60000 from {B}", "name": "n" * 63, "origin": "config"},
        ],
        "counters": {},
    },
    ("dht", "stats"): {
        "joined": False,
        "contacts": 160,
        "buckets": 20,
        "values": {"locator": 4096, "name": 1024, "service": 1024},
        "published": 64,
        "network_size": {"nodes": 1e12, "exact": False},
        "lookups": 10**9,
        "found": 10**9,
        "requests": 10**9,
        "unanswered": 10**9,
        "answered": {"ping": 10**9, "find": 10**9, "store": 10**9},
        "anchors": [
            {
                "peer_id": B,
                "address": "fcb5:1111:2222:3333:4444:5555:6666:7777",
                "name": "n" * 63,
                "state": "candidate",
                "hops": 64,
                "cost": 9999.0,
            }
        ],
    },
    ("counters",): {"counters": {LONG: {LONG: 10**18}, "dropped": {"replay": 1}}},
}


@pytest.mark.parametrize("command", list(TABLES), ids=" ".join)
def test_every_table_fits_80_columns(rovyctl, command):
    lines = rovyctl(*command, answers={("GET", f"/{command[0]}"): TABLES[command]}).output
    assert max(map(len, lines.splitlines())) <= 80
    assert len(set(lines.splitlines())) >= 2


def test_every_table_is_among_those():
    """A command that prints one has to be tested for its width."""
    printing = set()
    for path, command in commands():
        source = inspect.getsource(inspect.unwrap(command.callback))
        printing |= {path} if "show_table(" in source else set()
    assert printing == set(TABLES), "tables of lookups are in test_dht.py"


class TestCompletingPeers:
    PEERS = {"peers": [PEER, {**PEER, "peer_id": A, "name": ""}]}  # noqa: RUF012

    def complete(self, rovyctl, monkeypatch, incomplete, answer):
        daemon = FakeDaemon({("GET", "/peers"): answer})
        monkeypatch.setattr(options, "Client", daemon)
        context = click.Context(cli)
        found = options.complete_peers(context, click.Argument(["target"]), incomplete)
        return [item.value for item in found]

    def test_by_name_or_id(self, rovyctl, monkeypatch):
        assert self.complete(rovyctl, monkeypatch, "", self.PEERS) == ["laptop", A]
        assert self.complete(rovyctl, monkeypatch, "la", self.PEERS) == ["laptop"]
        assert self.complete(rovyctl, monkeypatch, "x", self.PEERS) == []

    @pytest.mark.parametrize(
        "answer", [Failed("not running", "no"), {}, {"peers": [{}]}, {"peers": 1}]
    )
    def test_silence_where_nobody_answers(self, rovyctl, monkeypatch, capsys, answer):
        assert self.complete(rovyctl, monkeypatch, "", answer) == []
        assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(rovyctl, shell):
    assert "_ROVYCTL_COMPLETE" in rovyctl("completion", shell).output


@pytest.mark.parametrize(
    "arguments",
    [("--socket", "/nowhere/s.sock", "info"), ("info", "--socket", "/nowhere/s.sock")],
)
def test_the_socket_may_be_named_before_or_after_the_command(arguments, monkeypatch):
    monkeypatch.delenv("ROVY_SOCKET", raising=False)
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1
    assert "no socket /nowhere/s.sock" in done.output
