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
from rovy.noise.handshake import NO_PSK, PROLOGUE, PROTOCOL, Initiator, Responder
from rovy.noise.mac import mac, mac1_key, seal_cookie
from rovy.noise.xeddsa import sign
from rovy.routing.record import DOMAIN as LINK_DOMAIN
from rovy.routing.record import WILLING, LinkEntry, LinkRecord
from rovy.wire import control, flood
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
