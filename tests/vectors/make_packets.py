"""Writes packets.json: one packet of every kind, from fixed keys, as named fields and hex.

    python tests/vectors/make_packets.py            write the file
    python tests/vectors/make_packets.py --check    exit with status 1 where it would change

All that is random in a running node is fixed here, so the file is the same on every run. Numbers
are JSON numbers, bytes hex; `payload` and `message` nest the fields of what is inside.
"""

import json
import sys
from hashlib import blake2s
from itertools import count, pairwise
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from rovy.address.keys import PrivateKey
from rovy.address.label import Label, back_label
from rovy.address.multiaddr import Multiaddr
from rovy.dht.const import LOCATOR, NAME, SERVICE
from rovy.dht.record import DOMAIN as RECORD_DOMAIN
from rovy.dht.record import SignedRecord
from rovy.noise.handshake import NO_PSK, PROLOGUE, PROTOCOL, Initiator, Responder
from rovy.noise.mac import mac, mac1_key, seal_cookie
from rovy.noise.xeddsa import sign
from rovy.routing import anchor_gone
from rovy.routing.anchor_neighbour import digest
from rovy.routing.anchor_seats import rank
from rovy.routing.beacon import DOMAIN as BEACON_DOMAIN
from rovy.routing.beacon import WILLING as ANCHOR_WILLING
from rovy.routing.beacon import Beacon, Step
from rovy.routing.locator import ANCHOR, Locator, LocatorLink
from rovy.routing.locator import DOMAIN as LOCATOR_DOMAIN
from rovy.routing.record import DOMAIN as LINK_DOMAIN
from rovy.routing.record import WILLING, LinkEntry, LinkRecord
from rovy.wire import beacon as anchors
from rovy.wire import control, dht, flood
from rovy.wire.datagram import (
    HELLO_FIXED,
    MAC,
    CookieReply,
    Hello,
    Response,
    data_header,
    nonce,
)
from rovy.wire.forward import (
    LABEL,
    LEN,
    POS,
    QUOTE,
    emit_header,
    entry_slot,
    header_size,
    overwrite,
)
from rovy.wire.mapping import MapLink, emit_ask, emit_map
from rovy.wire.notice import NONCE, REFUSALS, TRACE_SIZE, Code, Notice, TraceAnswer
from rovy.wire.payload import Early, Payload
from rovy.wire.piece import cut

FILE = Path(__file__).with_name("packets.json")
TRACE_DOMAIN = b"rovy-trace1"
STAMP = bytes.fromhex("400000006703cf0a075bcd15")
CODECS = ("forward", "piece", "dht")


def fixed(name, size=32):
    """Bytes that follow from a name."""
    return blake2s(name.encode(), digest_size=size).digest()


def private_key(name):
    """A key that follows from a name."""
    numbers = count()
    return PrivateKey.generate(lambda size: fixed(f"{name} {next(numbers)}", size))


ALICE, BOB = private_key("alice"), private_key("bob")
PSK = fixed("network")
ALICE_INDEX, BOB_INDEX = 0x0A11CE00, 0xB0B00001


def key_fields(private):
    """A private key and what follows from it."""
    peer = private.peer_id
    return {
        "private": private.secret.hex(),
        "public": peer.key.hex(),
        "peer_id": str(peer),
        "address": peer.address.hex(),
        "node_id": peer.node_id.hex(),
    }


def payload_fields(payload, plain):
    """A handshake payload."""
    fields = {
        "timestamp": payload.timestamp.hex(),
        "version": payload.version,
        "codecs": list(payload.codecs),
        "mtu": payload.mtu,
    }
    if payload.request:
        fields["request"] = {"codec": payload.request.codec, "body": payload.request.body.hex()}
    if payload.answer is not None:
        fields["answer"] = payload.answer.hex()
    return {**fields, "size": len(plain), "hex": plain.hex()}


def packet(name, kind, raw, **fields):
    """One entry of the file."""
    return {"name": name, "kind": kind, "fields": fields, "hex": raw.hex()}


def handshake(name, psk, hello_size, request=None, answer=None, cookie=None):
    """A hello and its response; the keys that result are the initiator's."""
    initiator = Initiator(ALICE, BOB.peer_id, psk, fixed(f"{name}: alice's ephemeral"))
    payload = Payload(CODECS, 65507, timestamp=STAMP, request=request)
    plain = payload.emit(hello_size - HELLO_FIXED)
    noise = initiator.write(plain)
    signed = Hello(ALICE_INDEX, noise, b"", b"").signed()
    mac1 = mac(mac1_key(BOB.peer_id.key, psk), signed)
    mac2 = mac(cookie, signed + mac1) if cookie else bytes(MAC)
    hello = packet(
        f"{name}: hello",
        "hello",
        signed + mac1 + mac2,
        sender=ALICE_INDEX,
        ephemeral=fixed(f"{name}: alice's ephemeral").hex(),
        payload=payload_fields(payload, plain),
        noise=noise.hex(),
        mac1=mac1.hex(),
        mac2=mac2.hex(),
        psk=psk.hex(),
        cookie=(cookie or b"").hex(),
    )
    responder = Responder(BOB, noise, psk, lambda: fixed(f"{name}: bob's ephemeral"))
    payload = Payload(CODECS[:2], 1500, answer=answer)
    plain = payload.emit()
    noise = responder.write(plain)
    signed = Response(BOB_INDEX, ALICE_INDEX, noise, b"", b"").signed()
    mac1 = mac(mac1_key(ALICE.peer_id.key, psk), signed)
    response = packet(
        f"{name}: response",
        "response",
        signed + mac1 + bytes(MAC),
        sender=BOB_INDEX,
        receiver=ALICE_INDEX,
        ephemeral=fixed(f"{name}: bob's ephemeral").hex(),
        payload=payload_fields(payload, plain),
        noise=noise.hex(),
        mac1=mac1.hex(),
        mac2=bytes(MAC).hex(),
        psk=psk.hex(),
    )
    initiator.read(noise)
    sealing, opening = map(bytes, initiator.keys())
    response["fields"]["initiator_key"] = sealing.hex()
    response["fields"]["responder_key"] = opening.hex()
    return hello, response, sealing


def cookie_reply(mac1, cookie):
    """The cookie reply to the hello with this mac1."""
    number = fixed("cookie nonce", 24)
    sealed = seal_cookie(BOB.peer_id.key, number, cookie, mac1)
    return packet(
        "cookie reply",
        "cookie",
        CookieReply(ALICE_INDEX, number, sealed).emit(),
        receiver=ALICE_INDEX,
        nonce=number.hex(),
        sealed=sealed.hex(),
        cookie=cookie.hex(),
        mac1=mac1.hex(),
    )


def data(name, key, counter, codec, payload, **message):
    """A data datagram from Alice to Bob."""
    header = data_header(counter, BOB_INDEX)
    plain = bytes((codec,)) + payload
    sealed = ChaCha20Poly1305(key).encrypt(nonce(counter), plain, header)
    return packet(
        name,
        "data",
        header + sealed,
        counter=counter,
        receiver=BOB_INDEX,
        key=key.hex(),
        codec=codec,
        payload=payload.hex(),
        **message,
    )


def signed_record():
    """Alice's record of three links, one of them to Bob, and what its signature was drawn with."""
    links = (
        LinkEntry(BOB.peer_id.short, 7, 300, 95, 1371),
        LinkEntry(fixed("carol", 8), 3839, 1, 0, 65535),
        LinkEntry(fixed("dave", 8), 240, 239, 255, 1203),
    )
    signature_nonce = fixed("signature", 32) + fixed("nonce", 32)
    record = LinkRecord.sign(ALICE, 0x018BCFE56800, 0x80 | WILLING, links, signature_nonce)
    return record, signature_nonce


def drawn(name):
    """The 64 random bytes that a signature takes."""
    return fixed(f"{name}: signature", 32) + fixed(f"{name}: nonce", 32)


STEPS = (Step(7, 300, 95, 1371), Step(3839, 1, 0, 65535), Step(240, 239, 255, 1203))


def signed_beacon(*way):
    """The beacon of the first of these nodes as the others pass it on, the last one's to hold."""
    made = Beacon.begin(way[0].peer_id, 0x018BCFE56802, 0x80 | ANCHOR_WILLING)
    for number, ((near, far), step) in enumerate(zip(pairwise(way), STEPS, strict=False)):
        made = made.extend(near, far.peer_id, step, drawn(f"hop {number}"))
    return made


CAROL, DAVE = private_key("carol"), private_key("dave")
NEAR, FAR = (ALICE, BOB), (ALICE, CAROL, DAVE, BOB)
BEACONS = signed_beacon(*NEAR), signed_beacon(*FAR)
GONE_NONCE = drawn("gone")
GONE = anchor_gone.sign(CAROL, DAVE.peer_id, 0x018BCFE56803, GONE_NONCE)
OFFERED = tuple((key.peer_id.short, digest(BEACONS[0].raw)) for key in (ALICE, CAROL))
TOKEN = fixed("token", 8)
RECORD, _ = signed_record()
DIGEST = fixed("digest", flood.DIGEST)
LISTED = ((RECORD.short, RECORD.sequence), (BOB.peer_id.short, 256**6 - 1))
CONTROLS = {
    "keepalive": (control.Keepalive(), {}),
    "probe": (
        control.Probe(fixed("token", 8), 3),
        {"token": fixed("token", 8).hex(), "padding": 3},
    ),
    "probe answer": (control.ProbeAnswer(TOKEN), {"token": TOKEN.hex()}),
    "bye": (control.Bye(), {}),
    "codecs": (control.Codecs((*CODECS, "ip6")), {"names": [*CODECS, "ip6"]}),
    "peering": (control.Peering(300, True), {"slot": 300, "reply": True}),
    "request": (
        control.Request(0x01020304, "dht", b"find"),
        {"id": 0x01020304, "codec": "dht", "body": b"find".hex()},
    ),
    "reply": (
        control.Reply(0x01020304, 0, b"found"),
        {"id": 0x01020304, "status": 0, "body": b"found".hex()},
    ),
    "records": (
        flood.Records((RECORD.raw, RECORD.raw[:104])),
        {"records": [RECORD.raw.hex(), RECORD.raw[:104].hex()]},
    ),
    "summary": (
        flood.Summary(21_000, 3, DIGEST),
        {"radius": 21_000, "count": 3, "digest": DIGEST.hex()},
    ),
    "listing": (
        flood.Listing(LISTED),
        {"entries": [{"short": short.hex(), "sequence": number} for short, number in LISTED]},
    ),
    "wanted": (
        flood.Wanted((BOB.peer_id.short, RECORD.short)),
        {"shorts": [BOB.peer_id.short.hex(), RECORD.short.hex()]},
    ),
    "beacon": (anchors.BeaconMessage(BEACONS[1].raw), {"beacon": BEACONS[1].raw.hex()}),
    "withdrawn": (
        anchors.Withdrawn(ALICE.peer_id.short),
        {"anchor": ALICE.peer_id.short.hex()},
    ),
    "gone": (
        GONE,
        {
            "key": GONE.key.hex(),
            "other": GONE.other.hex(),
            "sequence": GONE.sequence,
            "signature": GONE.signature.hex(),
        },
    ),
    "offered": (
        anchors.Offered(OFFERED),
        {"offers": [{"anchor": anchor.hex(), "digest": said.hex()} for anchor, said in OFFERED]},
    ),
    "asked": (
        anchors.Asked(tuple(anchor for anchor, _ in OFFERED)),
        {"anchors": [anchor.hex() for anchor, _ in OFFERED]},
    ),
}


def controls(key):
    """A data datagram with each control message."""
    for number, (name, (message, fields)) in enumerate(CONTROLS.items()):
        yield data(
            f"data: {name}",
            key,
            number,
            0,
            message.emit(),
            message={"type": name.replace(" ", "_"), **fields},
        )
    yield data("data: largest counter", key, (1 << 56) - 1, 3, b"payload")


HOPS = ((7, 300), (12, 5), (9, 255), (301, 2), (1, 3839), (4, 6))
"""(slot left by, slot arrived by) hop by hop: at 300, 255 and 3839 the entries must be wide."""


def route():
    """The label of `HOPS`, each entry as narrow as it may be."""
    entries = [HOPS[0][0]]
    for (_, arrived), (leave, _) in pairwise(HOPS):
        entries.append((leave, 2) if max(leave, arrived) > 239 else leave)
    return Label.of(*entries)


def forwards(inner):
    """A forward packet as it leaves its sender and after each switch, and the way back."""
    label = route()
    raw = bytearray(emit_header(label.rest))
    steps = [forward_step(raw, inner)]
    for (_, arrived), (leave, _) in pairwise(HOPS):
        at = LABEL + raw[POS]
        slot, width = entry_slot(raw, at, LABEL + raw[LEN])
        assert slot == leave
        assert overwrite(raw, at, width, arrived)
        raw[POS] += width
        steps.append({"arrived": arrived, "left": slot, **forward_step(raw, inner)})
    back = back_label(HOPS[-1][1], bytes(raw[LABEL : LABEL + raw[LEN]]))
    return {
        "label": str(label),
        "slots": list(label.slots),
        "inner": inner.hex(),
        "steps": steps,
        "back": str(back),
        "back_slots": list(back.slots),
    }


def forward_step(raw, inner):
    """A forward packet at one point of its way."""
    length = raw[LEN]
    return {
        "pos": raw[POS],
        "label": raw[LABEL : LABEL + length].hex(),
        "header": header_size(length),
        "hex": (raw + inner).hex(),
    }


def notices(inner):
    """A notice of each code."""
    for code in sorted(REFUSALS):
        mtu = 1371 if code is Code.TOO_BIG else 0
        raw = Notice(code, mtu, inner[:QUOTE]).emit()
        yield packet(
            f"notice: {code.name.lower().replace('_', ' ')}",
            "notice",
            raw,
            code=int(code),
            mtu=mtu,
            body=inner[:QUOTE].hex(),
        )
    number = fixed("trace nonce", NONCE)
    body = number + bytes(TRACE_SIZE - NONCE)
    yield packet(
        "notice: trace request",
        "notice",
        Notice(Code.TRACE_REQUEST, 0, body).emit(),
        code=int(Code.TRACE_REQUEST),
        mtu=0,
        body=body.hex(),
        trace={"nonce": number.hex()},
    )
    back = Label.of(6, 240, 3)
    signature_nonce = fixed("signature", 32) + fixed("nonce", 32)
    signature = sign(BOB, TRACE_DOMAIN, number + back.data, signature_nonce)
    answer = TraceAnswer(number, BOB.peer_id.key, signature, back.data)
    yield packet(
        "notice: trace answer",
        "notice",
        Notice(Code.TRACE_ANSWER, 0, answer.emit()).emit(),
        code=int(Code.TRACE_ANSWER),
        mtu=0,
        body=answer.emit().hex(),
        trace={
            "nonce": number.hex(),
            "key": BOB.peer_id.key.hex(),
            "signature": signature.hex(),
            "label": back.data.hex(),
            "domain": TRACE_DOMAIN.hex(),
            "signature_nonce": signature_nonce.hex(),
        },
    )


def pieces():
    """A payload cut for a path with little room."""
    whole = bytes((3,)) + bytes(range(100))
    parts = cut(0xC0FFEE, whole, 46)
    return {
        "whole": whole.hex(),
        "room": 46,
        "pieces": [
            {
                "id": part.id,
                "index": part.index,
                "count": part.count,
                "body": part.body.hex(),
                "hex": part.emit().hex(),
            }
            for part in parts
        ],
    }


def link_record():
    """The link record in the message of records."""
    record, signature_nonce = signed_record()
    return {
        "key": record.key.key.hex(),
        "short": record.short.hex(),
        "sequence": record.sequence,
        "flags": record.flags,
        "links": [
            {
                "peer": link.peer.hex(),
                "slot": link.slot,
                "peer_slot": link.peer_slot,
                "cost": link.cost,
                "mtu": link.mtu,
            }
            for link in record.links
        ],
        "domain": LINK_DOMAIN.hex(),
        "signature_nonce": signature_nonce.hex(),
        "signature": record.raw[-64:].hex(),
        "hex": record.raw.hex(),
    }


def locator_links(*names):
    """A locator's links of these nodes, the slots of both widths."""
    for number, name in enumerate(names, 1):
        slots = (239 + number, number) if number % 2 else (number, 3840 - number)
        yield LocatorLink(fixed(name, 8), *slots, 40 * number)


def signed_locator():
    """Alice's locator: an empty path, as she is an anchor herself, and three longer ones."""
    paths = [
        (),
        tuple(locator_links("carol")),
        tuple(locator_links("dave", "erin")),
        tuple(locator_links("frank", "erin", "dave", "carol", "grace")),
    ]
    links = (
        LocatorLink(BOB.peer_id.short, 7, 300, 95),
        LocatorLink(fixed("carol", 8), 3839, 1, 255),
    )
    endpoint = Multiaddr.parse(f"/ip6/2001:db8::1/udp/1312{ALICE.peer_id.path}")
    nonce = fixed("signature", 32) + fixed("nonce", 32)
    made = Locator.sign(
        ALICE, 0x018BCFE56801, 3600, 0x80 | ANCHOR, paths, links, (endpoint,), nonce
    )
    return made, nonce


def locator():
    """The fields of Alice's locator."""
    made, signature_nonce = signed_locator()
    return {
        "key": made.key.key.hex(),
        "short": made.short.hex(),
        "sequence": made.sequence,
        "ttl": made.ttl,
        "flags": made.flags,
        "anchors": [list(map(locator_link_fields, path)) for path in made.anchors],
        "links": list(map(locator_link_fields, made.links)),
        "endpoints": list(map(str, made.endpoints)),
        "domain": LOCATOR_DOMAIN.hex(),
        "signature_nonce": signature_nonce.hex(),
        "signature": made.raw[-64:].hex(),
        "hex": made.raw.hex(),
    }


def locator_link_fields(link):
    """One link of a locator."""
    return {"node": link.node.hex(), "slot": link.slot, "back": link.back, "cost": link.cost}


def map_answer():
    """A question for a map, and what Alice answers."""
    carol, dave = fixed("carol", 8), fixed("dave", 8)
    links = (
        MapLink(ALICE.peer_id.short, BOB.peer_id.short, 7, 300, 95, 1371),
        MapLink(BOB.peer_id.short, carol, 3839, 1, 0, 65535),
        MapLink(dave, ALICE.peer_id.short, 240, 239, 255, 1203),
    )
    return {
        "most": 4096,
        "request": emit_ask(4096).hex(),
        "own": ALICE.peer_id.short.hex(),
        "links": [
            {
                "near": link.near.hex(),
                "far": link.far.hex(),
                "slot": link.slot,
                "back": link.back,
                "cost": link.cost,
                "mtu": link.mtu,
            }
            for link in links
        ],
        "hex": emit_map(ALICE.peer_id.short, links, 4096).hex(),
    }


def beacon(way, made):
    """A beacon, and what each of its signatures was drawn with; the last node only holds it."""
    return {
        "anchor": made.anchor.key.hex(),
        "sequence": made.sequence,
        "flags": made.flags,
        "receiver": way[-1].peer_id.key.hex(),
        "domain": BEACON_DOMAIN.hex(),
        "hops": [
            {
                "private": private.secret.hex(),
                "key": hop.node.key.hex(),
                "slot": hop.step.slot,
                "next_slot": hop.step.next_slot,
                "cost": hop.step.cost,
                "mtu": hop.step.mtu,
                "signature_nonce": drawn(f"hop {number}").hex(),
                "signature": hop.signature.hex(),
            }
            for number, (private, hop) in enumerate(zip(way[:-1], made.hops, strict=True))
        ],
        "digest": digest(made.raw).hex(),
        "hex": made.raw.hex(),
    }


def gone():
    """What the signature in the message *gone* was made with."""
    return {
        "private": CAROL.secret.hex(),
        "domain": anchor_gone.DOMAIN.hex(),
        "signature_nonce": GONE_NONCE.hex(),
        "hex": GONE.emit().hex(),
    }


def signed_records():
    """Alice's records of every kind: one without name and body, one with the longest name."""
    said = ((NAME, "www", b"\0\1"), (SERVICE, "", b""), (128, "ä" * 31 + "x", bytes(range(256))))
    for number, name, body in said:
        nonce = drawn(f"record {number}")
        made = SignedRecord.sign(ALICE, number, 0x018BCFE56804, 86_400, name, body, nonce)
        yield made, nonce


def records():
    """The fields of those."""
    return [
        {
            "type": made.type,
            "key": made.key.key.hex(),
            "sequence": made.sequence,
            "ttl": made.ttl,
            "name": made.name,
            "body": made.body.hex(),
            "place": made.place.hex(),
            "domain": RECORD_DOMAIN.hex(),
            "signature_nonce": nonce.hex(),
            "signature": made.raw[-64:].hex(),
            "hex": made.raw.hex(),
        }
        for made, nonce in signed_records()
    ]


def dht_requests():
    """One of every type, and both kinds of target and of what is wanted."""
    target, place = BOB.peer_id.node_id, next(signed_records())[0].raw
    prefix = target[: dht.PREFIX // 8].ljust(dht.ID, b"\0")
    return [
        dht_request("ping", dht.Ping()),
        dht_request("ping", dht.Ping(0x018BCFE56801)),
        dht_request("find", dht.Find(target, dht.WHOLE, dht.NODES, 1100)),
        dht_request("find", dht.Find(prefix, dht.PREFIX, dht.VALUES, 8192)),
        dht_request("store", dht.Store(LOCATOR, signed_locator()[0].raw)),
        dht_request("store", dht.Store(NAME, place)),
    ]


def dht_request(kind, request):
    """One request."""
    fields = {name: getattr(request, name) for name in request.__dataclass_fields__}
    said = {name: v.hex() if isinstance(v, bytes) else v for name, v in fields.items()}
    return {"request": kind, "fields": said, "hex": request.emit().hex()}


def dht_answers():
    """To a find: nothing, contacts of every form, values; to a store: every status."""
    known, _ = signed_locator()
    wide = Label.of((300, 2), 5, 12).data
    contacts = (
        dht.Named(b"", known.raw, b""),
        dht.Named(BOB.peer_id.key, b"", wide, 130),
        dht.Named(b"", known.raw, Label.of((7, 2)).data, 255),
    )
    values = ((LOCATOR, known.raw), *((made.type, made.raw) for made, _ in signed_records()))
    found = dht.Found((), ()), dht.Found((), contacts), dht.Found(values, contacts[1:2])
    return {"found": list(map(dht_found, found)), "stored": [f"{s:02x}" for s in range(5)]}


def dht_found(found):
    """One answer to a find."""
    return {
        "values": [{"type": kind, "value": raw.hex()} for kind, raw in found.values],
        "contacts": [
            {
                "key": each.key.hex(),
                "locator": each.locator.hex(),
                "label": each.label.hex(),
                "cost": each.cost,
            }
            for each in found.contacts
        ],
        "hex": found.emit().hex(),
    }


def contents():
    """The whole file."""
    cookie = fixed("cookie", 16)
    hello, response, key = handshake("public network", NO_PSK, 400)
    early_hello, early_response, _ = handshake(
        "private network",
        PSK,
        1131,
        request=Early("dht", b"find 0123"),
        answer=b"\x00found",
        cookie=cookie,
    )
    mac1 = bytes.fromhex(early_hello["fields"]["mac1"])
    datagrams = list(controls(key))
    probe = bytes.fromhex(datagrams[1]["hex"])
    forward = forwards(probe)
    first = bytes.fromhex(forward["steps"][0]["hex"])
    return {
        "_comment": "Written by make_packets.py; the formats are those of docs/protocol.",
        "protocol": PROTOCOL.decode(),
        "prologue": PROLOGUE.hex(),
        "alice": key_fields(ALICE),
        "bob": key_fields(BOB),
        "packets": [
            hello,
            response,
            cookie_reply(mac1, cookie),
            early_hello,
            early_response,
            *datagrams,
            data("data: forward packet for the first hop", key, 1000, 1, first),
            *notices(probe),
        ],
        "forward": forward,
        "cut": pieces(),
        "link_record": link_record(),
        "locator": locator(),
        "map": map_answer(),
        "beacons": [beacon(way, made) for way, made in zip((NEAR, FAR), BEACONS, strict=True)],
        "gone": gone(),
        "ranks": {name: rank(key.peer_id).hex() for name, key in (("alice", ALICE), ("bob", BOB))},
        "records": records(),
        "dht": {"requests": dht_requests(), "answers": dht_answers()},
    }


def render():
    """The file's text."""
    return json.dumps(contents(), indent=1) + "\n"


def main():
    """Write or compare."""
    text = render()
    if "--check" in sys.argv[1:]:
        if not FILE.exists() or FILE.read_text() != text:
            sys.exit(f"{FILE} is out of date: run {Path(__file__).name}")
        return
    FILE.write_text(text)


if __name__ == "__main__":
    main()
