"""What hostile nodes say of what lies beyond the map: beacons, locators, records, maps, the DHT.

Signatures are true where nothing else is said: of keys that have no node, which say what they like.
`now` is the wall clock, in milliseconds as sequences have it.
"""

from itertools import pairwise
from random import Random

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import MAX_SLOT
from rovy.address.multiaddr import Multiaddr
from rovy.dht.const import LOCATOR, NAME, SERVICE
from rovy.dht.record import SignedRecord
from rovy.routing import anchor_gone
from rovy.routing.beacon import MAX_HOPS, Beacon, Hop, Step
from rovy.routing.locator import MAX_LINKS, MAX_TTL, Locator, LocatorLink
from rovy.wire import dht
from rovy.wire.beacon import MAX_OFFERED, Asked, BeaconMessage, Gone, Offered, Withdrawn
from rovy.wire.control import Reply, Request
from rovy.wire.mapping import MapLink, emit_ask, emit_map
from rovy.wire.payload import Early
from tests.bench.keys import private_keys
from tests.fuzz.inputs import ALICE, BEACONS, BOB, LIARS, RECORDS, SHORTS, label, mutated

HONEST = ALICE, BOB
"""Whose keys nobody else has: what is said in their names is forged."""
COUNT = 39
"""Where a beacon says how many hops it has."""
LONG = private_keys(MAX_HOPS + 2, skip=200)
"""As many as the longest beacon has, and more."""
NAMES = ("", "www", "x" * 63)
KINDS = (NAME, NAME, SERVICE, 128, 255)
ENDPOINT = Multiaddr.parse("/ip4/192.0.2.77/udp/1312")
MINUTE = 60_000
Slots = tuple[int, int]
"""The speaker's slot for who listens, and the listener's for it."""


def sequence(random: Random, now: int) -> int:
    """Mostly of the time, else stale, from the future, or at an end of the numbers."""
    if random.random() < 0.7:
        return now + random.randrange(-MINUTE, 4 * MINUTE)
    stale, ahead = now - random.randrange(300 * MINUTE), now + random.randrange(1000 * MINUTE)
    return max(0, min(random.choice((stale, ahead, 0, 1, dht.MAX_SEQUENCE)), dht.MAX_SEQUENCE))


# Between neighbours


def anchor_message(random: Random, now: int, way: tuple[PrivateKey, PeerID], slots: Slots) -> bytes:
    """What the first of `way` says of anchors to the second, its neighbour."""
    return random.choice(
        (
            lambda: BeaconMessage(beacon(random, now, way, slots)).emit(),
            lambda: BeaconMessage(beacon(random, now, way, slots)).emit(),
            lambda: BeaconMessage(mutated(random, beacon(random, now, way, slots), BEACONS)).emit(),
            lambda: Withdrawn(random.choice(SHORTS)).emit(),
            lambda: gone(random, now).emit(),
            lambda: Offered(tuple((s, random.randbytes(8)) for s in shorts(random))).emit(),
            lambda: Asked(tuple(shorts(random))).emit(),
        )
    )()


def beacon(random: Random, now: int, way: tuple[PrivateKey, PeerID], slots: Slots) -> bytes:
    """From an anchor that may not exist, over others, to the speaker: true, or not quite."""
    speaker, listener = way
    others = LIARS[: random.choice((0, 1, 2, 3, 5))]
    if random.random() < 0.5:
        others = random.sample(others[::-1], len(others))
    if random.random() < 0.01:
        others = LONG[: random.choice((MAX_HOPS - 1, MAX_HOPS))]
    nodes = [*others, speaker]
    if random.random() < 0.1:
        nodes.insert(random.randrange(len(nodes)), random.choice((*HONEST, *LIARS)))
    if random.random() < 0.1:
        nodes.pop()
    nodes = list(dict.fromkeys(nodes))[-MAX_HOPS:] or [speaker]
    receiver = listener if random.random() < 0.95 else random.choice(LIARS).peer_id
    # The speaker has a node, which goes on above what it seems to have said: leave it some room.
    told = now if nodes[0] is speaker else sequence(random, now)
    made = Beacon.begin(nodes[0].peer_id, told, random.choice((0, 1, 1, 255)))
    for node, far in zip(nodes, [*(each.peer_id for each in nodes[1:]), receiver], strict=True):
        last = far == receiver and random.random() < 0.95
        step = _step(random, slots if last else None)
        if node in HONEST or random.random() < 0.01:
            made = _forged(made, node.peer_id, step, random.randbytes(64))
        else:
            made = made.extend(node, far, step, random.randbytes(64))
    return made.raw


def _forged(made: Beacon, node: PeerID, step: Step, signature: bytes) -> Beacon:
    """A beacon with the hop of a node that did not sign it."""
    hops = (*made.hops, Hop(node, step, signature))
    raw = made.raw[:COUNT] + bytes((len(hops),)) + made.raw[COUNT + 1 :] + hops[-1].emit()
    return Beacon(made.anchor, made.sequence, made.flags, hops, raw)


def gone(random: Random, now: int) -> Gone:
    """Links that somebody says are down: true signatures, forged ones, keys that are none."""
    near, far = random.choice(tuple(pairwise(LIARS[:6])))
    if random.random() < 0.3:
        near, far = random.choice(LIARS), random.choice((ALICE, BOB, *LIARS))
    told = anchor_gone.sign(near, far.peer_id, sequence(random, now), random.randbytes(64))
    if random.random() < 0.8:
        return told
    key = random.choice((bytes(32), b"\xff" * 32, BOB.peer_id.key, random.randbytes(32)))
    return Gone(key, told.other, told.sequence, told.signature)


def shorts(random: Random) -> list[bytes]:
    """Of anchors, up to more than fit."""
    count = random.choice((0, 1, 3, MAX_OFFERED - 4, MAX_OFFERED, MAX_OFFERED + 1))
    known = random.sample(SHORTS, min(count, len(SHORTS)))
    return known + [random.randbytes(8) for _ in range(count - len(known))]


def _step(random: Random, slots: Slots | None) -> Step:
    slots = slots or (_slot(random), _slot(random))
    return Step(*slots, random.choice((0, 95, 255)), random.choice((0, 1371, 0xFFFF)))


def _slot(random: Random) -> int:
    return random.choice((1, 2, 239, 240, random.randrange(1, MAX_SLOT + 1), MAX_SLOT))


# What is stored


def locator(random: Random, now: int) -> bytes:
    """Of a node that may not exist, which leads anywhere."""
    private = random.choice(LIARS)
    free = [short for short in SHORTS if short != private.peer_id.short]
    paths = [
        tuple(_links(random, free, random.choice((0, 1, 2, 5)))) for _ in range(random.randrange(5))
    ]
    made = Locator.sign(
        private,
        sequence(random, now),
        random.choice((1, 600, 3600, MAX_TTL)),
        random.choice((0, 1, 255)),
        paths,
        tuple(_links(random, free, random.choice((0, 1, 3, MAX_LINKS)))),
        [ENDPOINT] * random.choice((0, 0, 1)),
        random.randbytes(64),
    )
    return made.raw


def _links(random: Random, free: list[bytes], count: int) -> list[LocatorLink]:
    nodes = random.sample(free, min(count, len(free)))
    cost = random.choice((0, 95, 255))
    return [LocatorLink(node, _slot(random), _slot(random), cost) for node in nodes]


def record(random: Random, now: int) -> tuple[int, bytes]:
    """(type, record) of somebody without a node."""
    made = SignedRecord.sign(
        random.choice(LIARS),
        random.choice(KINDS),
        sequence(random, now),
        random.choice((1, 3600, 86_400)),
        random.choice((*NAMES, str(random.randrange(1000)))),
        random.randbytes(random.choice((0, 1, 100, 1024))),
        random.randbytes(64),
    )
    return made.type, made.raw


def own_record(random: Random, private: PrivateKey, now: int) -> SignedRecord:
    """What an honest node publishes."""
    name = random.choice(NAMES)
    return SignedRecord.sign(private, NAME, now, 3600, name, b"here", random.randbytes(64))


def value(random: Random, now: int) -> tuple[int, bytes]:
    """(type, value), sometimes damaged, or of a type that nobody knows."""
    kind, raw = (LOCATOR, locator(random, now)) if random.random() < 0.5 else record(random, now)
    if random.random() < 0.2:
        raw = mutated(random, raw, RECORDS)[: dht.MAX_VALUE] or b"x"
    return (kind, raw) if random.random() < 0.95 else (random.randrange(256), raw)


# Requests


def asked(random: Random, now: int) -> Early:
    """A request of codec `dht` or `map`, at times no such."""
    codec = random.choice((dht.CODEC, dht.CODEC, dht.CODEC, "map"))
    body = emit_ask(random.choice((0, 1, 9, 4096, 0xFFFF)))
    if codec == dht.CODEC:
        body = dht_request(random, now)
    if random.random() < 0.15:
        body = mutated(random, body, RECORDS)[:2100]
    return Early(codec, body)


def request(random: Random, now: int) -> bytes:
    """The same as a control message."""
    what = asked(random, now)
    number = random.choice((random.randrange(4), random.getrandbits(32)))
    return Request(number, what.codec, what.body).emit()


def dht_request(random: Random, now: int) -> bytes:
    """One that is well formed."""
    most = random.choice((0, 1, 2, 80, 1100, 8192, 0xFFFF))
    bits = random.choice((dht.WHOLE, dht.PREFIX))
    return random.choice(
        (
            lambda: dht.Ping(random.choice((0, now, dht.MAX_SEQUENCE))).emit(),
            lambda: dht.Find(target(random), bits, random.randrange(2), most).emit(),
            lambda: dht.Find(target(random), bits, random.randrange(2), most).emit(),
            lambda: dht.Store(*value(random, now)).emit(),
            lambda: dht.Store(*value(random, now)).emit(),
        )
    )()


def target(random: Random) -> bytes:
    """A place: of somebody who may be known, or any."""
    known = random.choice((ALICE, BOB, *LIARS)).peer_id.node_id
    return random.choice((known, known[:15] + bytes(5), random.randbytes(20)))


# Answers


def dht_answer(random: Random, now: int, body: bytes) -> bytes:
    """To a request of codec `dht`: what was asked for, something else, or noise."""
    kind = body[0] if body and random.random() < 0.95 else random.randrange(3)
    answer = random.choice(
        {
            dht.PING: (lambda: b"", lambda: locator(random, now)),
            dht.FIND: (lambda: found(random, now, body[1:21]),),
            dht.STORE: (lambda: bytes((random.choice((0, 0, 1, 2, 3, 4, 5, 255)),)),),
        }.get(kind, (lambda: b"",))
    )()
    if random.random() < 0.15:
        answer = mutated(random, answer, RECORDS)
    return answer if random.random() < 0.97 else random.randbytes(random.randrange(1500))


def found(random: Random, now: int, place: bytes) -> bytes:
    """Values and contacts, some of them too many."""
    values = [value(random, now) for _ in range(random.choice((0, 0, 1, 2, dht.MAX_VALUES)))]
    count = random.choice((0, 1, 3, 8, 8, 8, dht.MAX_CONTACTS, dht.MAX_CONTACTS + 1))
    liars = sorted((*LIARS, *LONG), key=lambda liar: _distance(liar.peer_id.node_id, place))
    keys = liars[:count] if random.random() < 0.7 else random.choices(liars, k=count)
    return dht.Found(tuple(values), tuple(named(random, now, key) for key in keys)).emit()


def named(random: Random, now: int, private: PrivateKey) -> dht.Named:
    """A contact by key, or some locator; with a label that leads on, away, or in a circle."""
    key = private.peer_id.key if random.random() < 0.95 else random.randbytes(32)
    raw = locator(random, now) if random.random() < 0.2 else b""
    way = bytes((0xF0, random.choice((1, 2, 3, 9)))) + label(random, [1, 2, 3])[:30]
    if raw and random.random() < 0.5:
        way = b""
    return dht.Named(b"" if raw else key, raw, way, random.choice((0, 95, 255)))


def map_answer(random: Random, own: bytes) -> bytes:
    """Links that are there, that might be, and that cannot be."""
    nodes = [*SHORTS, *(random.randbytes(8) for _ in range(random.choice((0, 3, 300))))]
    links = [
        MapLink(
            *random.sample(nodes, 2),
            _slot(random),
            _slot(random),
            random.choice((0, 95, 255)),
            random.choice((0, 1371, 0xFFFF)),
        )
        for _ in range(random.choice((0, 1, 10, 900)))
    ]
    answer = emit_map(own, links, random.choice((4096, 4096, 8192)))
    return answer if random.random() < 0.8 else mutated(random, answer, RECORDS)


def reply(random: Random, now: int, ids: list[int]) -> bytes:
    """An answer to what somebody may have been asked, out of turn."""
    body = dht_answer(random, now, bytes((random.randrange(3),)) + target(random))
    body = body if random.random() < 0.8 else map_answer(random, LIARS[0].peer_id.short)
    status = random.choice((0, 0, 0, 1, 2, 3, 4, 255))
    return Reply(random.choice(ids), status, body).emit()


def _distance(one: bytes, other: bytes) -> int:
    return int.from_bytes(one, "big") ^ int.from_bytes(other.ljust(dht.ID, b"\0"), "big")
