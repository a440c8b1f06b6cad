"""The packets of tests/vectors/packets.json: fields from their hex, hex from their fields."""

import importlib.util
import json
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import Label, back_label
from rovy.address.multiaddr import Multiaddr
from rovy.dht.record import SignedRecord
from rovy.errors import Malformed
from rovy.noise.handshake import PROLOGUE, PROTOCOL, Initiator, Responder
from rovy.noise.mac import check, mac, mac1_key, open_cookie, seal_cookie
from rovy.noise.xeddsa import sign, verify
from rovy.routing import anchor_gone
from rovy.routing.anchor_neighbour import digest
from rovy.routing.anchor_seats import rank
from rovy.routing.beacon import Beacon, Step, Verified
from rovy.routing.locator import Locator, LocatorLink
from rovy.routing.record import LinkEntry, LinkRecord
from rovy.wire import beacon as anchors
from rovy.wire import control, dht, flood
from rovy.wire.datagram import (
    COUNTER_MASK,
    DATA,
    DATA_HEADER,
    CookieReply,
    Hello,
    Response,
    Type,
    data_header,
    nonce,
)
from rovy.wire.forward import (
    LABEL,
    LEN,
    POS,
    ForwardHeader,
    emit_header,
    entry_slot,
    overwrite,
)
from rovy.wire.mapping import MapAnswer, MapLink, emit_ask, emit_map, parse_ask
from rovy.wire.notice import TRACE_SIZE, Code, Notice, TraceAnswer, trace_nonce
from rovy.wire.payload import Early, Payload
from rovy.wire.piece import Piece, cut

VECTORS = Path(__file__).parents[2] / "vectors"
FILE = json.loads((VECTORS / "packets.json").read_text())
PACKETS = FILE["packets"]
ALICE, BOB = (PrivateKey(bytes.fromhex(FILE[name]["private"])) for name in ("alice", "bob"))


def of_kind(*kinds):
    chosen = [packet for packet in PACKETS if packet["kind"] in kinds]
    return pytest.mark.parametrize("packet", chosen, ids=lambda packet: packet["name"])


def unhex(fields, *names):
    return (bytes.fromhex(fields[name]) for name in names)


def test_file_is_what_its_script_writes():
    path = VECTORS / "make_packets.py"
    spec = importlib.util.spec_from_file_location("make_packets", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.render() == (VECTORS / "packets.json").read_text()


def test_every_kind_is_there():
    assert {packet["kind"] for packet in PACKETS} == {
        "hello",
        "response",
        "cookie",
        "data",
        "notice",
    }
    codes = {packet["fields"]["code"] for packet in PACKETS if packet["kind"] == "notice"}
    assert codes == set(Code)
    messages = [packet["fields"].get("message", {}) for packet in PACKETS]
    assert len({message["type"] for message in messages if message}) == 17


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_keys(name):
    peer = PrivateKey(bytes.fromhex(FILE[name]["private"])).peer_id
    assert FILE[name] == {
        "private": FILE[name]["private"],
        "public": peer.key.hex(),
        "peer_id": str(peer),
        "address": peer.address.hex(),
        "node_id": peer.node_id.hex(),
    }
    assert PeerID.parse(FILE[name]["peer_id"]) == peer
    assert bytes.fromhex(FILE["prologue"]) == PROLOGUE
    assert FILE["protocol"].encode() == PROTOCOL


@of_kind("hello")
def test_hello(packet):
    fields, raw = packet["fields"], bytes.fromhex(packet["hex"])
    noise, mac1, mac2, psk, cookie = unhex(fields, "noise", "mac1", "mac2", "psk", "cookie")
    hello = Hello(fields["sender"], noise, mac1, mac2)
    assert Hello.parse(raw) == hello
    assert hello.emit() == raw
    assert check(mac1_key(BOB.peer_id.key, psk), hello.signed(), mac1)
    assert mac2 == (mac(cookie, hello.signed() + mac1) if cookie else bytes(16))

    (ephemeral,) = unhex(fields, "ephemeral")
    plain = bytes.fromhex(fields["payload"]["hex"])
    assert Initiator(ALICE, BOB.peer_id, psk, ephemeral).write(plain) == noise
    opened = Responder(BOB, noise, psk, lambda: bytes(32))
    assert (opened.payload, opened.peer_key) == (plain, ALICE.peer_id.key)
    assert_payload(fields["payload"], plain, hello=True)


@of_kind("response")
def test_response(packet):
    fields, raw = packet["fields"], bytes.fromhex(packet["hex"])
    noise, mac1, mac2, psk, ephemeral = unhex(fields, "noise", "mac1", "mac2", "psk", "ephemeral")
    response = Response(fields["sender"], fields["receiver"], noise, mac1, mac2)
    assert Response.parse(raw) == response
    assert response.emit() == raw
    assert check(mac1_key(ALICE.peer_id.key, psk), response.signed(), mac1)

    hello = PACKETS[PACKETS.index(packet) - 1]
    assert hello["fields"]["sender"] == fields["receiver"]
    assert len(raw) <= len(hello["hex"]) // 2
    first, theirs = unhex(hello["fields"], "ephemeral", "noise")
    initiator = Initiator(ALICE, BOB.peer_id, psk, first)
    initiator.write(bytes.fromhex(hello["fields"]["payload"]["hex"]))
    responder = Responder(BOB, theirs, psk, lambda: ephemeral)
    plain = bytes.fromhex(fields["payload"]["hex"])
    assert responder.write(plain) == noise
    assert initiator.read(noise) == plain
    keys = tuple(bytearray(key) for key in unhex(fields, "initiator_key", "responder_key"))
    assert initiator.keys() == keys
    assert responder.keys() == keys[::-1]
    assert_payload(fields["payload"], plain, hello=False)


@of_kind("cookie")
def test_cookie_reply(packet):
    fields, raw = packet["fields"], bytes.fromhex(packet["hex"])
    number, sealed, cookie, mac1 = unhex(fields, "nonce", "sealed", "cookie", "mac1")
    reply = CookieReply(fields["receiver"], number, sealed)
    assert CookieReply.parse(raw) == reply
    assert reply.emit() == raw
    assert open_cookie(BOB.peer_id.key, number, sealed, mac1) == cookie
    assert seal_cookie(BOB.peer_id.key, number, cookie, mac1) == sealed


@of_kind("data")
def test_data(packet):
    fields, raw = packet["fields"], bytes.fromhex(packet["hex"])
    key, payload = unhex(fields, "key", "payload")
    word, receiver = DATA.unpack_from(raw)
    assert (word >> 56, word & COUNTER_MASK, receiver) == (
        Type.DATA,
        fields["counter"],
        fields["receiver"],
    )
    header, plain = raw[:DATA_HEADER], bytes((fields["codec"],)) + payload
    cipher = ChaCha20Poly1305(key)
    assert cipher.decrypt(nonce(fields["counter"]), raw[DATA_HEADER:], header) == plain
    assert data_header(fields["counter"], fields["receiver"]) == header
    assert header + cipher.encrypt(nonce(fields["counter"]), plain, header) == raw
    if "message" in fields:
        assert fields["codec"] == 0
        assert_message(fields["message"], payload)


@of_kind("notice")
def test_notice(packet):
    fields, raw = packet["fields"], bytes.fromhex(packet["hex"])
    (body,) = unhex(fields, "body")
    notice = Notice(Code(fields["code"]), fields["mtu"], body)
    assert Notice.parse(raw) == notice
    assert notice.emit() == raw
    if notice.code is Code.TRACE_REQUEST:
        (number,) = unhex(fields["trace"], "nonce")
        assert trace_nonce(body) == number
        assert body == number + bytes(TRACE_SIZE - len(number))
    elif notice.code is Code.TRACE_ANSWER:
        number, key, signature, label, domain, drawn = unhex(
            fields["trace"], "nonce", "key", "signature", "label", "domain", "signature_nonce"
        )
        assert TraceAnswer.parse(body) == TraceAnswer(number, key, signature, label)
        assert TraceAnswer(number, key, signature, label).emit() == body
        verify(key, domain, number + label, signature)
        assert sign(BOB, domain, number + label, drawn) == signature
        assert Label(label).data == label
    else:
        probe = next(packet for packet in PACKETS if packet["name"] == "data: probe")
        assert bytes.fromhex(probe["hex"]).startswith(body)


def test_forward_packet_at_every_node():
    forward = FILE["forward"]
    steps, inner = forward["steps"], bytes.fromhex(forward["inner"])
    label = Label.parse(forward["label"])
    assert list(label.slots) == forward["slots"]
    assert emit_header(label.rest) + inner == bytes.fromhex(steps[0]["hex"])
    for step in steps:
        (carried,) = unhex(step, "label")
        header = ForwardHeader(step["pos"], carried)
        raw = bytes.fromhex(step["hex"])
        assert ForwardHeader.parse(raw) == header
        assert header.emit() + inner == raw
        assert header.size == step["header"]
    for before, after in pairwise(steps):
        raw = bytearray.fromhex(before["hex"])
        at = LABEL + raw[POS]
        slot, width = entry_slot(raw, at, LABEL + raw[LEN])
        assert slot == after["left"]
        assert overwrite(raw, at, width, after["arrived"])
        raw[POS] += width
        assert raw.hex() == after["hex"]


def test_forward_packet_finds_back():
    forward = FILE["forward"]
    back = Label.parse(forward["back"])
    last = ForwardHeader.parse(bytes.fromhex(forward["steps"][-1]["hex"]))
    assert last.pos == len(last.label)
    assert back_label(back.first, last.label) == back
    assert list(back.slots) == forward["back_slots"]


def test_cut():
    whole, room = bytes.fromhex(FILE["cut"]["whole"]), FILE["cut"]["room"]
    pieces = []
    for fields in FILE["cut"]["pieces"]:
        (body,) = unhex(fields, "body")
        piece = Piece(fields["id"], fields["index"], fields["count"], body)
        assert Piece.parse(bytes.fromhex(fields["hex"])) == piece
        assert piece.emit().hex() == fields["hex"]
        pieces.append(piece)
    assert cut(pieces[0].id, whole, room) == pieces
    assert b"".join(piece.body for piece in pieces) == whole


def assert_payload(fields, plain, *, hello):
    request = fields.get("request")
    answer = fields.get("answer")
    payload = Payload(
        tuple(fields["codecs"]),
        fields["mtu"],
        fields["version"],
        bytes.fromhex(fields["timestamp"]),
        Early(request["codec"], bytes.fromhex(request["body"])) if request else None,
        None if answer is None else bytes.fromhex(answer),
    )
    assert Payload.parse(plain, hello=hello) == payload
    assert payload.emit(fields["size"]) == plain


def assert_message(fields, payload):
    values = {name: value for name, value in fields.items() if name != "type"}
    for name in ("token", "body", "digest", "beacon", "anchor", "key", "other", "signature"):
        if name in values:
            values[name] = bytes.fromhex(values[name])
    if "names" in values:
        values["names"] = tuple(values["names"])
    for name in ("records", "shorts", "anchors"):
        if name in values:
            values[name] = tuple(map(bytes.fromhex, values[name]))
    if "entries" in values:
        entries = values["entries"]
        values["entries"] = tuple((bytes.fromhex(e["short"]), e["sequence"]) for e in entries)
    if "offers" in values:
        values["entries"] = tuple(tuple(unhex(e, "anchor", "digest")) for e in values.pop("offers"))
    kind = {
        "keepalive": control.Keepalive,
        "probe": control.Probe,
        "probe_answer": control.ProbeAnswer,
        "bye": control.Bye,
        "codecs": control.Codecs,
        "peering": control.Peering,
        "request": control.Request,
        "reply": control.Reply,
        "records": flood.Records,
        "summary": flood.Summary,
        "listing": flood.Listing,
        "wanted": flood.Wanted,
        "beacon": anchors.BeaconMessage,
        "withdrawn": anchors.Withdrawn,
        "gone": anchors.Gone,
        "offered": anchors.Offered,
        "asked": anchors.Asked,
    }[fields["type"]]
    message = kind(**values)
    assert control.parse(payload) == message
    assert message.emit() == payload


def test_link_record():
    fields = FILE["link_record"]
    key, short, domain, number, signature, raw = unhex(
        fields, "key", "short", "domain", "signature_nonce", "signature", "hex"
    )
    links = [LinkEntry(**{**link, "peer": bytes.fromhex(link["peer"])}) for link in fields["links"]]
    record = LinkRecord.parse(raw).verify()
    assert (record.key.key, record.short) == (key, short)
    assert (record.sequence, record.flags) == (fields["sequence"], fields["flags"])
    assert list(record.links) == links
    assert raw.endswith(signature)
    verify(key, domain, raw[:-64], signature)

    again = LinkRecord.sign(ALICE, fields["sequence"], fields["flags"], reversed(links), number)
    assert again == record


def test_locator():
    fields = FILE["locator"]
    key, short, domain, number, signature, raw = unhex(
        fields, "key", "short", "domain", "signature_nonce", "signature", "hex"
    )
    anchors = tuple(locator_links(path) for path in fields["anchors"])
    links = locator_links(fields["links"])
    endpoints = tuple(map(Multiaddr.parse, fields["endpoints"]))
    read = Locator.parse(raw).verify()
    assert (read.key.key, read.short) == (key, short)
    numbers = fields["sequence"], fields["ttl"], fields["flags"]
    assert (read.sequence, read.ttl, read.flags) == numbers
    assert (read.anchors, read.links, read.endpoints) == (anchors, links, endpoints)
    assert len({len(path) for path in anchors}) == 4
    assert raw.endswith(signature)
    verify(key, domain, raw[:-64], signature)
    assert Locator.sign(ALICE, *numbers, anchors, links, endpoints, number) == read


def locator_links(fields):
    return tuple(LocatorLink(**{**link, "node": bytes.fromhex(link["node"])}) for link in fields)


def test_map():
    fields = FILE["map"]
    own, request, raw = unhex(fields, "own", "request", "hex")
    links = tuple(
        MapLink(**{**link, **dict(zip(("near", "far"), unhex(link, "near", "far"), strict=True))})
        for link in fields["links"]
    )
    assert parse_ask(request) == fields["most"]
    assert emit_ask(fields["most"]) == request
    assert MapAnswer.parse(raw) == MapAnswer(links)
    assert emit_map(own, links, fields["most"]) == raw


@pytest.mark.parametrize("fields", FILE["beacons"], ids=lambda fields: len(fields["hops"]))
def test_beacon(fields):
    anchor, receiver, domain, raw = unhex(fields, "anchor", "receiver", "domain", "hex")
    made = Beacon.begin(PeerID(anchor), fields["sequence"], fields["flags"])
    hops = fields["hops"]
    keys = [*(bytes.fromhex(hop["key"]) for hop in hops), receiver]
    before = b""
    for hop, (near, far) in zip(hops, pairwise(keys), strict=True):
        private, number, signature = unhex(hop, "private", "signature_nonce", "signature")
        step = Step(*(hop[name] for name in ("slot", "next_slot", "cost", "mtu")))
        made = made.extend(PrivateKey(private), PeerID(far), step, number)
        verify(near, domain, raw[:39] + before + step.emit() + far, signature)
        assert made.hops[-1].signature == signature
        before = signature
    assert made.raw == raw
    assert Beacon.parse(raw).verify(PeerID(receiver), Verified()) == made
    assert digest(raw).hex() == fields["digest"]


def test_a_golden_beacon_is_for_its_receiver_and_as_long_as_it_is():
    short, long = (bytes.fromhex(fields["hex"]) for fields in FILE["beacons"])
    assert (short[39], long[39]) == (1, 3)
    with pytest.raises(Malformed):
        Beacon.parse(long).verify(ALICE.peer_id, Verified())
    with pytest.raises(Malformed):
        Beacon.parse(long[:39] + b"\2" + long[40:246]).verify(BOB.peer_id, Verified())


def test_offers_name_the_digest_of_the_golden_beacon():
    offered = next(packet for packet in PACKETS if packet["name"] == "data: offered")
    first = offered["fields"]["message"]["offers"][0]
    assert first == {
        "anchor": ALICE.peer_id.short.hex(),
        "digest": FILE["beacons"][0]["digest"],
    }


def test_gone():
    fields = FILE["gone"]
    private, domain, number, raw = unhex(fields, "private", "domain", "signature_nonce", "hex")
    read = control.parse(raw)
    assert isinstance(read, anchors.Gone)
    signed = read.key + read.other + read.sequence.to_bytes(6, "big")
    verify(read.key, domain, signed, read.signature)
    other = PeerID(read.other)
    assert anchor_gone.sign(PrivateKey(private), other, read.sequence, number) == read
    assert anchor_gone.verify(read).emit() == raw


def test_ranks():
    ranks = {"alice": rank(ALICE.peer_id).hex(), "bob": rank(BOB.peer_id).hex()}
    assert FILE["ranks"] == ranks


@pytest.mark.parametrize("fields", FILE["records"], ids=lambda fields: fields["type"])
def test_record(fields):
    key, body, place, domain, number, signature, raw = unhex(
        fields, "key", "body", "place", "domain", "signature_nonce", "signature", "hex"
    )
    read = SignedRecord.parse(fields["type"], raw).verify()
    said = (read.type, read.sequence, read.ttl, read.name)
    assert said == tuple(fields[name] for name in ("type", "sequence", "ttl", "name"))
    assert (read.key.key, read.body, read.place) == (key, body, place)
    assert raw.endswith(signature)
    verify(key, domain, bytes((read.type,)) + raw[:-64], signature)
    assert SignedRecord.sign(ALICE, *said, body, number) == read


def test_there_is_a_record_of_every_kind():
    assert [fields["type"] for fields in FILE["records"]] == [2, 3, 128]


@pytest.mark.parametrize("golden", FILE["dht"]["requests"], ids=lambda golden: golden["hex"][:12])
def test_dht_request(golden):
    fields = {n: bytes.fromhex(v) if isinstance(v, str) else v for n, v in golden["fields"].items()}
    kind = {"ping": dht.Ping, "find": dht.Find, "store": dht.Store}[golden["request"]]
    raw = bytes.fromhex(golden["hex"])
    assert dht.parse_request(raw) == kind(**fields)
    assert kind(**fields).emit() == raw


@pytest.mark.parametrize("golden", FILE["dht"]["answers"]["found"], ids=len)
def test_dht_found(golden):
    values = tuple((each["type"], bytes.fromhex(each["value"])) for each in golden["values"])
    contacts = tuple(
        dht.Named(*unhex(each, "key", "locator", "label"), each["cost"])
        for each in golden["contacts"]
    )
    raw = bytes.fromhex(golden["hex"])
    assert dht.parse_found(raw) == dht.Found(values, contacts)
    assert dht.Found(values, contacts).emit() == raw


def test_dht_stored():
    answers = [bytes.fromhex(answer) for answer in FILE["dht"]["answers"]["stored"]]
    statuses = [dht.STORED, dht.FAR, dht.OLD, dht.QUOTA, dht.REFUSED]
    assert list(map(dht.parse_stored, answers)) == statuses


def test_the_values_of_golden_answers_are_the_golden_ones():
    values = FILE["dht"]["answers"]["found"][2]["values"]
    known = {1: FILE["locator"]["hex"], **{r["type"]: r["hex"] for r in FILE["records"]}}
    assert {each["type"]: each["value"] for each in values} == known
