"""Routes, resolving, traceroutes, the map and the firewall, as people and programs see them."""

import json

import pytest

from rovy.cli.client import Failed
from tests.unit.cli.test_commands import INFO, A, B
from tests.unit.cli.test_commands import rovyctl as rovyctl  # a fixture

C = "bafzqaidmzl2pq47qtlls3tc73zehgek6i5eidzgnl3dce6y5oyvtdjmila"
AT_A, AT_B, AT_C = "fcaa::1", "fcb5:1111:2222:3333:4444:5555:6666:7777", "fcc0::1"
HOP_B = {"peer_id": B, "name": "laptop", "slot": 1}
HOP_C = {"peer_id": C, "name": "", "slot": 2}
TRAFFIC = {
    "packets_sent": 1,
    "packets_received": 2,
    "bytes_sent": 1500,
    "bytes_received": 38,
}
DIRECT = {
    "peer_id": B,
    "address": AT_B,
    "name": "laptop",
    "label": "/rovyrt/01",
    "hops": [HOP_B],
    "via": "192.0.2.1->192.0.2.2:1312",
    "state": "active",
    "cost": 0.0012,
    "rtt": 0.0005,
    "mtu": 1475,
    "age": 12.0,
    "why": "direct peering",
    **TRAFFIC,
}
TWIN = {**DIRECT, "via": "192.0.2.2:1313", "state": "trying", "rtt": None}
ROUTED = {
    **DIRECT,
    "peer_id": C,
    "address": AT_C,
    "name": "",
    "label": "/rovyrt/01-02",
    "hops": [HOP_B, HOP_C],
    "via": "",
    "cost": 0.0034,
    "rtt": 0.0021,
    "why": "cheapest in the map",
}
NO_TRAFFIC = dict.fromkeys(TRAFFIC, 0)
OFFERED = {
    **ROUTED,
    **NO_TRAFFIC,
    "label": "/rovyrt/03-02",
    "hops": [{**HOP_B, "peer_id": "", "name": ""}, HOP_C],
    "state": "offered",
    "rtt": None,
    "age": None,
    "why": "backup: shares nothing with the cheapest",
}
ROUTES = {("GET", "/routes"): {"routes": [DIRECT, TWIN, ROUTED, OFFERED]}}
STEP = {
    "peer_id": B,
    "address": AT_B,
    "name": "laptop",
    "route": "/rovyrt/01",
    "shared": 7,
    "rtt": 0.0005,
    "result": "contacts",
    "contacts": 8,
}
RESOLVED = {
    "peer_id": C,
    "address": AT_C,
    "name": "",
    "took": 0.0042,
    "routes": [ROUTED, OFFERED],
    "steps": [],
}
MAP = {
    "nodes": [
        {"peer_id": A, "address": AT_A, "name": "", "cost": 0.0, "hops": 0, "links": [{}]},
        {"peer_id": B, "address": AT_B, "name": "laptop", "cost": 0.0012, "hops": 1, "links": [{}]},
    ],
    "links": 1,
    "records": 2,
    "waiting": 0,
    "radius": None,
}


def traced(*hops, reached=True):
    target = {"peer_id": C, "address": AT_C, "name": ""}
    return {**target, "label": "/rovyrt/01-02", "reached": reached, "hops": list(hops)}


def hop(peer, address, name="", expected=None, rtts=(0.0005, None, 0.0012)):
    return {
        "peer_id": peer,
        "address": address,
        "name": name,
        "expected": peer if expected is None else expected,
        "rtts": list(rtts),
    }


SILENT = hop("", "", expected=C, rtts=(None,) * 3)


class TestRoutes:
    def test_one_row_a_label_the_best_first(self, rovyctl):
        lines = rovyctl("routes", answers=ROUTES).output.splitlines()
        assert [" ".join(line.split()) for line in lines] == [
            "PEER LABEL HOPS COST RTT MTU STATE AGE",
            "laptop /rovyrt/01 1 1.20 ms 0.500 ms 1475 active 12s",
            "bafzqai…mila /rovyrt/01-02 2 3.40 ms 2.10 ms 1475 active 12s",
            "/rovyrt/03-02 2 3.40 ms - 1475 offered -",
        ]

    @pytest.mark.parametrize("name", ["laptop", B, f"/rovy/{B}", "bafzqai…wghe", "...wghe", AT_B])
    def test_of_one_peer_however_it_is_called(self, rovyctl, name):
        found = json.loads(rovyctl("routes", name, "--json", answers=ROUTES).output)
        assert found == {"routes": [DIRECT, TWIN]}

    def test_of_a_stranger(self, rovyctl):
        result = rovyctl("routes", "nobody", answers=ROUTES)
        assert result.exit_code == 1
        assert "no session with nobody" in result.stderr
        assert "rovyctl resolve nobody" in result.stderr

    @pytest.mark.parametrize("option", ["-v", "--hops", "--wide"])
    def test_whole(self, rovyctl, option):
        lines = rovyctl("routes", option, answers=ROUTES).output.splitlines()
        assert lines[0] == "laptop"
        assert lines[1] == "/rovyrt/01  active: direct peering, 192.0.2.1->192.0.2.2:1312"
        assert lines[2] == (
            "    cost 1.20 ms, RTT 0.500 ms, MTU 1475, age 12s, 1.5 kB out, 38 B in"
        )
        assert lines[3] == f"    1  {B}  laptop"
        assert lines[4].endswith("192.0.2.2:1313")
        first = lines.index(C)
        assert lines[first - 1] == ""
        assert lines[first + 3 : first + 5] == [f"    1  {B}  laptop", f"    2  {C}"]
        assert lines[-3:] == [
            "    cost 3.40 ms, RTT -, MTU 1475",
            "    1  not in the map",
            f"    2  {C}",
        ]
        assert max(map(len, lines)) <= 80

    def test_none(self, rovyctl):
        answers = {("GET", "/routes"): {"routes": []}}
        assert "rovyctl resolve" in rovyctl("routes", answers=answers).output


class TestResolve:
    ANSWERS = ("POST", "/resolve")

    def test_labels_are_printed_the_best_first(self, rovyctl):
        result = rovyctl("resolve", "x", "-W", "3", answers={self.ANSWERS: RESOLVED})
        assert result.exit_code == 0
        body = {"target": "x", "timeout": 3.0, "dht": False}
        assert rovyctl.daemon.asked == [("POST", "/resolve", body)]
        lines = result.output.splitlines()
        assert lines[:3] == [f"PeerID   {C}", f"Address  {AT_C}", "Took     4.20 ms"]
        assert [line.split()[0] for line in lines if line.startswith("/")] == [
            "/rovyrt/01-02",
            "/rovyrt/03-02",
        ]
        assert f"    2  {C}" in lines

    def test_steps_in_the_dht_come_first(self, rovyctl):
        answers = {self.ANSWERS: {**RESOLVED, "steps": [STEP]}}
        result = rovyctl("resolve", "x", "--dht", answers=answers)
        assert result.exit_code == 0
        assert rovyctl.daemon.asked[0][2]["dht"] is True
        lines = [" ".join(line.split()) for line in result.output.splitlines()]
        assert lines[:4] == [
            "STEP ASKED OVER BITS RTT ANSWER",
            "1 laptop /rovyrt/01 7 0.500 ms 8 nodes",
            "",
            f"PeerID {C}",
        ]

    def test_steps_of_a_failure_are_shown(self, rovyctl):
        failed = Failed("no answer", "x did not answer", passing=True, steps=[STEP])
        result = rovyctl("resolve", "x", "--dht", answers={self.ANSWERS: failed})
        assert result.exit_code == 1
        assert "8 nodes" in result.stdout
        assert result.stderr == "rovyctl: x did not answer\n"
        result = rovyctl("resolve", "x", "--dht", "--json", answers={self.ANSWERS: failed})
        document = json.loads(result.stdout)
        assert (document["error"]["reason"], document["steps"]) == ("no answer", [STEP])

    def test_itself(self, rovyctl):
        answers = {self.ANSWERS: {**RESOLVED, "name": "home", "routes": []}}
        result = rovyctl("resolve", "home", answers=answers)
        assert result.output.startswith("Name     home\n")
        assert result.output.endswith("That is this node itself.\n")

    def test_a_direct_session_has_no_label(self, rovyctl):
        direct = {**DIRECT, "label": "", "why": "direct session"}
        result = rovyctl("resolve", "x", answers={self.ANSWERS: {**RESOLVED, "routes": [direct]}})
        assert "\nno label  active: direct session, 192.0.2.1->" in result.output

    def test_out_of_reach(self, rovyctl):
        failed = Failed("no route", "x is not in the map", "`rovyctl map` lists the nodes")
        result = rovyctl("resolve", "x", answers={self.ANSWERS: failed})
        assert result.exit_code == 1
        assert result.stderr == "rovyctl: x is not in the map\n  `rovyctl map` lists the nodes\n"
        result = rovyctl("resolve", "x", "--json", answers={self.ANSWERS: failed})
        assert json.loads(result.output)["error"]["reason"] == "no route"

    def test_json(self, rovyctl):
        result = rovyctl("resolve", "x", "--json", answers={self.ANSWERS: RESOLVED})
        assert json.loads(result.output) == RESOLVED


class TestTraceroute:
    ANSWERS = ("POST", "/traceroute")

    def test_looks_like_traceroute(self, rovyctl):
        answer = traced(hop(B, AT_B, "laptop"), hop(C, AT_C))
        result = rovyctl("traceroute", "x", "-w", "1", answers={self.ANSWERS: answer})
        assert result.exit_code == 0
        assert rovyctl.daemon.asked == [("POST", "/traceroute", {"target": "x", "timeout": 1.0})]
        assert result.output.splitlines() == [
            f"traceroute to bafzqai…mila ({AT_C}), 2 hops along /rovyrt/01-02",
            f" 1  laptop ({AT_B})  0.500 ms  *  1.20 ms",
            f" 2  bafzqai…mila ({AT_C})  0.500 ms  *  1.20 ms",
        ]

    def test_wide(self, rovyctl):
        answer = traced(hop(B, AT_B, "laptop"), hop(C, AT_C))
        output = rovyctl("traceroute", "x", "--wide", answers={self.ANSWERS: answer}).output
        assert f" 1  {B} ({AT_B})" in output
        assert f" 2  {C} ({AT_C})" in output

    def test_silence(self, rovyctl):
        answer = traced(hop(B, AT_B), SILENT, reached=False)
        result = rovyctl("traceroute", "x", answers={self.ANSWERS: answer})
        assert result.exit_code == 1
        assert " 2  * * *  (bafzqai…mila should be there)\n" in result.stdout
        assert result.stderr == "Nobody behind hop 1 answered.\n"
        alone = traced({**SILENT, "expected": ""}, reached=False)
        result = rovyctl("traceroute", "x", answers={self.ANSWERS: alone})
        assert result.stdout.endswith(" 1  * * *\n")
        assert result.stderr == "Nobody answered.\n"

    def test_another_node_than_the_map_has(self, rovyctl):
        answer = traced(hop(B, AT_B, expected=C), hop(C, AT_C))
        output = rovyctl("traceroute", "x", answers={self.ANSWERS: answer}).output
        assert "1.20 ms  (the map has bafzqai…mila there)\n" in output

    def test_a_route_to_somebody_else(self, rovyctl):
        answer = traced(hop(B, AT_B, expected=C), reached=False)
        result = rovyctl("traceroute", "x", answers={self.ANSWERS: answer})
        assert (result.exit_code, result.stderr) == (1, "The route leads to another node.\n")

    def test_a_label_that_ends_in_the_dark(self, rovyctl):
        answer = {**traced({**SILENT, "expected": ""}, reached=False), "peer_id": "", "address": ""}
        output = rovyctl("traceroute", "x", answers={self.ANSWERS: answer}).stdout
        assert output.startswith("traceroute to the end, 1 hop along /rovyrt/01-02\n")

    def test_json_has_the_same_exit_status(self, rovyctl):
        answer = traced(SILENT, reached=False)
        result = rovyctl("traceroute", "x", "--json", answers={self.ANSWERS: answer})
        assert result.exit_code == 1
        assert json.loads(result.output) == answer


class TestMap:
    def test_nearest_first(self, rovyctl):
        lines = rovyctl("map", answers={("GET", "/map"): MAP}).output.splitlines()
        assert [line.split() for line in lines] == [
            ["PEER", "HOPS", "COST", "LINKS", "ADDRESS"],
            ["this", "node", "0", "-", "1", AT_A],
            ["laptop", "1", "1.20", "ms", "1", AT_B],
            ["2", "nodes,", "1", "link"],
        ]

    def test_beyond_its_radius(self, rovyctl):
        answers = {("GET", "/map"): {**MAP, "radius": 0.05}}
        output = rovyctl("map", "--wide", answers=answers).output
        assert B in output
        assert output.endswith("2 nodes, 1 link; nodes that cost more than 50.0 ms are left out\n")

    def test_json(self, rovyctl):
        result = rovyctl("map", "--json", answers={("GET", "/map"): MAP})
        assert json.loads(result.output) == MAP


class TestFirewall:
    LIST = ("GET", "/firewall")
    RULES = [  # noqa: RUF012
        {"rule": "tcp/22", "name": "", "origin": "config"},
        {"rule": f"udp/53 from {B}", "name": "laptop", "origin": "added"},
        {"rule": f"any from {C}", "name": "", "origin": "added"},
    ]

    def show(self, rovyctl, *options, **firewall):
        firewall = {"kind": "nftables", "rules": self.RULES, "counters": {}, **firewall}
        return rovyctl("firewall", "list", *options, answers={self.LIST: firewall}).output

    def test_list(self, rovyctl):
        lines = self.show(rovyctl, counters={"allowed": 3, "echo": 0, "dropped": 7}).splitlines()
        assert [line.split("  ")[0] for line in lines] == [
            "RULE",
            "tcp/22",
            "udp/53 from laptop",
            "any from bafzqai…mila",
            "guarded by nftables; packets: 3 allowed, 7 dropped",
        ]
        assert f"any from {C}" in self.show(rovyctl, "--wide")
        assert json.loads(self.show(rovyctl, "--json"))["rules"] == self.RULES

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("filter", "guarded by rovy itself"),
            ("off", "the firewall is off"),
            ("", "the interface is off"),
        ],
    )
    def test_says_what_guards(self, rovyctl, kind, text):
        assert text in self.show(rovyctl, kind=kind)

    def test_no_rules(self, rovyctl):
        assert self.show(rovyctl, rules=[]).startswith("no rules: ")

    @pytest.mark.parametrize("words", [("tcp/22 from laptop",), ("tcp/22", "from", "laptop")])
    def test_rules_need_no_quotes(self, rovyctl, words):
        answers = {("POST", "/firewall"): {"rule": f"tcp/22 from {B}", "new": True}}
        result = rovyctl("firewall", "allow", *words, answers=answers)
        assert result.output == f"allowed tcp/22 from {B}\n"
        assert rovyctl.daemon.asked == [("POST", "/firewall", {"rule": "tcp/22 from laptop"})]

    @pytest.mark.parametrize("words", [(), ("tcp/22", "laptop"), ("tcp", "to", "x")])
    @pytest.mark.parametrize("command", ["allow", "deny"])
    def test_what_cannot_be_a_rule(self, rovyctl, command, words):
        assert rovyctl("firewall", command, *words).exit_code == 2

    def test_a_rule_that_is_there(self, rovyctl):
        answers = {("POST", "/firewall"): {"rule": "tcp/22", "new": False}}
        result = rovyctl("firewall", "allow", "tcp/22", answers=answers)
        assert result.output == "was allowed already: tcp/22\n"

    def test_deny(self, rovyctl):
        path = "/firewall/tcp%2F22%20from%20laptop"
        answers = {("DELETE", path): {"rule": f"tcp/22 from {B}", "note": "it comes back"}}
        result = rovyctl("firewall", "deny", "tcp/22", "from", "laptop", answers=answers)
        assert result.output == f"denied tcp/22 from {B}\nit comes back\n"


def test_info_tells_of_map_and_interface(rovyctl):
    output = rovyctl("info", answers={("GET", "/info"): INFO}).output
    assert "4 nodes, 1 link\n" in output
    assert "rovy0, up, MTU 8955\n" in output
    assert "public, about 1 200 nodes\n" in output
    off = {**INFO, "interface": {"name": "", "state": "off", "problem": "", "mtu": 0}}
    output = rovyctl("info", answers={("GET", "/info"): off}).output
    assert "off: other programs do not reach the network\n" in output
