"""The data plane alone: batches of strangers' and hostile peers' datagrams, and of programs'."""

from random import Random

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from rovy.address.label import Label
from rovy.address.path import Routed
from rovy.dataplane.pure import PureDataPlane
from rovy.dataplane.types import Handshake, PacketHeld, Received
from rovy.wire.datagram import DATA_FIXED, data_header, nonce
from rovy.wire.forward import emit_header
from tests.dataplanes import address, direct, key, open_session, split
from tests.fuzz import audit
from tests.fuzz.audit import MEGABYTE, Meter, promise
from tests.fuzz.inputs import (
    DATA,
    FORWARDS,
    PACKETS,
    ip6_packet,
    ip6_payload,
    mutated,
    notice,
    payload,
    stray,
)

GROWTH = 2 * MEGABYTE
"""The interned labels, 4096 at most, are nearly all of it."""
SLOTS = {1: 1, 2: 239, 3: 240, 4: 3839, 5: 17, 6: 0, 7: 18}
"""Session -> slot. Session 5 has a path of 300 bytes, 6 no slot, 7 no direct path."""
SIZES = (1, 28, 29, 30, 36, 45, 64, 86, 115, 136, 300, 400, 1131, 1400)
GOLDEN = 9
ROUTED = 8
"""A session over session 2 and one node more."""
OWN, IP6 = 99, 3
"""Number that gives the own address, and the index of `ip6`."""


class Peer:
    """One session as its other end has it: keys, and a counter."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.index = 0x1000 + session
        self.cipher = ChaCha20Poly1305(bytes(key(self.index)))
        self.counter = 0
        self.path = direct(session)

    def seal(self, codec: int, plain: bytes, counter: int | None = None) -> bytes:
        """A data datagram to the node."""
        if counter is None:
            self.counter += 1
            counter = self.counter
        header = data_header(counter, self.index)
        return header + self.cipher.encrypt(nonce(counter), bytes((codec,)) + plain, header)


class Attack:
    """A data plane with sessions of every kind, and what is thrown at it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.plane = PureDataPlane()
        self.peers = [Peer(session) for session in SLOTS]
        self.now = 1.0
        self.last = b""
        for peer in self.peers:
            open_session(
                self.plane,
                peer.session,
                peer.path,
                mine=peer.index,
                theirs=0x2000 + peer.session,
                receive=peer.index,
                send=0x2000 + peer.session,
                mtu=300 if peer.session == 5 else 9000,
                confirmed=peer.session != 4,
            )
            if SLOTS[peer.session]:
                self.plane.set_slot(SLOTS[peer.session], peer.session)
            self.plane.set_ip6(peer.session, IP6 if peer.session != 6 else 0)
        self.plane.set_own(address(OWN), IP6)
        path = Routed(Label.of(SLOTS[2], 7))
        numbers = {"mine": 0x1008, "theirs": 0x2008, "receive": 0x1008, "send": 0x2008}
        open_session(self.plane, ROUTED, path, mtu=1100, **numbers)
        self.plane.set_direct(ROUTED, None, 0)
        self.plane.set_ip6(ROUTED, IP6)
        self.plane.set_direct(7, None, 0)
        self.plane.add_session(GOLDEN, address(GOLDEN))
        self.renew()

    def renew(self) -> None:
        """The session that golden packets open in gets its key anew, with an empty window."""
        index = DATA["receiver"]
        self.plane.remove_opener(index)
        self.plane.add_opener(GOLDEN, index, bytearray.fromhex(DATA["key"]), confirmed=True)

    def batch(self) -> int:
        """One call with up to 64 datagrams; how many there were."""
        random = self.random
        size = random.choice((*SIZES, random.randrange(1, 1500)))
        parts = [self.datagram(size) for _ in range(random.choice((1, 1, 2, 5, 20, 64)))]
        parts = [part[:size].ljust(size, b"\0") for part in parts]
        if random.random() < 0.5:
            parts[-1] = parts[-1][: random.randrange(1, size + 1)]
        buffer = bytearray(b"".join(parts))
        length = len(buffer)
        self.last = bytes(buffer)
        if random.random() < 0.5:
            buffer += random.randbytes(random.randrange(100))  # what a former batch left
        source = random.choice(self.peers).path if random.random() < 0.8 else direct(99)
        self.now += random.choice((0.0, 0.001, 0.1, 3.0))
        receive = self.plane.receive
        out = audit.received(self.plane, receive, buffer, length, size, source, self.now)
        for run in out.runs:
            promise(0 < run.size <= size and len(run.data) > 0, "an empty or longer run")
            promise(run.path != direct(7), "a run to a peer without a path")
            promise(run.path != direct(5) or run.size <= 300, "a run longer than its path takes")
        return len(parts)

    def packets(self) -> int:
        """One call with what programs of this machine send; how many packets there were."""
        random = self.random
        ends = [address(number) for number in (OWN, OWN, OWN, 1, 2, 5, 6, ROUTED, 77)]
        ends += [bytes(16), bytes.fromhex("ff02") + bytes(14), bytes.fromhex("fe80") + bytes(14)]
        batch = [ip6_packet(random, ends) for _ in range(random.choice((1, 2, 20, 64)))]
        self.last = b"".join(batch)
        if random.random() < 0.2:
            down = None if random.random() < 0.5 else direct(2)
            self.plane.set_direct(2, down, 9000 if down else 0)
        out = audit.transmitted(self.plane, self.plane.transmit, batch, self.now)
        for run in out.runs:
            promise(run.path != direct(5) or run.size <= 300, "a run longer than its path takes")
        for event in out.events:
            promise(not isinstance(event, PacketHeld) or event.packet in batch, "a packet changed")
        self.plane.set_direct(2, direct(2), 9000)
        whole = self.plane.expand(random.choice((1, 2, ROUTED)), ip6_payload(random))
        promise(all(packet[24:40] == address(OWN) for packet in whole.packets), "not for us")
        return len(batch) + 1

    def datagram(self, size: int) -> bytes:
        """Something of about that size."""
        random = self.random
        if random.random() < 0.45:
            return stray(random, PACKETS)
        peer = random.choice(self.peers)
        inner = [self.inner(), random.choice(PACKETS)]
        slots = [*SLOTS.values(), 5, 0]
        codec, plain = payload(random, slots, inner)
        room = size - DATA_FIXED
        if room > 0 and random.random() < 0.8:
            plain = plain[:room].ljust(room, b"\0")
        counter = None if random.random() < 0.9 else random.getrandbits(random.choice((4, 20, 56)))
        if counter is not None and counter > peer.counter + 1000:
            counter = peer.counter
        data = peer.seal(codec, plain, counter)
        return data if random.random() < 0.85 else mutated(random, data, PACKETS)

    def inner(self) -> bytes:
        """What a forward packet carries."""
        random = self.random
        peer = random.choice(self.peers)
        return random.choice(
            (
                lambda: peer.seal(random.randrange(5), random.randbytes(20)),
                lambda: notice(random, PACKETS),
                lambda: random.choice((*PACKETS, *FORWARDS)),
                lambda: b"",
            )
        )()

    def works(self) -> None:
        """Every session still opens packets, switches them and seals."""
        first, second = self.peers[:2]
        for peer in self.peers:
            out = self.feed(peer, peer.seal(0, b"still here"))
            got = [event.payload for event in out.events if isinstance(event, Received)]
            promise(got == [b"still here"], f"session {peer.session} takes nothing any more")
            if peer.session != 7:
                self.writes(peer)
        inner = PACKETS[0]
        forward = emit_header(bytes((SLOTS[2],))) + inner
        (run,) = self.feed(first, first.seal(1, forward)).runs
        promise(run.path == second.path, "a forward packet went astray")
        (datagram,) = split(run)
        sealed = ChaCha20Poly1305(bytes(key(0x2000 + second.session)))
        counter = nonce(int.from_bytes(datagram[1:8], "big"))
        plain = sealed.decrypt(counter, datagram[12:], datagram[:12])
        promise(plain[1:] == bytes((1, 1, SLOTS[1])) + bytes(5) + inner, "a label is damaged")
        out = self.feed(first, first.seal(1, emit_header(b"") + inner))
        back = Routed(Label(bytes((SLOTS[1],))))
        promise(out.events == [Handshake(inner, back)], "nothing arrives inside forward packets")
        (run,) = self.plane.carry(Routed(Label(bytes((1, SLOTS[2])))), inner, self.now).runs
        promise(len(run.data) == 8 + len(inner) + DATA_FIXED, "nothing goes out along a label")

    def writes(self, peer: Peer) -> None:
        """IPv6 packets pass both ways, and come from whom they say."""
        carried = bytes.fromhex("60000000 0000 3b40")
        ends = address(peer.session) + address(OWN)
        (got,) = self.feed(peer, peer.seal(IP6, carried)).packets
        promise(got == carried + ends, "addresses are not put back")
        out = self.plane.transmit([carried + ends[16:] + ends[:16]], self.now)
        (event,) = [e for e in out.events if isinstance(e, PacketHeld)] or [None]
        promise(bool(out.runs) != bool(event), "an IPv6 packet does not leave")
        promise(event is None or peer.session == 6, "an IPv6 packet is held")

    def feed(self, peer: Peer, datagram: bytes):
        """One good datagram."""
        buffer = bytearray(datagram)
        return self.plane.receive(buffer, len(buffer), len(buffer), peer.path, self.now)


def run(random: Random, count: int, meter: Meter) -> None:
    """One round."""
    attack = Attack(random)
    meter.start()
    fed = 0
    try:
        while fed < count:
            fed += attack.batch() if random.random() < 0.85 else attack.packets()
            if random.random() < 0.02:
                attack.renew()
        attack.works()
    except Exception as error:
        error.add_note(f"last batch: {attack.last.hex()}")
        raise
    meter.stop(GROWTH)
