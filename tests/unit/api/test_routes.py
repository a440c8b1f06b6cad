"""Routes, the map, traceroutes and the firewall: from the node's own types to what is answered."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from rovy.address.keys import PeerID, address_text
from rovy.address.label import Label
from rovy.api import server
from rovy.api.control import AllowedRule, Firewall
from rovy.api.server import Server, errors
from rovy.api.views import interface_view
from rovy.errors import Unreachable
from rovy.fcnet.rules import Rule
from rovy.node.events import MapInfo, MapLink, MapNode, RouteInfo, StepInfo, Traced, TracedHop
from tests.unit.api.fakes import A, B, FakeControl, FakeNode, kept

OWN = PeerID.parse("bafzqaidmzl2pq47qtlls3tc73zehgek6i5eidzgnl3dce6y5oyvtdjmila")
LABEL = Label.of(1, 300)
ROUTE = RouteInfo(
    peer=B,
    label=LABEL,
    hops=(A, B),
    via="",
    state="active",
    cost=0.003,
    rtt=0.002,
    mtu=1418,
    age=1.5,
    why="cheapest in the map",
    packets_sent=1,
    packets_received=2,
    bytes_sent=3,
    bytes_received=4,
)
STEP = StepInfo(A, "/rovyrt/01", 7, 0.25, "contacts", 3)
UNMEASURED = replace(ROUTE, rtt=None)
NOWHERE = Traced(None, LABEL, ())
FIREWALL = Firewall(
    "nftables",
    [
        AllowedRule(Rule.parse("tcp/22"), "config"),
        AllowedRule(Rule.parse(f"any from {A}"), "added"),
    ],
    {"dropped": 7},
)


@dataclass
class RoutingNode(FakeNode):
    """One that has a map, a route to B by way of A, and remembers what it was asked."""

    peer_id: PeerID = OWN
    ways: list[RouteInfo] = field(default_factory=lambda: [ROUTE])
    found: list[RouteInfo] | Unreachable = field(default_factory=lambda: [ROUTE])
    followed: Traced = NOWHERE
    asked: list[tuple] = field(default_factory=list)
    deaf: int = 0
    """Pings that stay without an answer."""

    def routes(self):
        return self.ways

    def map(self):
        return MapInfo(2, 1, 3, 1, None)

    def map_nodes(self):
        to_a, back = MapLink(A, 1, 0.001, 1400), MapLink(OWN, 9, 0.001, 1400)
        return [MapNode(OWN, 0.0, 0, (to_a,)), MapNode(A, 0.001, 1, (back,))]

    async def resolve(self, target, *, timeout, dht=False, trace=None):
        self.asked.append(("resolve", target, timeout))
        if dht:
            self.asked.append(("lookup", target, timeout))
            trace(STEP)
        if isinstance(self.found, Unreachable):
            raise self.found
        return self.found

    async def ping(self, target, *, timeout):
        self.asked.append(("ping", target, timeout))
        await asyncio.sleep(timeout / 100)
        if self.deaf:
            self.deaf -= 1
            raise Unreachable("no answer", "lost")

    async def traceroute(self, target, *, timeout):
        self.asked.append(("traceroute", target, timeout))
        return self.followed


@dataclass
class RoutingControl(FakeControl):
    node: RoutingNode = field(default_factory=RoutingNode)
    peers: dict = field(default_factory=lambda: {A: kept(A, "laptop")})

    def find(self, text):
        return {"laptop": A, "far": B, "home": OWN}[text]

    async def firewall(self):
        return FIREWALL

    async def allow(self, text):
        return Rule.parse(text), text != "tcp/22"

    async def disallow(self, text):
        return Rule.parse(text), "it comes back" if text == "tcp/22" else ""


def ask(handler, body=None, *, node=None, control=None, **matched):
    """Status and answer of one of the server's handlers."""

    async def read():
        return json.dumps(body).encode()

    request = SimpleNamespace(read=read, match_info=matched, method="GET", path="/")
    found = Server(control or RoutingControl(node or RoutingNode()))
    response = asyncio.run(errors(request, getattr(found, handler)))
    return response.status, json.loads(response.body)


def test_routes_have_names_and_slots():
    status, answer = ask("_routes")
    [route] = answer["routes"]
    assert status == 200
    assert route["hops"] == [
        {"peer_id": str(A), "name": "laptop", "slot": 1},
        {"peer_id": str(B), "name": "", "slot": 300},
    ]
    assert (route["label"], route["name"]) == ("/rovyrt/01-f1-2c", "")
    assert route["address"] == address_text(B.address)
    same = ("via", "state", "cost", "rtt", "mtu", "age", "why", "packets_sent", "bytes_received")
    assert [route[name] for name in same] == [getattr(ROUTE, name) for name in same]


def test_hops_that_nobody_knows_and_sessions_without_a_slot():
    hidden = replace(ROUTE, hops=(None, B))
    direct = replace(ROUTE, peer=A, label=None, hops=(A,), via="192.0.2.1:1312")
    _, answer = ask("_routes", node=RoutingNode(ways=[hidden, direct]))
    first, second = answer["routes"]
    assert first["hops"][0] == {"peer_id": "", "name": "", "slot": 1}
    assert (second["label"], second["name"]) == ("", "laptop")
    assert second["hops"] == [{"peer_id": str(A), "name": "laptop", "slot": 0}]


def test_resolve_says_how_long_it_took():
    node = RoutingNode()
    status, answer = ask("_resolve", {"target": "far", "timeout": 3}, node=node)
    assert status == 200
    assert node.asked == [("resolve", B, 3.0), ("ping", B, server.FIRST_PING)]
    assert (answer["peer_id"], answer["name"]) == (str(B), "")
    assert answer["address"] == address_text(B.address)
    assert 0 <= answer["took"] < 1
    assert [route["label"] for route in answer["routes"]] == [str(LABEL)]


def test_resolve_proves_that_the_node_answers_and_shows_what_that_measured():
    node = RoutingNode(found=[UNMEASURED], deaf=2)
    _, answer = ask("_resolve", {"target": "far"}, node=node)
    assert [patience for what, _, patience in node.asked if what == "ping"] == [0.5, 1.0, 2.0]
    assert answer["routes"][0]["rtt"] == ROUTE.rtt
    gone = RoutingNode(found=[UNMEASURED], ways=[])
    assert ask("_resolve", {"target": "far"}, node=gone)[1]["routes"][0]["rtt"] is None


def test_a_session_that_nobody_answers_in_is_no_route():
    node = RoutingNode(deaf=1000)
    status, answer = ask("_resolve", {"target": "far", "timeout": 0.02}, node=node)
    assert (status, answer["error"]["reason"]) == (504, "no answer")
    assert str(B) in answer["error"]["message"]


def test_resolve_of_the_node_itself():
    _, answer = ask("_resolve", {"target": "home"}, node=RoutingNode(found=[]))
    assert (answer["peer_id"], answer["routes"]) == (str(OWN), [])


def test_resolve_asks_the_dht_where_it_is_told_to():
    node = RoutingNode()
    assert ask("_resolve", {"target": "far"}, node=node)[1]["steps"] == []
    assert "lookup" not in [what for what, *_ in node.asked]
    _, answer = ask("_resolve", {"target": "far", "dht": True, "timeout": 3}, node=node)
    assert ("lookup", B, 3.0) in node.asked
    assert answer["steps"] == [
        {
            "peer_id": str(A),
            "address": address_text(A.address),
            "name": "laptop",
            "route": "/rovyrt/01",
            "shared": 7,
            "rtt": 0.25,
            "result": "contacts",
            "contacts": 3,
        }
    ]
    assert [route["label"] for route in answer["routes"]] == [str(LABEL)]


@pytest.mark.parametrize("why", [{"found": Unreachable("no route", "gone")}, {"deaf": 1000}])
def test_a_failure_tells_what_was_asked(why):
    asked = {"target": "far", "timeout": 0.02}
    status, answer = ask("_resolve", {**asked, "dht": True}, node=RoutingNode(**why))
    assert status == 504
    assert answer["error"]["remedy"]
    assert [step["result"] for step in answer["steps"]] == ["contacts"]
    _, answer = ask("_resolve", asked, node=RoutingNode(**why))
    assert set(answer) == {"error"}


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("no route", "rovyctl map"),
        ("no answer", "firewall"),
        ("silence", "firewall"),
        ("not found", "rovyctl dht stats"),
    ],
)
def test_out_of_reach_comes_with_a_remedy(reason, remedy):
    node = RoutingNode(found=Unreachable(reason, "out of reach"))
    status, answer = ask("_resolve", {"target": "far"}, node=node)
    assert status == 504
    assert answer["error"]["reason"] == reason
    assert remedy in answer["error"]["remedy"]


def test_map_is_the_node_itself_and_those_around():
    status, answer = ask("_map")
    assert status == 200
    own, near = answer["nodes"]
    assert (own["peer_id"], own["hops"], own["cost"]) == (str(OWN), 0, 0.0)
    assert own["links"] == [
        {"peer_id": str(A), "name": "laptop", "slot": 1, "cost": 0.001, "mtu": 1400}
    ]
    assert (near["name"], near["address"]) == ("laptop", address_text(A.address))
    rest = {name: answer[name] for name in ("links", "records", "waiting", "radius")}
    assert rest == {"links": 1, "records": 3, "waiting": 1, "radius": None}


def hop(peer, *rtts, expected=None):
    return TracedHop(expected or peer, peer, rtts)


@pytest.mark.parametrize(
    ("peer", "hops", "reached"),
    [
        (B, (hop(A, 0.001, None), hop(B, 0.002)), True),
        (B, (hop(A, 0.001), hop(None, None, expected=B)), False),
        (B, (hop(A, 0.001), hop(A, 0.002)), False),  # another one than was meant
        (None, (hop(None, None),), False),
        (OWN, (), True),
    ],
)
def test_traceroute_knows_whether_it_got_there(peer, hops, reached):
    node = RoutingNode(followed=Traced(peer, LABEL, hops))
    status, answer = ask("_traceroute", {"target": "far", "timeout": 1}, node=node)
    assert (status, answer["reached"]) == (200, reached)
    assert node.asked == [("traceroute", B, 1.0)]
    assert answer["peer_id"] == str(peer or "")
    assert [h["rtts"] for h in answer["hops"]] == [list(h.rtts) for h in hops]
    assert [h["expected"] for h in answer["hops"]] == [str(h.expected or "") for h in hops]


def test_traceroute_names_who_answered():
    node = RoutingNode(followed=Traced(B, None, (hop(A, 0.001),)))
    _, answer = ask("_traceroute", {"target": "far"}, node=node)
    [found] = answer["hops"]
    assert (found["peer_id"], found["name"]) == (str(A), "laptop")
    assert found["address"] == address_text(A.address)
    assert answer["label"] == ""


@pytest.mark.parametrize("timeout", [0, 61, "x"])
def test_a_traceroute_has_bounds(timeout):
    status, _ = ask("_traceroute", {"target": "far", "timeout": timeout})
    assert status == 400


def test_firewall_names_nodes_and_origins():
    status, answer = ask("_firewall")
    assert status == 200
    assert answer == {
        "kind": "nftables",
        "rules": [
            {"rule": "tcp/22", "name": "", "origin": "config"},
            {"rule": f"any from {A}", "name": "laptop", "origin": "added"},
        ],
        "counters": {"dropped": 7},
    }


def test_allow_and_deny():
    assert ask("_allow", {"rule": "udp/53"}) == (201, {"rule": "udp/53", "new": True})
    assert ask("_allow", {"rule": "tcp/22"}) == (200, {"rule": "tcp/22", "new": False})
    assert ask("_allow", {"rule": "x"})[0] == 400
    assert ask("_allow", {"rule": "t" * 257})[0] == 400
    assert ask("_deny", rule="udp/53") == (200, {"rule": "udp/53"})
    assert ask("_deny", rule="tcp/22") == (200, {"rule": "tcp/22", "note": "it comes back"})


def test_interface_is_up_down_or_off():
    works = SimpleNamespace(name="rovy0", problem="")
    assert interface_view(works, 8955).state == "up"
    broken = interface_view(SimpleNamespace(name="rovy0", problem="no permission"), 8955)
    assert (broken.state, broken.problem, broken.mtu) == ("down", "no permission", 8955)
    assert (interface_view(None, 8955).state, interface_view(None, 8955).mtu) == ("off", 0)
