"""Parsers: hostile bytes and text raise `Malformed` or are read; what is read means the same."""

from base64 import b64encode
from random import Random

from rovy.address.keyfile import KeyFile
from rovy.address.keys import PeerID, check_key
from rovy.address.label import Label, back_label
from rovy.address.multiaddr import Endpoint, Multiaddr
from rovy.address.target import RoutedAddr, parse_target
from rovy.config.state import State
from rovy.dht import state as dht_state
from rovy.dht.record import SignedRecord
from rovy.dht.values import Reader
from rovy.errors import Malformed
from rovy.forwarder import Lease, Quote, mend
from rovy.noise import xeddsa
from rovy.routing.anchor_gone import link_of
from rovy.routing.atlas import Atlas, locator_arcs
from rovy.routing.beacon import Beacon, Verified
from rovy.routing.locator import Locator
from rovy.routing.record import LinkRecord
from rovy.wire import control, dht, ip6
from rovy.wire.beacon import Gone
from rovy.wire.datagram import CookieReply, Hello, Response
from rovy.wire.forward import ForwardHeader
from rovy.wire.mapping import MapAnswer, emit_map, parse_ask
from rovy.wire.notice import Code, Notice, TraceAnswer, trace_nonce
from rovy.wire.payload import Payload, parse_table
from rovy.wire.piece import Piece
from tests.fuzz import beyond
from tests.fuzz.audit import Meter, promise
from tests.fuzz.inputs import (
    ALICE,
    ANSWERS,
    BEACONS,
    BOB,
    FORWARDS,
    LIARS,
    PACKETS,
    RECORDS,
    REQUESTS,
    control_message,
    forward,
    hello_payload,
    ip6_packet,
    ip6_payload,
    label,
    link_record,
    mutated,
    notice,
    piece,
)

GROWTH = 1 << 20
WARM = 100
"""Inputs until the libraries are loaded that are only needed now and then."""
STATE = State(1 << 60, {ALICE.peer_id: Lease(7), BOB.peer_id: Lease(300, 1e9)}).emit()
SEEDS = [*PACKETS, *FORWARDS, *BEACONS, *RECORDS, *REQUESTS, *ANSWERS, STATE]
NOW = 0x018BCFE56801
"""The wall clock in milliseconds: that of the golden packets."""
ENDS = ALICE.peer_id.address, BOB.peer_id.address
TEXTS = [
    f"/ip4/192.0.2.1/udp/1312/rovy/{ALICE.peer_id}",
    f"/ip6/2001:db8::1/udp/65535/rovy/{BOB.peer_id}",
    "/ip6zone/eth0/ip6/fe80::1/udp/1312",
    "/dns6/node.example.org/udp/1312",
    "/rovyrt/7c-37-e5-3a-0f-f2-28",
    f"/rovyrt/07-f0-0c/rovy/{BOB.peer_id}",
    f"/rovy/{ALICE.peer_id}",
    "fc87:dee8:b7eb:1362:f0e8:28d1:98ee:6415",
    "192.0.2.1:1312",
    KeyFile(ALICE).emit(),
]
BINARY = [Multiaddr.parse(text).to_bytes() for text in TEXTS[:4]]
BINARY += [ALICE.peer_id.cid_bytes, RoutedAddr.parse(TEXTS[5]).to_bytes()]


def _payload(hello):
    def parse(data):
        value = Payload.parse(data, hello=hello)
        if value.version == 1:
            again = Payload.parse(value.emit(), hello=hello)
            promise(again == value, f"{value} does not come back")

    return parse


def _label(data):
    value = Label(data)
    promise(Label.parse(str(value)) == value, f"{value} does not come back")
    for code in Code:
        for prefix in value.prefixes[:3]:
            mend(value, code, prefix)


def _quote(data):
    Quote.parse(data[:24].ljust(24, b"\0"))


def _back(data):
    back_label(1 + data[0] if data else 1, data[1:])


def _signature(data):
    xeddsa.verify(ALICE.peer_id.key, b"fuzz", data[64:], data[:64])


def _trace(data):
    trace_nonce(data)
    TraceAnswer.parse(data)


def _record(data):
    value = LinkRecord.parse(data)
    promise(value.raw == data, "a record reads as another")
    try:
        value.verify()
    except Malformed:
        return
    links = b"".join(link.emit() for link in value.links)
    promise(data[40:-64] == links, f"{value} does not come back")


def _beacon(data):
    value = Beacon.parse(data)
    hops = b"".join(hop.emit() for hop in value.hops)
    promise(value.raw == data and data[40:] == hops, f"{value} does not come back")
    for receiver in (BOB.peer_id, ALICE.peer_id):
        try:
            value.verify(receiver, Verified())
        except Malformed:
            continue
        promise(value.unverified(receiver, Verified()) == len(value.hops), "signatures skipped")


def _gone(data):
    message = control.parse(data)
    if isinstance(message, Gone):
        near, far, name = link_of(message)
        promise({near.short, far.short} == set(name), "a link between others")


def _locator(data):
    value = Locator.parse(data)
    promise(value.raw == data, "a locator reads as another")
    arcs = list(locator_arcs(value))
    promise(len(arcs) == 2 * sum(map(len, (*value.anchors, value.links))), "links got lost")
    known = Atlas(ALICE.peer_id.short)
    known.learn_locator(value)
    value.verify()


def _signed(data):
    for number in (data[0] if data else 0, 2, 3, 128):
        try:
            value = SignedRecord.parse(number, data)
        except Malformed:
            continue
        promise(value.raw == data, "a record reads as another")
        again = value.name.encode() + len(value.body).to_bytes(2, "big") + value.body
        promise(data[43:-64] == again, f"{value} does not come back")
        _try(lambda _, value=value: value.verify(), data)


def _value(data):
    number = data[0] if data else 0
    Reader(4).read(number, data[1:], NOW / 1000)


def _found(data):
    value = dht.parse_found(data)
    promise(dht.parse_found(value.emit()) == value, f"{value} does not come back")
    promise(len(value.contacts) <= dht.MAX_CONTACTS, "too many contacts")


def _map(data):
    value = MapAnswer.parse(data)
    own = data[1:9]
    told = emit_map(own, value.links, 8192)
    promise(MapAnswer.parse(told) == value, f"{value} does not come back")
    known = Atlas(ALICE.peer_id.short)
    known.learn_map(own, value, 0.0)
    promise(len(known.arcs_to(own, 0.0)) <= 2 * len(value.links), "links out of nothing")


def _told(data):
    known = Atlas(ALICE.peer_id.short)
    known.learn_label(BOB.peer_id, LIARS[0].peer_id, data, data[0] if data else 0, 0.0)
    promise(len(known.arcs_to(LIARS[0].peer_id.short, 0.0)) <= 1, "edges out of nothing")


def _dht_state(data):
    text = b64encode(data).decode()
    kept = {"version": 1, "contacts": [{"locator": text}, {"key": text}, {"locator": data}]}
    kept["values"] = [{"type": kind, "raw": text} for kind in (1, 2, 128, -1, "x")]
    for peer, found in dht_state.load_contacts(kept, Reader(4), NOW / 1000):
        promise(found is None or found.key == peer, "somebody else's locator")
    for value in dht_state.load_values(kept, ALICE.peer_id, Reader(4), NOW / 1000):
        promise(value.signer == ALICE.peer_id, "somebody else's value")


def _packet(data):
    ip6.check(data)
    ends = data[ip6.SOURCE : ip6.DESTINATION], data[ip6.DESTINATION : ip6.HEADER]
    promise(ip6.expand(ip6.squeeze(data), *ends) == data, "a packet does not come back")


def _carried(data):
    promise(ip6.squeeze(ip6.expand(data, *ENDS)) == data, "a payload does not come back")


def _same_text(parse):
    def check(text):
        value = parse(text)
        promise(parse(str(value)) == value, f"{value} does not come back")

    return check


def _same_bytes(parse):
    def check(data):
        value = parse(data)
        promise(parse(value.to_bytes()) == value, f"{value} does not come back")

    return check


def _emitted(parse):
    def check(data):
        value = parse(data)
        again = value is None or parse(value.emit())
        promise(value is None or again == value, f"{value} does not come back")

    return check


def _typed(kind, raw):
    return bytes((kind,)) + raw


WAY = LIARS[0], BOB.peer_id
"""Who tells of anchors, and to whom."""
READ_BYTES = (
    _emitted(Hello.parse),
    _emitted(Response.parse),
    _emitted(CookieReply.parse),
    _emitted(Notice.parse),
    _emitted(TraceAnswer.parse),
    _emitted(ForwardHeader.parse),
    _emitted(control.parse),
    _emitted(Piece.parse),
    _payload(hello=True),
    _payload(hello=False),
    parse_table,
    _label,
    _quote,
    _back,
    _trace,
    check_key,
    PeerID,
    State.parse,
    _record,
    _beacon,
    _gone,
    _locator,
    _signed,
    _value,
    _emitted(dht.parse_request),
    _found,
    dht.parse_stored,
    parse_ask,
    _map,
    _told,
    _dht_state,
    _packet,
    _carried,
)
READ_BINARY = (_same_bytes(Multiaddr.from_bytes), _same_bytes(RoutedAddr.from_bytes))
READ_TEXT = (
    _same_text(Multiaddr.parse),
    _same_text(Endpoint.parse),
    _same_text(Label.parse),
    _same_text(PeerID.parse),
    _same_text(RoutedAddr.parse),
    parse_target,
)
MAKERS = (
    lambda random: random.randbytes(random.randrange(200)),
    lambda random: random.choice(SEEDS),
    control_message,
    piece,
    lambda random: forward(random, [1, 300], random.choice(PACKETS)),
    lambda random: notice(random, PACKETS),
    lambda random: hello_payload(random, random.randbytes(12)),
    lambda random: hello_payload(random, b""),
    lambda random: label(random, [1, 300]),
    link_record,
    lambda random: beyond.anchor_message(random, NOW, WAY, (1, 2)),
    lambda random: beyond.beacon(random, NOW, WAY, (1, 2)),
    lambda random: beyond.locator(random, NOW),
    lambda random: beyond.record(random, NOW)[1],
    lambda random: _typed(*beyond.value(random, NOW)),
    lambda random: beyond.dht_request(random, NOW),
    lambda random: beyond.found(random, NOW, beyond.target(random)),
    lambda random: beyond.map_answer(random, ALICE.peer_id.short),
    lambda random: ip6_packet(random, list(ENDS)),
    ip6_payload,
)


def run(random: Random, count: int, meter: Meter) -> None:
    """One round."""
    for number in range(-WARM, count):
        if number == 0:
            meter.start()
        if number % 4 == 0:
            _text(random)
        else:
            _bytes(random)
    meter.stop(GROWTH)


def _bytes(random: Random) -> None:
    data = random.choice(MAKERS)(random)
    if random.random() < 0.8:
        data = mutated(random, data, SEEDS)
    for read in READ_BYTES:
        _try(read, data)
    if random.random() < 0.05:
        _try(_signature, data)
    _try(random.choice(READ_BINARY), mutated(random, random.choice(BINARY), BINARY))


def _text(random: Random) -> None:
    raw = random.choice(TEXTS).encode()
    text = mutated(random, raw, BINARY).decode("utf-8", "replace")
    for read in READ_TEXT:
        _try(read, text)
    if random.random() < 0.1:
        _try(KeyFile.parse, mutated(random, TEXTS[-1].encode(), BINARY).decode("utf-8", "replace"))


def _try(read, data) -> None:
    try:
        read(data)
    except Malformed:
        pass
