"""rovyctl watch: rates between two looks, blocks, lines and the full screen."""

import json
import os
import signal
import time
from dataclasses import replace

import click
import pytest

from rovy.cli import screen
from rovy.cli import watch as watching
from rovy.cli.client import Failed
from rovy.cli.sample import Sample, difference
from rovy.cli.view import events_view, view
from tests.unit.cli.test_commands import INFO, PEER, B, FakeDaemon
from tests.unit.cli.test_commands import rovyctl as rovyctl  # a fixture
from tests.unit.cli.test_routes import DIRECT, OFFERED, ROUTED, C

PATH = {
    "route": "192.0.2.2:1312",
    "local": "192.0.2.1",
    "valid": True,
    "active": True,
    "rtt": 0.0005,
    "loss": 0.25,
    "bytes_sent": 1000,
    "bytes_received": 5000,
}
TWIN = {**PATH, "local": "192.0.2.5", "active": False, "loss": 0.0}
DEAD = {**PATH, "route": "192.0.2.9:1", "valid": False, "active": False}
EVENT = {"time": 0.0, "kind": "peering_up", "peer_id": B, "name": "laptop", "detail": "slot 1"}
DROPPED = {"replay": 3, "no slot": 0}
INTERFACE = {"packets_read": 9, "bytes_read": 99, "firewall known": 4, "firewall dropped": 2}


def answers(events=(EVENT,), **counters):
    counters = {"dropped": DROPPED, "interface": INTERFACE, "node": {"x": 1}, **counters}
    return {
        ("GET", "/info"): INFO,
        ("GET", "/peers"): {"peers": [PEER]},
        ("GET", "/sessions"): {"sessions": [{"peer_id": B, "paths": [PATH, TWIN, DEAD]}]},
        ("GET", "/routes"): {"routes": [DIRECT, ROUTED, OFFERED]},
        ("GET", "/counters"): {"counters": counters},
        ("GET", "/events"): list(events),
    }


def sample(at=0.0, *, sent=1000, drops=None, routed=1500):
    peer = {**PEER, "loss": 0.25, "bytes_sent": 10 * sent}
    path = {**PATH, "bytes_sent": sent}
    return Sample(
        INFO,
        [{**peer, "paths": [path, TWIN, DEAD]}],
        [DIRECT, {**ROUTED, "bytes_sent": routed}],
        drops or {("dropped", "replay"): 3},
        at,
    )


class TestSample:
    def test_takes_what_matters(self, rovyctl):
        taken = Sample.take(FakeDaemon(answers()))
        assert taken.info == INFO
        [peer] = taken.peers
        assert (peer["name"], peer["loss"]) == ("laptop", 0.25)
        assert peer["paths"] == [PATH, TWIN, DEAD]
        assert taken.routes == [DIRECT, ROUTED]
        assert taken.drops == {
            ("dropped", "replay"): 3,
            ("dropped", "no slot"): 0,
            ("interface", "firewall dropped"): 2,
        }

    def test_rates_are_those_between_two_looks(self):
        look = difference(sample(4.0, sent=3000, routed=1900), sample(2.0))
        [peer] = look["peers"]
        assert look["interval"] == 2.0
        assert (peer["sent_rate"], peer["received_rate"]) == (10000.0, 0.0)
        assert [path["sent_rate"] for path in peer["paths"]] == [1000.0, 0.0, 0.0]
        assert [route["sent_rate"] for route in look["routes"]] == [0.0, 200.0]

    def test_the_first_look_has_no_rates(self):
        look = difference(sample(), None)
        assert look["interval"] is None
        assert look["peers"][0]["sent_rate"] is None
        assert look["drops"] == []

    def test_counters_that_began_again_count_from_zero(self):
        look = difference(sample(1.0, sent=50), sample(0.0))
        assert look["peers"][0]["paths"][0]["sent_rate"] == 50.0

    def test_who_is_new_has_no_rates(self):
        look = difference(sample(1.0), replace(sample(0.0), peers=[], routes=[]))
        assert look["peers"][0]["received_rate"] is None
        assert look["routes"][0]["received_rate"] is None

    def test_only_drops_that_grow_are_told(self):
        drops = {("dropped", "replay"): 5, ("dropped", "no slot"): 4, ("interface", "x"): 1}
        before = {("dropped", "replay"): 3, ("dropped", "no slot"): 4}
        look = difference(sample(2.0, drops=drops), sample(0.0, drops=before))
        assert look["drops"] == [
            {"group": "dropped", "name": "replay", "count": 5, "rate": 1.0},
            {"group": "interface", "name": "x", "count": 1, "rate": 0.5},
        ]


class TestView:
    def lines(self):
        drops = {("dropped", "replay"): 8}
        look = difference(sample(2.0, sent=3000, drops=drops), sample(0.0))
        return [click.unstyle(line) for line in view(look)]

    def test_all_of_it_in_80_columns(self):
        lines = [" ".join(line.split()) for line in self.lines()]
        assert "laptop up * 192.0.2.1->192.0.2.2:1312 0.500 ms 25% 1.0 kB 0 B" in lines
        assert "192.0.2.5->192.0.2.2:1312 0.500 ms 0% 0 B 0 B" in lines
        assert "bafzqai…mila /rovyrt/01-02 2 2.10 ms 0 B 0 B" in lines
        assert "dropped replay 8 2.5" in lines
        assert not any("192.0.2.9" in line for line in lines), "paths that do not work are left out"
        assert sum("laptop" in line for line in lines) == 1, "a direct route is a path already"
        assert max(map(len, self.lines()[4:])) <= 80
        assert "1 peer, 2 sessions, map of 4 nodes and 1 link" in lines
        assert any("Problem: /s/state.json" in line for line in lines)

    def test_columns_stay_where_they_are(self):
        quick = view(difference(sample(1.0, sent=1001), sample(0.0)))
        loud = view(difference(sample(1.0, sent=900_000_000), sample(0.0)))
        heads = [next(line for line in lines if "PATH" in line) for lines in (quick, loud)]
        assert heads[0] == heads[1]

    def test_nobody(self):
        look = difference(replace(sample(), peers=[], routes=[]), None)
        assert "no peers" in view(look)

    def test_a_peer_without_a_path(self):
        alone = {**PEER, "loss": None, "paths": [], "state": "connecting"}
        lines = view(difference(replace(sample(), peers=[alone]), None))
        assert any(line.split() == ["laptop", "connecting", *"-----"] for line in lines)

    def test_events_are_named(self):
        clock = time.strftime("%H:%M:%S", time.localtime(0))
        stranger = {**EVENT, "name": "", "peer_id": C}
        lines = events_view([EVENT, stranger])
        assert lines[2] == f"{clock} peering_up           laptop slot 1"
        assert lines[3] == f"{clock} peering_up           bafzqai…mila slot 1"
        assert events_view([]) == []


class Interrupted:
    """Stands for `time`: sleeps so often, and is then interrupted."""

    def __init__(self, sleeps):
        self.left = sleeps

    def monotonic(self):
        return time.monotonic()

    def sleep(self, seconds):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


class AtOnce:
    """Stands for `Thread`."""

    def __init__(self, target, daemon):
        assert daemon, "it must not keep the program alive"
        self.start = target


@pytest.fixture
def watch(rovyctl, monkeypatch):
    def run(*arguments, looks=2, answers=answers(), **options):  # noqa: B008
        monkeypatch.setattr(watching, "time", Interrupted(looks - 1))
        monkeypatch.setattr(watching, "Thread", AtOnce)
        monkeypatch.setattr(watching, "Client", FakeDaemon(answers))
        return rovyctl("watch", *arguments, answers=answers, **options)

    return run


class TestCommand:
    def test_ends_with_0_when_interrupted(self, watch):
        result = watch(looks=3)
        assert result.exit_code == 0
        assert result.output.count("PEER ") == 3
        assert result.output.count("EVENTS") == 1, "events are told once"
        assert "\x1b" not in result.output

    def test_once(self, watch):
        result = watch("--once")
        assert result.exit_code == 0
        assert result.output.count("PEER ") == 1

    def test_json_is_one_object_a_look(self, watch):
        first, second = map(json.loads, watch("--json").output.splitlines())
        assert first["interval"] is None
        assert second["interval"] > 0
        assert first["events"] + second["events"] == [EVENT]
        assert set(first) == {"time", "interval", "info", "peers", "routes", "drops", "events"}

    def test_says_what_ended_it(self, watch):
        gone = {**answers(), ("GET", "/counters"): Failed("connection lost", "rovyd has gone")}
        result = watch(answers=gone)
        assert result.exit_code == 1
        assert "rovyd has gone" in result.stderr

    def test_goes_on_without_events(self, watch):
        class Full(dict):
            def __getitem__(self, key):
                if key == ("GET", "/events"):
                    raise Failed("conflict", "32 event streams are open")
                return super().__getitem__(key)

        result = watch("--once", answers=Full(answers()))
        assert (result.exit_code, "EVENTS" in result.output) == (0, False)


class TestScreen:
    def test_is_left_as_it_was(self, watch, monkeypatch):
        monkeypatch.setattr(screen, "usable", lambda: True)
        before = signal.getsignal(signal.SIGTERM)
        output = watch(looks=2, color=True).output
        assert output.startswith("\x1b[?1049h")
        assert output.endswith("\x1b[?1049l")
        assert output.count("\x1b[H") == 2
        assert output.count("EVENTS") == 2, "the newest stay"
        assert signal.getsignal(signal.SIGTERM) == before

    def test_is_left_when_the_daemon_goes(self, watch, monkeypatch):
        monkeypatch.setattr(screen, "usable", lambda: True)
        gone = {**answers(), ("GET", "/info"): Failed("connection lost", "rovyd has gone")}
        result = watch(answers=gone, color=True)
        assert result.exit_code == 1
        assert result.stdout.endswith("\x1b[?1049l")

    def test_what_does_not_fit_is_counted(self, capsys, monkeypatch):
        monkeypatch.setattr(screen, "get_terminal_size", lambda: os.terminal_size((80, 6)))
        drawn = screen.Screen()
        drawn.show([f"body {number}" for number in range(9)], ["", "EVENTS", "event"])
        lines = capsys.readouterr().out.removeprefix("\x1b[H").split("\n")
        assert len(lines) == 6
        assert [line.removesuffix("\x1b[K") for line in lines[:3]] == [
            "body 0",
            "body 1",
            "… 7 more lines; enlarge the terminal",
        ]

    def test_needs_a_terminal_that_can(self, monkeypatch):
        monkeypatch.setattr(screen.sys, "stdout", type("T", (), {"isatty": lambda self: True})())
        for term, can in (("xterm", True), ("dumb", False)):
            monkeypatch.setenv("TERM", term)
            assert screen.usable() is can
        monkeypatch.delenv("TERM")
        assert not screen.usable()
