"""Hostile peers: with valid keys and a peering they say whatever they like, in every codec."""

import asyncio
from collections import deque
from random import Random

from rovy.address.keys import PrivateKey
from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.errors import Malformed, RovyError
from rovy.io.virtual import run as run_virtually
from rovy.node import Node
from rovy.noise.handshake import NO_PSK, Initiator, Responder
from rovy.noise.mac import mac, mac1_key
from rovy.session.stamps import StampClock
from rovy.wire.datagram import Hello, Response, Type
from rovy.wire.dht import CODEC as DHT
from rovy.wire.payload import PIECE
from rovy.wire.piece import cut
from tests.bench.keys import private_keys
from tests.fuzz import beyond
from tests.fuzz.audit import MEGABYTE, Meter, promise
from tests.fuzz.inputs import (
    BOB,
    LIARS,
    PACKETS,
    forward,
    hello_payload,
    ip6_packet,
    mutated,
    notice,
    payload,
    with_mac1,
)
from tests.fuzz.world import EPOCH, MALLORY, World

GROWTH = 4 * MEGABYTE
"""Sessions of up to 64 strangers, each with its replay windows, pieces, and 64 replies."""
PAUSES = (0.0, 0.0, 0.001, 0.03, 0.3, 0.3, 3.0, 30.0)
CROWD = private_keys(64, skip=2)
TRAP = Endpoint("192.0.2.66", 4000)
ROOM = 1300
"""Bytes beyond which a payload goes in pieces."""
QUESTIONS = 12
"""Lookups of Bob's at a time."""
PATIENCE = 1200.0
"""Seconds after which each of them has to have ended, whatever it is told."""


class Insider:
    """Mallory, who is a peer of Bob's, and a crowd of identities without a node."""

    def __init__(self, world: World, random: Random, node: Node) -> None:
        self.world, self.random, self.node = world, random, node
        self.target = world.bob
        self.home = world.endpoint(node)
        self.stamps = StampClock(lambda: EPOCH + asyncio.get_running_loop().time())
        self.trapped: list[bytes] = []
        self.said: deque[bytes] = deque(maxlen=60)
        """What neighbours told Bob of anchors: it can be said again."""
        self.questions: set[asyncio.Task[object]] = set()
        world.net.filters.append(self._trap)
        self._lie()
        self._listen()

    async def joined(self) -> None:
        """See that Mallory has a session with Bob and it is the one Bob has."""
        ours = self._session()
        theirs = self.target._running.engine.sessions.with_peer(self.node.peer_id)
        agree = ours and theirs and ours.current and theirs.current
        if agree and ours.current.receiver == theirs.current.index:
            return
        engine = self.node._running.engine
        if ours:
            engine.sessions._core.close(ours, "starting anew")
            engine.pump()
        for _ in range(3):
            try:
                await self.node.connect(self.world.url(self.target), timeout=30.0)
                break
            except Exception:
                self.world.checked()
        await asyncio.sleep(0.2)

    def volley(self) -> None:
        """A number of inputs at one moment."""
        for _ in range(self.random.choice((1, 5, 20, 60))):
            dice = self.random.random()
            if dice < 0.85:
                self._say()
            elif dice < 0.9:
                self._run_programs()
            elif dice < 0.97:
                self._hello(self.random.choice(CROWD))
            elif dice < 0.98:
                self._set_trap()
            else:
                self._make_ask()
            self._spring()

    def _session(self):
        return self.node._running.engine.sessions.with_peer(self.target.peer_id)

    def _say(self) -> None:
        """Seal anything under the session's keys."""
        session = self._session()
        if session is None or not session.sending:
            self._hello(self.random.choice(CROWD))
            return
        plane = self.node._running.engine.dataplane
        if self.random.random() < 0.35:
            codec, plains = self._beyond()
        else:
            codec, plain = payload(self.random, self.world.slots, [self._inner(), b""])
            plains = [plain]
        path = self.node._running.engine.sessions.with_peer(self.target.peer_id).path
        if not isinstance(path, Direct):
            path = Direct(0, self.world.endpoint(self.target))
        for plain in plains:
            now = self.node._running.engine.now()
            for run in plane.seal(session.id, codec, [plain], now, path).runs:
                source = self.home if self.random.random() < 0.9 else self.world.elsewhere()
                self.world.inject(source, self.target, bytes(run.data))

    def _beyond(self) -> tuple[int, list[bytes]]:
        """(codec, payloads): what lies beyond the map, as a neighbour and as anybody tells it."""
        random, wall = self.random, self.wall
        way = MALLORY, self.target.peer_id
        plain = random.choice(
            (
                lambda: beyond.anchor_message(random, wall, way, self._slots()),
                lambda: beyond.anchor_message(random, wall, way, self._slots()),
                lambda: random.choice(self.said or [b"\0"]),
                lambda: beyond.request(random, wall),
                lambda: beyond.request(random, wall),
                lambda: beyond.reply(random, wall, self._asked()),
            )
        )()
        if len(plain) <= ROOM:
            return 0, [plain]
        pieces = cut(random.getrandbits(32), b"\0" + plain, ROOM)
        return 1 + self.target._running.engine.codecs.index(PIECE), [p.emit() for p in pieces]

    @property
    def wall(self) -> int:
        """Milliseconds as sequences have them."""
        return int(1000 * self.target._running.engine.wall())

    def _slots(self) -> tuple[int, int]:
        """Mallory's slot for Bob and Bob's for her, as Bob knows them."""
        anchors = self.target._running.beyond.anchoring.anchors
        known = anchors.neighbours.get(self.node.peer_id.short)
        return (known.their_slot, known.slot) if known else (1, 1)

    def _asked(self) -> list[int]:
        """Ids of requests that Bob may wait for the answers to."""
        requests = self.target._running.requests
        return [requests._next, *(number for _, number in requests._waiting)]

    def _lie(self) -> None:
        """Let Mallory's node answer all requests as it likes."""
        requests = self.node._running.requests
        requests.answerers[DHT] = self._answer
        requests.early[DHT] = lambda peer, body: self._answer(peer, body)[:700]
        requests.answerers["map"] = lambda peer, body: beyond.map_answer(
            self.random, self.node.peer_id.short
        )

    def _listen(self) -> None:
        anchors = self.target._running.beyond.anchoring.anchors
        receive = anchors.receive

        def noting(peer, message, now) -> None:
            self.said.append(message.emit())
            receive(peer, message, now)

        anchors.receive = noting

    def _answer(self, peer: object, body: bytes) -> bytes:
        self.world.fed += 1
        return beyond.dht_answer(self.random, self.wall, bytes(body))

    def _make_ask(self) -> None:
        """Let Bob look for something."""
        if len(self.questions) >= QUESTIONS:
            return
        services, random = self.target._running, self.random
        dht, resolver = services.beyond.dht, services.beyond.resolver
        liar = random.choice(LIARS)
        kind = random.choice(beyond.KINDS)
        work = random.choice(
            (
                lambda: dht.lookup(beyond.target(random)),
                lambda: dht.locate(beyond.target(random)),
                lambda: dht.get(kind, liar.peer_id, random.choice(beyond.NAMES), thorough=True),
                lambda: dht.put(beyond.own_record(random, BOB, self.wall)),
                lambda: resolver.learn(liar.peer_id, 20.0, True),
                lambda: resolver.by_address(liar.peer_id.address, 20.0, program=True),
                lambda: services.waiters.open(liar.peer_id, [], 20.0),
            )
        )()
        task = asyncio.get_running_loop().create_task(self._ask(work))
        self.questions.add(task)
        task.add_done_callback(self.questions.discard)
        session = services.engine.sessions.with_peer(self.node.peer_id)
        if session and session.sending:
            services.beyond.exchange._begin(session)

    async def _ask(self, work) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await work
        except TimeoutError:
            self.world.faults.append("a lookup does not end")
        except RovyError:
            pass  # what else, among liars
        except Exception as error:
            self.world.faults.append(f"a lookup raised {error!r}")
            raise

    async def answered(self) -> None:
        """Wait until all that Bob looks for is found, or not."""
        if self.questions:
            await asyncio.wait(self.questions, timeout=PATIENCE)
        promise(not self.questions, "a lookup does not end")

    def _run_programs(self) -> None:
        """What programs of Bob's send meanwhile, to whom they like."""
        ends = [node.peer_id.address for node in (self.target, self.target, *self.world.nodes)]
        ends += [key.peer_id.address for key in CROWD[:3]]
        ends += [b"\xfc" + self.random.randbytes(15)]
        packets = [ip6_packet(self.random, ends) for _ in range(self.random.choice((1, 5, 40)))]
        self.target._running.edge.interface.inject(packets)
        self.world.fed += len(packets)

    def _inner(self) -> bytes:
        """A datagram for the inside of a forward packet."""
        random = self.random
        dice = random.random()
        if dice < 0.3:
            return notice(random, self.world.recent())
        if dice < 0.5:
            return random.choice(self.world.corpus())
        if dice < 0.6:
            return self._make_hello(random.choice(CROWD))[1]
        if dice < 0.7:
            return mutated(random, random.choice(PACKETS), PACKETS)
        if dice < 0.75:
            inside = forward(random, self.world.slots, random.choice(PACKETS))
            return inside[: random.randrange(len(inside) + 1)]
        session = self._session()
        if session is None or not session.sending:
            return b""
        # Sealed for the same session, so that it roams to a route
        plane = self.node._running.engine.dataplane
        codec, plain = payload(random, self.world.slots, [b"", random.choice(PACKETS)])
        runs = plane.seal(session.id, codec, [plain], self.node._running.engine.now()).runs
        return bytes(runs[0].data)[:1200] if runs else b""

    # Handshakes of identities that have no node

    def _make_hello(self, key: PrivateKey) -> tuple[Initiator, bytes]:
        random, target = self.random, self.target.peer_id
        noise = Initiator(key, target, NO_PSK, random.randbytes(32))
        asked = beyond.asked(random, self.wall) if random.random() < 0.4 else None
        if asked and len(asked.body) > 512:
            asked = None
        message = noise.write(hello_payload(random, self.stamps.stamp(), asked))
        signed = Hello(random.getrandbits(32), message, b"", b"").signed()
        return noise, signed + mac(mac1_key(target.key, NO_PSK), signed) + bytes(16)

    def _hello(self, key: PrivateKey) -> None:
        """Open a session and say a few things in it."""
        noise, hello = self._make_hello(key)
        if self.random.random() < 0.1:
            hello = with_mac1(
                self.random, mutated(self.random, hello, PACKETS), self.target.peer_id
            )
        source = Endpoint(
            f"203.0.113.{self.random.randrange(256)}", 1 + self.random.randrange(65535)
        )
        heard: list[bytes] = []
        self.world.net.filters.append(tap := _tap(source, heard))
        self.world.inject(source, self.target, hello)
        self.world.net.filters.remove(tap)
        for data in heard:
            if data[0] == Type.RESPONSE:
                self._go_on(noise, Response.parse(data), source)

    def _go_on(self, noise: Initiator, response: Response, source: Endpoint) -> None:
        from tests.fuzz.plane import Peer

        try:
            noise.read(response.noise)
        except Malformed:
            return  # the hello was mutated
        sealing, _ = noise.keys()
        if sealing is None:
            return
        peer = Peer(0)
        peer.index, peer.cipher = response.sender, type(peer.cipher)(bytes(sealing))
        for _ in range(self.random.randrange(4)):
            codec, plain = payload(self.random, self.world.slots, [self.random.choice(PACKETS)])
            if self.random.random() < 0.3:
                codec, plain = 0, beyond.request(self.random, self.wall)[:ROOM]
            self.world.inject(source, self.target, peer.seal(codec, plain))

    # Handshakes that Bob begins

    def _set_trap(self) -> None:
        """Let Bob open a session with an identity of the crowd."""
        engine = self.target._running.engine
        key = self.random.choice(CROWD)
        self.wanted = key
        engine.sessions.connect(key.peer_id, [Direct(0, TRAP)], engine.now())
        engine.pump()

    def _trap(self, source: Endpoint, destination: Endpoint, data: bytes) -> bytes | None:
        if destination != TRAP:
            return data
        if data[0] == Type.HELLO:
            self.trapped.append(data)
        return None

    def _spring(self) -> None:
        """Answer the hellos that came into the trap."""
        trapped, self.trapped = self.trapped, []
        for data in trapped:
            hello = Hello.parse(data)
            try:
                responder = Responder(
                    self.wanted, hello.noise, NO_PSK, lambda: self.random.randbytes(32)
                )
            except Malformed:
                continue  # one of an earlier trap
            answer = b"\0" + beyond.dht_answer(self.random, self.wall, b"\1")[:600]
            noise = responder.write(hello_payload(self.random, b"", answer=answer))
            signed = Response(self.random.getrandbits(32), hello.sender, noise, b"", b"").signed()
            key = mac1_key(self.target.peer_id.key, NO_PSK)
            answer = signed + mac(key, signed) + bytes(16)
            if self.random.random() < 0.1:
                answer = mutated(self.random, answer, PACKETS) or b"\2"
            self.world.inject(TRAP, self.target, answer)


def run(random: Random, count: int, meter: Meter) -> None:
    """One round."""
    run_virtually(_round(random, count, meter))


async def _round(random: Random, count: int, meter: Meter) -> None:
    async with World(random) as world:
        mallory = Insider(world, random, await world.start(MALLORY, 4))
        mallory.node.keep(world.url(world.bob))
        await asyncio.sleep(2.0)
        world.slots += [info.slot for info in world.bob.sessions()]
        meter.start()
        try:
            while world.fed < count:
                await mallory.joined()
                mallory.volley()
                world.checked()
                await asyncio.sleep(random.choice(PAUSES))
                world.checked()
            await asyncio.sleep(5.0)
            await mallory.answered()
            await world.works()
        except Exception as error:
            error.add_note("last datagrams:\n" + "\n".join(world.last))
            raise
        meter.stop(GROWTH)


def _tap(destination: Endpoint, heard: list[bytes]):
    def listen(source: Endpoint, to: Endpoint, data: bytes) -> bytes | None:
        if to != destination:
            return data
        heard.append(data)
        return None

    return listen
