"""Lookups, records and the state of the DHT, as people and programs see them."""

import base64
import json

import click
import pytest
from click.testing import CliRunner

from rovy.cli import options
from rovy.cli.__main__ import cli
from rovy.cli.client import Failed
from rovy.cli.dht import complete_kinds
from tests.unit.cli.test_commands import A, B, FakeDaemon
from tests.unit.cli.test_commands import rovyctl as rovyctl  # a fixture
from tests.unit.cli.test_routes import AT_B, AT_C, STEP, C

ID = "00ff" * 10
NEAR = {"short": "1111111111111111", "peer_id": B, "name": "laptop"}
MET = {"short": "3333333333333333", "peer_id": A, "name": ""}
FAR = {"short": "2222222222222222", "peer_id": "", "name": ""}
SILENT = {**STEP, "peer_id": A, "name": "", "route": "", "rtt": None, "result": "no answer"}
LOCATOR = {
    "peer_id": C,
    "address": AT_C,
    "name": "attic",
    "sequence": 1_795_000_000_000,
    "ttl": 3600,
    "left": 3300.0,
    "anchors": [[FAR, NEAR], []],
    "links": [NEAR, MET],
    "endpoints": ["/ip4/192.0.2.1/udp/1312"],
    "size": 512,
}
FOUND = {
    "target": "33" * 20,
    "bits": 160,
    "locator": LOCATOR,
    "nearest": [
        {"peer_id": B, "address": AT_B, "name": "laptop", "shared": 31},
        {"peer_id": A, "address": AT_C, "name": "", "shared": 5},
    ],
    "steps": [STEP, SILENT, {**STEP, "result": "value", "shared": 31}],
    "took": 0.75,
}
NOTHING = {**FOUND, "locator": None, "nearest": [], "steps": []}
RECORD = {
    "kind": "service",
    "name": "www",
    "peer_id": B,
    "address": AT_B,
    "peer_name": "laptop",
    "body": "tcp/80",
    "encoding": "text",
    "sequence": 1_795_000_000_000,
    "ttl": 3600,
    "left": 3300.0,
}
STATS = {
    "joined": True,
    "contacts": 37,
    "buckets": 9,
    "values": {"locator": 120, "name": 3, "service": 0, "129": 1},
    "published": 1,
    "network_size": {"nodes": 1187.3, "exact": False},
    "lookups": 41,
    "found": 39,
    "requests": 310,
    "unanswered": 12,
    "answered": {"ping": 200, "find": 100, "store": 0},
    "anchors": [
        {"peer_id": A, "address": AT_B, "name": "", "state": "self", "hops": 0, "cost": 0.0},
        {"peer_id": B, "address": AT_B, "name": "", "state": "seated", "hops": 3, "cost": 0.012},
    ],
}


def words(output: str) -> list[str]:
    return [" ".join(line.split()) for line in output.splitlines()]


class TestLookup:
    ANSWERS = ("POST", "/lookup")

    def test_steps_locator_and_the_nearest(self, rovyctl):
        result = rovyctl("lookup", "attic", "-W", "3", answers={self.ANSWERS: FOUND})
        assert result.exit_code == 0
        assert rovyctl.daemon.asked == [("POST", "/lookup", {"target": "attic", "timeout": 3.0})]
        assert words(result.output) == [
            "STEP ASKED OVER BITS RTT ANSWER",
            "1 laptop /rovyrt/01 7 0.500 ms 8 nodes",
            "2 bafzqai…33au - 7 - no answer",
            "3 laptop /rovyrt/01 31 0.500 ms found it",
            "",
            "Name attic",
            f"PeerID {C}",
            f"Address {AT_C}",
            "Anchor 2222222222222222 > laptop > attic",
            "Anchor it is one itself",
            "Links laptop, bafzqai…33au",
            "Reached at /ip4/192.0.2.1/udp/1312",
            "Locator 512 bytes, 55m 0s of 1h 0m left",
            "Took 750 ms, 3 requests",
            "",
            "NEAREST BITS ADDRESS",
            f"laptop 31 {AT_B}",
            f"bafzqai…33au 5 {AT_C}",
        ]

    def test_wide(self, rovyctl):
        output = rovyctl("lookup", "attic", "--wide", answers={self.ANSWERS: FOUND}).output
        assert f"2  {A}  -" in output
        assert f"1  {B}  /rovyrt/01" in output
        assert f"Links       laptop, {A}" in output

    def test_fits_80_columns(self, rovyctl):
        step = {**STEP, "name": "n" * 63, "route": "/rovyrt/" + "01-" * 60, "shared": 160}
        steps = [{**step, "rtt": 9999.0, "result": "contacts", "contacts": 999}] * 999
        nearest = [{"peer_id": B, "address": AT_B, "name": "n" * 63, "shared": 160}]
        found = {**FOUND, "steps": steps, "nearest": nearest}
        lines = rovyctl("lookup", "x", answers={self.ANSWERS: found}).output.splitlines()
        assert max(map(len, lines)) <= 80

    def test_a_node_with_nothing_to_tell(self, rovyctl):
        bare = {**LOCATOR, "name": "", "anchors": [], "links": [], "endpoints": []}
        found = {**FOUND, "locator": bare}
        lines = words(rovyctl("lookup", "x", answers={self.ANSWERS: found}).output)
        assert "Anchor none leads to it" in lines
        assert "Links none" in lines

    def test_nobody_has_it(self, rovyctl):
        missing = {**FOUND, "locator": None}
        result = rovyctl("lookup", "x", answers={self.ANSWERS: missing})
        assert result.exit_code == 1
        assert "STEP" in result.output
        assert "nobody has its locator" in result.output
        result = rovyctl("lookup", "x", "--json", answers={self.ANSWERS: missing})
        assert (result.exit_code, json.loads(result.output)) == (1, missing)

    def test_nobody_to_ask(self, rovyctl):
        result = rovyctl("lookup", "x", answers={self.ANSWERS: NOTHING})
        assert result.exit_code == 1
        assert "nobody to ask is known: `rovyctl peers`" in result.output

    def test_an_id_has_no_locator(self, rovyctl):
        found = {**FOUND, "target": ID, "locator": None}
        result = rovyctl("lookup", ID.upper(), answers={self.ANSWERS: found})
        assert result.exit_code == 0
        assert "locator" not in result.output
        deaf = {**found, "nearest": [], "steps": [SILENT]}
        result = rovyctl("lookup", ID, answers={self.ANSWERS: deaf})
        assert result.exit_code == 1
        assert "nobody answered" in result.output

    @pytest.mark.parametrize(
        ("contacts", "said"), [(0, "nobody nearer"), (1, "1 node"), (2, "2 nodes")]
    )
    def test_how_many_were_named(self, rovyctl, contacts, said):
        found = {**FOUND, "steps": [{**STEP, "contacts": contacts}]}
        lines = words(rovyctl("lookup", "x", answers={self.ANSWERS: found}).output)
        assert lines[1].endswith(f"ms {said}")

    def test_bad_targets_are_wrong_usage(self, rovyctl):
        refused = Failed("malformed", "not a peer id", usage=True)
        assert rovyctl("lookup", "x", answers={self.ANSWERS: refused}).exit_code == 2


class TestGet:
    ANSWERS = ("POST", "/dht/get")

    def test_for_people(self, rovyctl):
        command = ("dht", "get", "service", "www", "--peer", "laptop", "-W", "3")
        result = rovyctl(*command, answers={self.ANSWERS: RECORD})
        assert result.exit_code == 0
        body = {"kind": "service", "name": "www", "peer": "laptop", "timeout": 3.0}
        assert rovyctl.daemon.asked == [("POST", "/dht/get", body)]
        lines = words(result.output)
        assert lines[:2] == ["Record service www", f"Signed by laptop {B}"]
        assert lines[2].startswith("Signed 2026-11-18 ")
        assert lines[2].endswith(", 55m 0s of 1h 0m left")
        assert lines[3:] == ["Body tcp/80"]

    def test_for_programs(self, rovyctl):
        command = ("dht", "get", "service", "www")
        assert json.loads(rovyctl(*command, "--json", answers={self.ANSWERS: RECORD}).output) == (
            RECORD
        )
        assert rovyctl(*command, "--raw", answers={self.ANSWERS: RECORD}).output == "tcp/80"
        coded = {**RECORD, "body": base64.b64encode(b"\xff\n\x00").decode(), "encoding": "base64"}
        result = rovyctl(*command, "--raw", answers={self.ANSWERS: coded})
        assert result.stdout_bytes == b"\xff\n\x00"
        assert "3 bytes, not text; --raw" in rovyctl(*command, answers={self.ANSWERS: coded}).output

    def test_what_others_wrote_does_not_steer_the_terminal(self, rovyctl):
        evil = {**RECORD, "body": "a\x1b[2Jb\nü\u202e", "name": "\x9b1m"}
        output = rovyctl("dht", "get", "service", "x", answers={self.ANSWERS: evil}).output
        assert "a\\x1b[2Jb\nü\\u202e" in output
        assert "service \\x9b1m" in output

    def test_nobody_keeps_it(self, rovyctl):
        failed = Failed("not found", "nobody keeps a name 'x'", "see whether", passing=True)
        result = rovyctl("dht", "get", "name", "x", answers={self.ANSWERS: failed})
        assert result.exit_code == 1
        assert result.stderr == "rovyctl: nobody keeps a name 'x'\n  see whether\n"

    def test_no_such_kind(self, rovyctl):
        failed = Failed("usage", "'x' is no kind of record", usage=True)
        assert rovyctl("dht", "get", "x", "y", answers={self.ANSWERS: failed}).exit_code == 2


class TestPut:
    ANSWERS = ("POST", "/dht/put")
    KEPT = {"stored": 7, "asked": 8, "refused": {"no room": 1}}  # noqa: RUF012

    def put(self, rovyctl, *arguments, answer=KEPT):
        result = rovyctl("dht", "put", "service", "www", *arguments, answers={self.ANSWERS: answer})
        return result, rovyctl.daemon.asked

    def test_text(self, rovyctl):
        result, [(_, _, body)] = self.put(rovyctl, "tcp/80 ü", "--ttl", "60", "-W", "3")
        assert base64.b64decode(body.pop("body")) == "tcp/80 ü".encode()
        assert body == {
            "kind": "service",
            "name": "www",
            "encoding": "base64",
            "ttl": 60,
            "timeout": 3.0,
        }
        assert result.output == "kept by 7 of 8 nodes asked\nnot kept: 1 no room\n"
        assert result.exit_code == 0

    def test_from_standard_input(self, monkeypatch):
        daemon = FakeDaemon({self.ANSWERS: self.KEPT})
        monkeypatch.setattr(options, "Client", daemon)
        arguments = ["dht", "put", "128", "blob", "-", "--json"]
        result = CliRunner().invoke(cli, arguments, input=b"\xff\x00\n")
        assert json.loads(result.output) == self.KEPT
        assert base64.b64decode(daemon.asked[0][2]["body"]) == b"\xff\x00\n"
        result = CliRunner().invoke(cli, arguments, input=bytes(1025))
        assert (result.exit_code, len(daemon.asked)) == (2, 1)
        assert "longer than 1024 bytes" in result.stderr

    def test_the_largest(self, rovyctl):
        result, asked = self.put(rovyctl, "x" * 1024)
        assert (result.exit_code, len(asked)) == (0, 1)
        result, asked = self.put(rovyctl, "x" * 1025)
        assert (result.exit_code, asked) == (2, [])

    @pytest.mark.parametrize("ttl", ["0", "86401", "x"])
    def test_how_long_it_counts_has_bounds(self, rovyctl, ttl):
        assert self.put(rovyctl, "x", "--ttl", ttl)[0].exit_code == 2

    @pytest.mark.parametrize(
        ("asked", "said"), [(0, "none is known"), (1, "1 node asked"), (3, "3 nodes asked")]
    )
    def test_nobody_took_it(self, rovyctl, asked, said):
        answer = {"stored": 0, "asked": asked, "refused": {}}
        result, _ = self.put(rovyctl, "x", answer=answer)
        assert result.exit_code == 1
        assert f"no other node keeps it yet, {said}; this one tries again" in result.output


class TestStats:
    ANSWERS = ("GET", "/dht")

    def test_for_people(self, rovyctl):
        result = rovyctl("dht", "stats", answers={self.ANSWERS: STATS})
        assert words(result.output) == [
            "Network about 1 200 nodes",
            "Contacts 37 nodes in 9 buckets, joined",
            "Keeps 120 locators, 3 names, 1 of kind 129",
            "Published 1 own value",
            "Lookups 41, 39 found what they looked for",
            "Asked 310 requests, 12 without an answer",
            "Answered 200 pings, 100 finds",
            "",
            "ANCHOR STATE HOPS COST ADDRESS",
            f"this node self 0 - {AT_B}",
            f"bafzqai…wghe seated 3 12.0 ms {AT_B}",
        ]
        wide = rovyctl("dht", "stats", "--wide", answers={self.ANSWERS: STATS}).output
        assert f"{A}  self" in wide

    def test_of_a_node_alone(self, rovyctl):
        alone = {
            **STATS,
            "joined": False,
            "values": {},
            "answered": {},
            "anchors": [],
            "network_size": {"nodes": 1.0, "exact": True},
        }
        lines = words(rovyctl("dht", "stats", answers={self.ANSWERS: alone}).output)
        assert lines[0] == "Network this node alone"
        assert lines[1].endswith("not joined yet")
        assert "Keeps nothing for others yet" in lines
        assert "Answered nobody yet" in lines
        assert lines[-1] == "no anchors: there is a way to none"

    def test_json(self, rovyctl):
        result = rovyctl("dht", "stats", "--json", answers={self.ANSWERS: STATS})
        assert json.loads(result.output) == STATS


def test_kinds_are_completed():
    def complete(incomplete):
        found = complete_kinds(click.Context(cli), click.Argument(["kind"]), incomplete)
        return [item.value for item in found]

    assert complete("") == ["name", "service"]
    assert complete("s") == ["service"]
    assert complete("1") == []


@pytest.mark.parametrize("path", [("lookup",), ("resolve",), ("dht", "get")])
def test_nodes_are_completed(path):
    command = cli
    for name in path:
        command = command.commands[name]
    wanted = {"target", "peer"}
    [which] = [each for each in command.params if each.name in wanted]
    assert which._custom_shell_complete is options.complete_peers


def test_ping_goes_on_where_a_node_is_not_found_yet(rovyctl):
    pong = {"peer_id": B, "rtt": 0.0005, "route": "192.0.2.2:1312", "size": 56}
    missing = Failed("not found", "nobody knows where it is", passing=True)
    answers = {("POST", "/ping"): [missing, pong]}
    result = rovyctl("ping", "x", "-c2", "-i0.01", answers=answers)
    assert result.exit_code == 0
    assert "nobody knows where it is seq=1" in result.output
