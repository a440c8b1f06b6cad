"""Where hostile bytes come from: the golden packets, chance, and mutations of both."""

import json
from pathlib import Path
from random import Random

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import MAX_SLOT
from rovy.noise.handshake import NO_PSK
from rovy.noise.mac import mac, mac1_key
from rovy.routing.record import MAX_LINKS, LinkEntry, LinkRecord
from rovy.wire import control, flood
from rovy.wire.control import Codecs, Keepalive, Peering, Probe, ProbeAnswer, Reply, Request
from rovy.wire.datagram import Type
from rovy.wire.forward import emit_header
from rovy.wire.notice import TRACE_SIZE, Code, Notice
from rovy.wire.payload import Early, Payload
from rovy.wire.piece import Piece
from tests.bench.keys import private_keys

_FILE = json.loads((Path(__file__).parents[1] / "vectors" / "packets.json").read_text())
PACKETS = [bytes.fromhex(packet["hex"]) for packet in _FILE["packets"]]
FORWARDS = [bytes.fromhex(step["hex"]) for step in _FILE["forward"]["steps"]]
BEACONS = [bytes.fromhex(beacon["hex"]) for beacon in _FILE["beacons"]]
RECORDS = [bytes.fromhex(_FILE[name]["hex"]) for name in ("link_record", "locator", "map")]
RECORDS += [bytes.fromhex(record["hex"]) for record in _FILE["records"]]
REQUESTS = [bytes.fromhex(request["hex"]) for request in _FILE["dht"]["requests"]]
ANSWERS = [bytes.fromhex(answer["hex"]) for answer in _FILE["dht"]["answers"]["found"]]
DATA = next(packet["fields"] for packet in _FILE["packets"] if packet["kind"] == "data")
ALICE, BOB = (PrivateKey(bytes.fromhex(_FILE[name]["private"])) for name in ("alice", "bob"))
LIARS = private_keys(8, skip=100)
"""Keys without a node, whose link records say whatever they like."""
SHORTS = [private.peer_id.short for private in (ALICE, BOB, *LIARS)]
CODECS = ("fuzz/echo", "fuzz/late", "fuzz/data", "fuzz/fails", "fuzz/long", "forward", "piece")
EDGES = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 28, 29, 63, 64, 65, 127, 128, 239, 240, 254, 255)


def mutated(random: Random, data: bytes, others: list[bytes]) -> bytes:
    """A few changes: bits, bytes, lengths, types, cuts, additions, parts of other packets."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        data = random.choice(MUTATIONS)(random, data, others)
    return data


def _flip(random: Random, data: bytes, others: list[bytes]) -> bytes:
    at = random.randrange(len(data) or 1)
    return (
        data[:at]
        + bytes(b ^ (1 << random.randrange(8)) for b in data[at : at + 1])
        + data[at + 1 :]
    )


def _edge(random: Random, data: bytes, others: list[bytes]) -> bytes:
    at = random.randrange(len(data) or 1)
    return data[:at] + bytes((random.choice(EDGES),)) + data[at + 1 :]


def _length(random: Random, data: bytes, others: list[bytes]) -> bytes:
    """Something that may be a 16-bit length, or counter, or index."""
    at = random.randrange(len(data) or 1)
    number = random.choice(
        (0, 1, len(data), len(data) - at, 0x7FFF, 0xFFFF, random.randrange(1500))
    )
    return data[:at] + (number & 0xFFFF).to_bytes(2, "big") + data[at + 2 :]


def _type(random: Random, data: bytes, others: list[bytes]) -> bytes:
    return bytes((random.randrange(8),)) + data[1:]


def _cut(random: Random, data: bytes, others: list[bytes]) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _grow(random: Random, data: bytes, others: list[bytes]) -> bytes:
    more = random.choice((1, 2, 3, 16, random.randrange(300)))
    return data + (bytes(more) if random.random() < 0.5 else random.randbytes(more))


def _splice(random: Random, data: bytes, others: list[bytes]) -> bytes:
    other = random.choice(others) if others else data
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _remove(random: Random, data: bytes, others: list[bytes]) -> bytes:
    at = random.randrange(len(data) or 1)
    return data[:at] + data[at + random.randrange(1, 9) :]


def _repeat(random: Random, data: bytes, others: list[bytes]) -> bytes:
    at = random.randrange(len(data) or 1)
    part = data[at : at + random.randrange(1, 40)]
    return data[:at] + part * random.randrange(1, 4) + data[at:]


MUTATIONS = (_flip, _flip, _edge, _length, _type, _cut, _grow, _splice, _remove, _repeat)


def stray(random: Random, corpus: list[bytes]) -> bytes:
    """A datagram of somebody who has no keys; never empty."""
    dice = random.random()
    if dice < 0.15:
        return random.randbytes(random.randrange(1, 200))
    if dice < 0.3:
        size = random.choice((29, 64, 92, 136, 400, 1131, 1132, random.randrange(1, 1500)))
        return bytes((random.randrange(1, 6),)) + random.randbytes(size - 1)
    return mutated(random, random.choice(corpus), corpus) or b"\4"


def with_mac1(random: Random, data: bytes, receiver: PeerID) -> bytes:
    """The datagram with a first MAC that is right, which anybody can make who knows the key."""
    signed = data[:-32]
    return (
        signed
        + mac(mac1_key(receiver.key, NO_PSK), signed)
        + random.choice((bytes(16), random.randbytes(16)))
    )


# What peers say


def name(random: Random) -> str:
    """A name of a codec, often one that exists."""
    if random.random() < 0.8:
        return random.choice(CODECS)
    return "".join(chr(random.randrange(0x21, 0x7F)) for _ in range(random.randrange(1, 33)))


def names(random: Random) -> tuple[str, ...]:
    """A table of codecs."""
    return tuple(dict.fromkeys(name(random) for _ in range(random.randrange(0, 70))))


def control_message(random: Random) -> bytes:
    """Any control message but `bye`, which is tried apart since it ends the session."""
    if random.random() < 0.3:
        return flood_message(random)
    return random.choice(
        (
            lambda: Keepalive().emit(),
            lambda: Probe(random.randbytes(8), random.randrange(40)).emit(),
            lambda: ProbeAnswer(random.randbytes(8)).emit(),
            lambda: Codecs(names(random)).emit(),
            lambda: Codecs(("forward", "piece", *names(random))).emit(),
            lambda: Peering(random.randrange(MAX_SLOT + 1), random.random() < 0.5).emit(),
            lambda: Request(
                random.choice((random.randrange(4), random.getrandbits(32))),
                name(random),
                random.randbytes(random.randrange(100)),
            ).emit(),
            lambda: Reply(
                random.getrandbits(32), random.randrange(256), random.randbytes(9)
            ).emit(),
            lambda: bytes((random.randrange(8, 256),)) + random.randbytes(random.randrange(40)),
        )
    )()


def flood_message(random: Random) -> bytes:
    """What neighbours say about the map: true signatures and false, endless lists, lies."""

    def shorts(most: int) -> list[bytes]:
        known = [random.choice(SHORTS) for _ in range(random.randrange(4))]
        return known + [random.randbytes(8) for _ in range(random.randrange(most))]

    most = random.choice((2, 2, 20, 160))
    return random.choice(
        (
            lambda: flood.Records(
                tuple(link_record(random) for _ in range(random.choice((1, 1, 3))))
            ).emit(),
            lambda: flood.Records((mutated(random, link_record(random), []) or b"x",)).emit(),
            lambda: flood.Summary(
                random.choice((0, 1000, 50_000, flood.INFINITE)),
                random.randrange(300),
                random.randbytes(16),
            ).emit(),
            lambda: flood.Listing(tuple((s, _sequence(random)) for s in shorts(most))).emit(),
            lambda: flood.Wanted(tuple(shorts(most) * random.choice((1, 3)))).emit(),
        )
    )()


def link_record(random: Random) -> bytes:
    """A record that its node signed, with links to nodes that may exist."""
    private = random.choice(LIARS)
    count = random.choice((0, 1, 2, 3, 9, MAX_LINKS))
    peers = {random.choice(SHORTS) for _ in range(min(count, 4))}
    while len(peers) < count:
        peers.add(random.randbytes(8))
    links = [
        LinkEntry(
            peer,
            random.randrange(1, MAX_SLOT + 1),
            random.randrange(1, MAX_SLOT + 1),
            random.choice((0, 95, 255)),
            random.choice((0, 1371, 0xFFFF)),
        )
        for peer in peers - {private.peer_id.short}
    ]
    flags = random.choice((0, 1, 2, 4, 255))
    return LinkRecord.sign(private, _sequence(random), flags, links, random.randbytes(64)).raw


def _sequence(random: Random) -> int:
    return random.choice((0, random.getrandbits(20), random.getrandbits(48), 256**6 - 1))


def ip6_packet(random: Random, ends: list[bytes]) -> bytes:
    """An IPv6 packet between such addresses, whole or nearly so."""
    size = random.choice((0, 8, 60, 1240, 1241, 1400, random.randrange(1500)))
    body = random.randbytes(size)
    length = size if random.random() < 0.9 else random.choice((0, size + 1, 0xFFFF))
    head = bytes((random.choice((0x60, 0x60, 0x6F, 0x40)),)) + random.randbytes(3)
    head += length.to_bytes(2, "big") + bytes((random.choice((0, 6, 17, 44, 58, 59)),))
    head += bytes((random.choice((0, 1, 2, 64, 255)),))
    packet = head + random.choice(ends) + random.choice(ends) + body
    return packet if random.random() < 0.9 else mutated(random, packet, [packet])


def ip6_payload(random: Random) -> bytes:
    """The same as a peer carries it: without addresses."""
    packet = ip6_packet(random, [bytes(16)])
    return packet[:8] + packet[40:]


def piece(random: Random) -> bytes:
    """Parts of payloads that contradict each other."""
    count = random.choice((1, 2, 3, 255))
    body = random.randbytes(random.choice((1, 2, 100, 1000)))
    if random.random() < 0.3:
        body = bytes((random.randrange(6),)) + control_message(random)[:1000]
    return Piece(random.randrange(90), random.randrange(count), count, body).emit()


def label(random: Random, slots: list[int]) -> bytes:
    """Entries of a label: slots that lead somewhere, any slots, or any bytes."""
    if random.random() < 0.2:
        return random.randbytes(random.choice((0, 1, 2, 3, 8, 63, 64, 65, 255)))
    entries = b""
    for _ in range(random.choice((0, 1, 1, 2, 2, 3, 4, 9, 30))):
        slot = random.choice((*slots, random.randrange(MAX_SLOT + 1)))
        wide = slot > 239 or random.random() < 0.5
        entries += bytes((0xF0 + (slot >> 8), slot & 0xFF)) if wide else bytes((slot,))
    return entries[:255]


def forward(random: Random, slots: list[int], inner: bytes) -> bytes:
    """A forward packet to anywhere."""
    header = bytearray(emit_header(label(random, slots)))
    if random.random() < 0.2:
        header[random.randrange(2)] = random.choice(EDGES)
    return bytes(header) + inner


def notice(random: Random, quotes: list[bytes]) -> bytes:
    """A refusal or a trace, quoting something that may have been sent."""
    code = random.choice(tuple(Code))
    body = (random.choice(quotes) if quotes else b"")[:24].ljust(24, b"\0")
    if code in (Code.TRACE_REQUEST, Code.TRACE_ANSWER):
        body = random.randbytes(random.choice((TRACE_SIZE, TRACE_SIZE, 113, 20)))
    mtu = random.choice((0, 1, 500, 1371, 0xFFFF))
    return Notice(code, mtu, body).emit()


def hello_payload(
    random: Random, stamp: bytes, asked: Early | None = None, answer: bytes = b"\0yes"
) -> bytes:
    """What a hello or, without a stamp, a response carries."""
    request = asked or Early(name(random), random.randbytes(random.randrange(60)))
    plain = Payload(
        ("forward", "piece", *names(random)[:12]) if random.random() < 0.7 else names(random)[:12],
        random.choice((0, 1400, 0xFFFF)),
        random.choice((1, 1, 1, 1, 0, 2, 255)),
        stamp,
        request if random.random() < 0.5 else None,
        None if stamp else random.choice((None, answer, b"\1")),
    ).emit(random.choice((0, 264)))
    if random.random() < 0.6:
        return plain
    return (stamp + mutated(random, plain[len(stamp) :], [plain]))[:900]


def payload(random: Random, slots: list[int], inner: list[bytes]) -> tuple[int, bytes]:
    """(codec, payload) as a hostile peer seals them."""
    codec = random.choice((0, 0, 0, 1, 1, 1, 2, 2, 3, 3, random.randrange(256)))
    if codec == 0:
        plain = control_message(random)
    elif codec == 1:
        plain = forward(random, slots, random.choice(inner))
    elif codec == 2:
        plain = piece(random)
    elif codec == 3:
        plain = ip6_payload(random)
    else:
        plain = random.randbytes(random.choice((0, 1, 100)))
    if random.random() < 0.4:
        plain = mutated(random, plain, [plain, *inner[:1]])
    if codec == 0 and plain[:1] == bytes((control.BYE,)) and random.random() < 0.95:
        plain = b"\0"
    return codec, plain[:1300]


def type_of(data: bytes) -> int:
    """First byte, 0 where there is none."""
    return data[0] if data else 0


GOLDEN_HELLOS = [packet for packet in PACKETS if type_of(packet) == Type.HELLO]
