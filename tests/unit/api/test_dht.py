"""Lookups, records and the state of the DHT: what is asked of the node, and what is answered."""

import base64
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from rovy.address.keys import address_text
from rovy.address.label import Label
from rovy.address.multiaddr import Multiaddr
from rovy.address.target import NodeAddress
from rovy.api import dht_views
from rovy.errors import Unreachable
from rovy.node.events import (
    LocatorInfo,
    LookupInfo,
    PutInfo,
    RecordInfo,
    StepInfo,
)
from tests.unit.api.fakes import AT_A, DHT, A, B
from tests.unit.api.test_routes import OWN, RoutingControl, RoutingNode
from tests.unit.api.test_routes import ask as ask_routes

NOW = 1_795_000_000_000
STRANGER = bytes(range(8))
STEPS = (
    StepInfo(A, "/rovyrt/01", 7, 0.25, "contacts", 3),
    StepInfo(B, "", 9, None, "no answer", 0),
)
LOCATOR = LocatorInfo(
    peer=B,
    sequence=NOW - 600_000,
    ttl=3600,
    anchors=((STRANGER, A.short), ()),
    links=(A.short, OWN.short),
    endpoints=("/ip4/192.0.2.1/udp/1312",),
    size=512,
)
FOUND = LookupInfo(B.node_id, 160, LOCATOR, (B, A), STEPS, 0.75)
NOWHERE = replace(FOUND, locator=None, nearest=(), steps=())
RECORD = RecordInfo("service", B, "www", "tcp/80 – all".encode(), NOW - 5000, 3600)


@dataclass
class DhtNode(RoutingNode):
    """Remembers what it was asked, and answers what it was given."""

    brings: LookupInfo = FOUND
    record: RecordInfo | Unreachable = RECORD
    put: PutInfo = field(default_factory=lambda: PutInfo(7, 8, {"no room": 1}))

    async def lookup(self, target, *, timeout):
        self.asked.append(("lookup", target, timeout))
        return self.brings

    async def dht_get(self, kind, name, peer, *, timeout):
        self.asked.append(("get", kind, name, peer, timeout))
        if isinstance(self.record, Unreachable):
            raise self.record
        return self.record

    async def dht_put(self, kind, name, body, *, ttl, timeout):
        self.asked.append(("put", kind, name, body, ttl, timeout))
        return self.put


class DhtControl(RoutingControl):
    def find(self, text):
        others = {
            "address of A": NodeAddress(A.address),
            "address of B": NodeAddress(B.address),
            "multiaddr": Multiaddr.of(AT_A, B),
            "label": Label.of(1),
        }
        return others.get(text) or super().find(text)


def ask(handler, body=None, node=None):
    return ask_routes(handler, body, control=DhtControl(node or DhtNode()))


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(dht_views, "time", SimpleNamespace(time=lambda: NOW / 1000))


class TestLookup:
    def test_of_a_node(self):
        node = DhtNode()
        status, answer = ask("_lookup", {"target": "far", "timeout": 3}, node)
        assert status == 200
        assert node.asked == [("lookup", B, 3.0)]
        assert (answer["target"], answer["bits"]) == (B.node_id.hex(), 160)
        assert answer["took"] == 0.75
        assert [step["peer_id"] for step in answer["steps"]] == [str(A), str(B)]
        assert [step["name"] for step in answer["steps"]] == ["laptop", ""]
        silent = answer["steps"][1]
        assert (silent["route"], silent["rtt"], silent["result"]) == ("", None, "no answer")

    def test_locators_name_nodes_that_are_known(self):
        locator = ask("_lookup", {"target": "far"})[1]["locator"]
        near = {"short": A.short.hex(), "peer_id": str(A), "name": "laptop"}
        far = {"short": STRANGER.hex(), "peer_id": "", "name": ""}
        own = {"short": OWN.short.hex(), "peer_id": str(OWN), "name": ""}
        assert locator["anchors"] == [[far, near], []]
        assert locator["links"] == [near, own]
        assert (locator["peer_id"], locator["address"]) == (str(B), address_text(B.address))
        same = ("sequence", "ttl", "size")
        assert [locator[name] for name in same] == [getattr(LOCATOR, name) for name in same]
        assert locator["endpoints"] == list(LOCATOR.endpoints)
        assert locator["left"] == 3000

    def test_what_has_expired_has_no_time_left(self):
        old = replace(FOUND, locator=replace(LOCATOR, sequence=0))
        assert ask("_lookup", {"target": "far"}, DhtNode(brings=old))[1]["locator"]["left"] == 0

    def test_the_nearest_come_with_what_they_share(self):
        first, second = ask("_lookup", {"target": "far"})[1]["nearest"]
        assert (first["peer_id"], first["shared"]) == (str(B), 160)
        digits = "".join(f"{a ^ b:08b}" for a, b in zip(A.node_id, B.node_id, strict=True))
        assert (second["name"], second["shared"]) == ("laptop", digits.index("1"))

    @pytest.mark.parametrize("text", ["00ff" * 10, "00FF" * 10])
    def test_any_id_may_be_looked_for(self, text):
        node = DhtNode()
        ask("_lookup", {"target": text}, node)
        assert node.asked == [("lookup", bytes.fromhex(text), 10.0)]

    def test_nothing_found_is_an_answer(self):
        status, answer = ask("_lookup", {"target": "far"}, DhtNode(brings=NOWHERE))
        assert (status, answer["locator"], answer["steps"]) == (200, None, [])

    @pytest.mark.parametrize(
        "body", [{}, {"target": ""}, {"target": "far", "timeout": 0}, {"target": "far", "x": 1}]
    )
    def test_bad_requests(self, body):
        assert ask("_lookup", body)[0] == 400


class TestGet:
    def test_by_its_signer(self):
        node = DhtNode()
        body = {"kind": "service", "name": "www", "peer": "far", "timeout": 3}
        status, answer = ask("_get_record", body, node)
        assert status == 200
        assert node.asked == [("get", "service", "www", B, 3.0)]
        assert (answer["body"], answer["encoding"]) == ("tcp/80 – all", "text")
        assert (answer["kind"], answer["name"]) == ("service", "www")
        assert (answer["peer_id"], answer["peer_name"]) == (str(B), "")
        assert answer["address"] == address_text(B.address)
        assert (answer["sequence"], answer["ttl"]) == (RECORD.sequence, 3600)
        assert answer["left"] == 3595

    def test_of_this_node_by_default(self):
        node = DhtNode()
        ask("_get_record", {"kind": "128", "name": "x"}, node)
        assert node.asked == [("get", "128", "x", OWN, 10.0)]

    def test_bodies_that_are_no_text(self):
        node = DhtNode(record=replace(RECORD, body=b"\xff\x00"))
        answer = ask("_get_record", {"kind": "128", "name": "x"}, node)[1]
        assert answer["encoding"] == "base64"
        assert base64.b64decode(answer["body"]) == b"\xff\x00"

    @pytest.mark.parametrize("signer", ["address of A", "laptop"])
    def test_an_address_that_is_known_needs_no_lookup(self, signer):
        node = DhtNode()
        ask("_get_record", {"kind": "name", "name": "x", "peer": signer}, node)
        assert node.asked == [("get", "name", "x", A, 10.0)]

    def test_an_address_leads_to_a_key(self):
        node = DhtNode(infos=[])
        ask("_get_record", {"kind": "name", "name": "x", "peer": "address of B"}, node)
        assert node.asked == [
            ("lookup", NodeAddress(B.address), 10.0),
            ("get", "name", "x", B, 10.0),
        ]

    def test_a_multiaddr_says_who(self):
        node = DhtNode()
        ask("_get_record", {"kind": "name", "name": "x", "peer": "multiaddr"}, node)
        assert node.asked == [("get", "name", "x", B, 10.0)]

    def test_signers_that_nobody_knows(self):
        node = DhtNode(infos=[], brings=NOWHERE)
        body = {"kind": "name", "name": "x", "peer": "address of B"}
        status, answer = ask("_get_record", body, node)
        assert (status, answer["error"]["reason"]) == (504, "not found")
        status, answer = ask("_get_record", {**body, "peer": "label"})
        assert (status, answer["error"]["reason"]) == (400, "usage")

    def test_nobody_keeps_it(self):
        node = DhtNode(record=Unreachable("not found", "nobody keeps it"))
        status, answer = ask("_get_record", {"kind": "name", "name": "x"}, node)
        assert (status, answer["error"]["reason"]) == (504, "not found")
        assert "dht stats" in answer["error"]["remedy"]


class TestPut:
    def test_text(self):
        node = DhtNode()
        asked = {"kind": "name", "name": "home", "body": "è", "ttl": 60, "timeout": 3}
        status, answer = ask("_put_record", asked, node)
        assert (status, answer) == (200, {"stored": 7, "asked": 8, "refused": {"no room": 1}})
        assert node.asked == [("put", "name", "home", "è".encode(), 60, 3.0)]

    def test_counts_for_a_day(self):
        node = DhtNode()
        ask("_put_record", {"kind": "name", "name": "home", "body": ""}, node)
        assert node.asked == [("put", "name", "home", b"", 86400, 10.0)]

    def test_what_get_answers_can_be_put(self):
        for body in (b"text", b"\xff\x00", "ü".encode()):
            found = ask(
                "_get_record",
                {"kind": "200", "name": "x"},
                DhtNode(record=replace(RECORD, body=body)),
            )[1]
            node = DhtNode()
            again = {key: found[key] for key in ("kind", "name", "body", "encoding", "ttl")}
            assert ask("_put_record", again, node)[0] == 200
            assert node.asked[0][3] == body

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kind": ""},
            {"kind": "k" * 17},
            {"name": ""},
            {"name": "n" * 64},
            {"name": "ü" * 32},
            {"body": 3},
            {"body": "b" * 1025},
            {"body": "ü" * 513},
            {"body": "no base64", "encoding": "base64"},
            {"body": "AA==x", "encoding": "base64"},
            {"body": "ü", "encoding": "base64"},
            {"body": base64.b64encode(bytes(1025)).decode(), "encoding": "base64"},
            {"encoding": "hex"},
            {"ttl": 0},
            {"ttl": 86401},
            {"ttl": 1.5},
            {"peer": "far"},
        ],
        ids=str,
    )
    def test_bad_requests(self, wrong):
        node = DhtNode()
        body = {"kind": "name", "name": "x", "body": "y", **wrong}
        status, answer = ask("_put_record", body, node)
        assert (status, node.asked) == (400, [])
        assert answer["error"]["message"]

    def test_the_largest(self):
        node = DhtNode()
        body = {"kind": "255", "name": "ü" * 31, "body": "b" * 1024}
        assert ask("_put_record", body, node)[0] == 200


class TestState:
    def test_of_the_dht(self):
        status, answer = ask("_dht")
        assert status == 200
        anchors = answer.pop("anchors")
        assert answer.pop("network_size") == {"nodes": DHT.size, "exact": DHT.exact}
        assert answer == {name: getattr(DHT, name) for name in answer}
        assert [(a["name"], a["state"], a["hops"], a["cost"]) for a in anchors] == [
            ("laptop", "seated", 3, 0.25),
            ("", "candidate", 5, 0.5),
        ]
        assert anchors[1]["address"] == address_text(B.address)

    def test_among_the_counters(self):
        counters = ask("_counters")[1]["counters"]["dht"]
        assert counters == {
            "lookups": DHT.lookups,
            "lookups found": DHT.found,
            "requests sent": DHT.requests,
            "requests unanswered": DHT.unanswered,
            "ping answered": 611,
            "find answered": 612,
        }
