"""Hundreds of DHT nodes in one process and in virtual time, joined by a messenger that is no node.

Nodes stand on a square, and a packet takes as long as they are apart. A node reaches whom it
has a locator of, whom somebody named to it with a label, its neighbours on the map, and anchors:
to ask anybody else is counted as `lost_ways`, for a real node could not do it either.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from heapq import nsmallest
from random import Random
from typing import Any

from rovy.address.keys import PeerID, PrivateKey
from rovy.dht.const import K
from rovy.dht.contact import Contact
from rovy.dht.dht import Dht
from rovy.dht.values import Reader, Value
from rovy.errors import RovyError, Unreachable
from rovy.routing.locator import Locator, LocatorLink
from tests.bench.keys import private_keys

START = 1_700_000_000.0  # wall clock where the loop's clock is 0
TTL = 3600
REPEATS = (0.3, 0.51, 0.87, 1.5, 2.5, 4.3)
Behaviour = Callable[[PeerID, bytes, bool], bytes | None]


@cache
def keys(count: int) -> tuple[PrivateKey, ...]:
    return tuple(private_keys(count))


@cache
def locator(private: PrivateKey, sequence: int, ttl: int = TTL) -> Locator:
    """As a node would sign it at that time, in milliseconds."""
    link = LocatorLink(b"neighbor", 5, 7, 90)
    return Locator.sign(private, sequence, ttl, 0, [], [link], [], bytes(64))


class FakeNet:
    """The network: who is there, where, and how badly it works."""

    def __init__(self, seed: int = 1, loss: float = 0.0) -> None:
        self.random = Random(seed)
        self.loss = loss
        self.members: dict[PeerID, Member] = {}
        self.anchors: list[PeerID] = []
        self.reader = Reader(1 << 16)
        """Shared, so that each locator is checked once in the process."""
        self.requests = 0
        self.lost_ways = 0
        self.largest = 0

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def add(self, private: PrivateKey, near: int = 0) -> "Member":
        member = self.members[private.peer_id] = Member(self, private)
        member.near = near
        return member

    def populate(self, count: int, skip: int = 0, near: int = 0) -> list["Member"]:
        return [self.add(private, near) for private in keys(skip + count)[skip:]]

    def start(self, *members: "Member", over: float = 0.0) -> None:
        for member in members or tuple(self.members.values()):
            self.anchors = self.anchors or [member.peer]
            delay = self.random.random() * over
            asyncio.get_running_loop().call_later(delay, member.start)

    def settle(self, everybody: "list[Member]", acquaintances: int = 60) -> None:
        """As after some hours: they know some each, and their nearest, and all are published."""
        for member in everybody:
            near = self.nearest(member.peer.node_id, 2 * K + 1, everybody)
            some = self.random.sample(everybody, min(acquaintances, len(everybody)))
            for peer in {*near, *(other.peer for other in some)} - {member.peer}:
                member.dht.contact_proved(peer, self.members[peer].locator())
                member.ways.add(peer)
            value = Value.of(member.locator())
            member.dht._storage.own[value.place] = value
            for peer in near[1 : K + 1]:
                self.members[peer].dht._storage.put(value, member.wall())

    async def close(self) -> None:
        for member in self.members.values():
            await member.dht.close()

    def distance(self, a: PeerID, b: PeerID) -> float:
        return abs(self.members[a].place - self.members[b].place) * 0.1 + 0.002

    def nearest(
        self, target: bytes, count: int, among: "list[Member] | None" = None
    ) -> list[PeerID]:
        """By XOR, of those alive: the truth."""
        number = int.from_bytes(target, "big")
        alive = [member for member in among or self.members.values() if member.alive]
        return [m.peer for m in nsmallest(count, alive, key=lambda m: m.number ^ number)]


class Member:
    """A node: its DHT and the messenger that the DHT has."""

    def __init__(self, net: FakeNet, private: PrivateKey) -> None:
        self.net, self.private, self.peer = net, private, private.peer_id
        self.place = complex(net.random.random(), net.random.random())
        self.alive = True
        self.number = int.from_bytes(self.peer.node_id, "big")
        self.near = 0
        self.sessions: set[PeerID] = set()
        self.ways: set[PeerID] = set()
        self.groups: dict[PeerID, bytes] = {}
        self.island: object = None
        self.behaviour: Behaviour | None = None
        self.own_anchors: list[PeerID] | None = None
        self.asked: list[PeerID] = []
        self.dht = Dht(self.peer, self, net.random.randbytes, net.reader)
        self._nearby: list[PeerID] | None = None

    def start(self) -> None:
        self.dht.start()
        self.publish()

    def publish(self) -> None:
        self.dht.publish(self.locator())

    def locator(self, age: float = 0.0) -> Locator:
        """As signed so long ago, in whole minutes."""
        return locator(self.private, int(self.wall() - age) // 60 * 60_000)

    # the messenger

    def now(self) -> float:
        return self.net.now

    def wall(self) -> float:
        return START + self.net.now

    async def request(self, peer: PeerID, body: bytes, timeout: float) -> tuple[bytes, str]:
        self.net.requests += 1
        self.asked.append(peer)
        if not self._knows_way(peer):
            self.net.lost_ways += 1
            raise Unreachable("no route", f"no way to {peer}")
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(peer, body), "/rovyrt/01"
        except TimeoutError:
            raise Unreachable("no answer", f"{peer} did not answer") from None

    async def _exchange(self, peer: PeerID, body: bytes) -> bytes:
        other = self.net.members.get(peer)
        for wait in REPEATS:
            if other and self._reaches(other) and not self._lost():
                answer = await self._deliver(other, body)
                if not self._lost():
                    return answer
            await asyncio.sleep(wait)
        await asyncio.sleep(60)
        raise Unreachable("no answer")

    async def _deliver(self, other: "Member", body: bytes) -> bytes:
        delay = self.net.distance(self.peer, other.peer)
        await asyncio.sleep(delay)
        early = self.peer not in other.sessions
        answer = self._answer(other, body, early)
        await asyncio.sleep(delay)
        if early:
            other.sessions.add(self.peer)
            self.sessions.add(other.peer)
            other.dht.contact_proved(self.peer, None)
        if answer is None:  # asked again in the session
            await asyncio.sleep(2 * delay)
            answer = self._answer(other, body, False)
        assert answer is not None
        assert not early or len(answer) <= 700 or other.behaviour
        self.net.largest = max(self.net.largest, len(answer))
        return answer

    def _answer(self, other: "Member", body: bytes, early: bool) -> bytes | None:
        try:
            if other.behaviour:
                return other.behaviour(self.peer, body, early)
            return other.dht.answer(self.peer, body, early)
        except RovyError as error:
            raise Unreachable("failed", str(error)) from None

    def _reaches(self, other: "Member") -> bool:
        return self.alive and other.alive and self.island == other.island

    def _lost(self) -> bool:
        return self.net.random.random() < self.net.loss

    def _knows_way(self, peer: PeerID) -> bool:
        contact = self.dht._table.contact(peer)
        known = contact is not None and contact.locator is not None
        met = peer in self.ways or peer in self.sessions
        return known or met or peer in self.nearby() or peer in self.anchors()

    def cost(self, peer: PeerID) -> float | None:
        return self.net.distance(self.peer, peer) if peer in self.net.members else None

    def group(self, peer: PeerID) -> bytes | None:
        return self.groups.get(peer)

    def label(self, peer: PeerID) -> tuple[bytes, int] | None:
        return (bytes((0xF0, 5, 9, 9, 9)), 90) if self._knows_way(peer) else None

    def heard(self, replier: PeerID, contact: Contact) -> None:
        assert contact.locator or contact.label or replier == self.peer
        self.ways.add(contact.peer)

    def anchors(self) -> list[PeerID]:
        return self.net.anchors if self.own_anchors is None else self.own_anchors

    def nearby(self) -> list[PeerID]:
        if self._nearby is None:
            others = [peer for peer in self.net.members if peer != self.peer]
            others.sort(key=lambda peer: self.net.distance(self.peer, peer))
            self._nearby = others[: self.near]
        return self._nearby


async def resolves(asker: Member, target: Member) -> bool:
    """Whether the asker finds the target's locator without what it knows itself."""
    async with asker.dht.find_locator(target.peer.node_id, local=False) as lookup:
        value = await lookup.more()
    return value is not None and value.signer == target.peer


@asynccontextmanager
async def network(
    count: int, acquaintances: int = 60, near: int = 0, **options: Any
) -> AsyncIterator[tuple[FakeNet, list[Member]]]:
    """That many nodes, settled but with nothing of their own to do; strangers where 0."""
    net = FakeNet(**options)
    members = net.populate(count, near=near)
    net.anchors = [member.peer for member in members[:8]]
    if acquaintances:
        net.settle(members, acquaintances)
    try:
        yield net, members
    finally:
        await net.close()
