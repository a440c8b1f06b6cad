"""One way towards a target: who was asked, who answered, what was found. docs/protocol/dht.md §6

kademlia's crawl with the rounds taken out: a free place is filled at once, and a slow node frees
its place. Nothing that a node answers ends a crawl early.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from math import inf

from kademlia.crawling import SpiderCrawl
from kademlia.node import Node

from rovy.address.keys import PeerID
from rovy.dht.caller import Caller, Reply
from rovy.dht.const import ALPHA, ID_BITS, LOCATOR, MAX_ASKED, ROOM, ROOM_VALUES, K
from rovy.dht.contact import Contact
from rovy.dht.shortlist import Candidate, Shortlist
from rovy.dht.values import Value
from rovy.errors import Malformed, RovyError, Unreachable
from rovy.wire import dht as wire


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a lookup, as the user is shown it."""

    who: PeerID
    bits: int
    """That its id shares with the target, from the first on."""
    route: str | None
    """None where it did not answer."""
    rtt: float | None
    outcome: str
    """`value`, `contacts`, `malformed`, or the reason why it could not be reached."""
    count: int = 0
    """Values or contacts."""


Trace = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a lookup looks for."""

    target: bytes
    bits: int = wire.WHOLE
    kind: int | None = None
    """The type of the value; None: nodes."""

    @property
    def number(self) -> int:
        """The target as a number."""
        return int.from_bytes(self.target, "big")

    @property
    def find(self) -> wire.Find:
        """The request."""
        if self.kind is None:
            return wire.Find(self.target, self.bits, wire.NODES, ROOM)
        return wire.Find(self.target, self.bits, wire.VALUES, ROOM_VALUES)

    def matches(self, place: bytes) -> bool:
        """Whether what is stored there is looked for."""
        return place.startswith(self.target[: self.bits // 8])


class Crawl(SpiderCrawl):  # type: ignore[misc]
    """Driven from outside: `fill` sends requests, `collect` takes in what came back."""

    def __init__(
        self,
        caller: Caller,
        goal: Goal,
        known: Iterable[Contact],
        first: Collection[Contact] = (),
        trace: Trace | None = None,
    ) -> None:
        target = Node(goal.target)
        super().__init__(caller, target, [], K, ALPHA)
        self.nearest = Shortlist(target)
        self.goal = goal
        self.values: list[Value] = []
        """In the order they came."""
        self.asked: list[Contact] = []
        self._caller, self._trace = caller, trace
        self._flying: dict[asyncio.Task[Reply | RovyError], tuple[Candidate, float]] = {}
        for contact in first:
            self._list(contact, None, first=True)
        for contact in known:
            self._list(contact, None)

    @property
    def flying(self) -> Collection[asyncio.Task[Reply | RovyError]]:
        """Requests whose answers are awaited."""
        return self._flying.keys()

    @property
    def done(self) -> bool:
        """Whether all have answered or failed who have to."""
        waited = {candidate.contact.id for candidate, _ in self._flying.values()}
        needed = [c for c in self._needed() if not c.answered]
        if any(candidate.contact.id in waited for candidate in needed):
            return False
        return not self._may_ask or all(candidate.asked for candidate in needed)

    @property
    def answered(self) -> list[Contact]:
        """Those who did, the nearest first."""
        return [c.contact for c in self.nearest.candidates() if c.answered]

    @property
    def unasked(self) -> list[Contact]:
        """Those heard of and not needed, the nearest first."""
        return [c.contact for c in self.nearest.candidates() if not c.asked]

    @property
    def distances(self) -> list[int]:
        """Of those who answered."""
        return [contact.number ^ self.goal.number for contact in self.answered]

    @property
    def nearest_without_value(self) -> Contact | None:
        """The nearest one that answered and had no value: where to leave one that was found."""
        return next((c.contact for c in self.nearest.candidates() if c.empty), None)

    def fill(self, now: float) -> None:
        """Ask whoever is next while there are places."""
        busy = sum(late > now for _, late in self._flying.values())
        while busy < ALPHA and self._may_ask and (candidate := self._next()):
            candidate.asked = True
            self.asked.append(candidate.contact)
            late = now + self._caller.slow_after(candidate.contact.peer)
            task = asyncio.create_task(self._ask(candidate.contact))
            self._flying[task] = candidate, late
            busy += 1

    def next_late(self, now: float) -> float:
        """When the next request frees its place though it is not answered."""
        return min((late for _, late in self._flying.values() if late > now), default=inf)

    def collect(self) -> None:
        """Take in what came back."""
        for task in [task for task in self._flying if task.done()]:
            candidate, _ = self._flying.pop(task)
            reply = task.result()
            self._tell(candidate, reply)
            if isinstance(reply, Reply):
                self._absorb(candidate, reply)
            else:
                self.nearest.fail(candidate)

    async def close(self) -> None:
        """Give up what is in flight."""
        flying = list(self._flying)
        self._flying.clear()
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)

    @property
    def _may_ask(self) -> bool:
        return len(self.asked) < MAX_ASKED

    def _needed(self) -> list[Candidate]:
        width = [candidate for candidate, _ in self.nearest.width()]
        return width + [c for c in self.nearest.candidates() if c.first and c not in width]

    def _next(self) -> Candidate | None:
        """The nearest; of those as near as makes no difference the one soonest reached.

        Those who do not count come last, so that a liar's inventions delay little.
        """
        width = self.nearest.width()
        waiting = [(c, counts) for c, counts in width if not c.asked]
        firsts = [(c, True) for c in self.nearest.candidates() if c.first and not c.asked]
        best = min(firsts or waiting, key=_rank, default=None)
        return best[0] if best else None

    async def _ask(self, contact: Contact) -> Reply | RovyError:
        try:
            return await self._caller.find(contact, self.goal.find)
        except RovyError as error:
            return error

    def _absorb(self, candidate: Candidate, reply: Reply) -> None:
        candidate.answered = True
        values = [value for value in reply.values if value.type == self.goal.kind]
        candidate.empty = not values
        self.values += values
        bound = max(candidate.distance, self.nearest.bound())
        for contact in reply.contacts:
            if contact.number ^ self.goal.number < bound:
                self._caller.messenger.heard(candidate.contact.peer, contact)
                self._list(contact, candidate.contact)
                self._recognise(contact)

    def _list(self, contact: Contact, replier: Contact | None, first: bool = False) -> None:
        known = self.nearest.candidate(contact)
        if known is None:
            known = self._candidate(contact)
            known.first = first
            if replier:
                known.named.add(replier.id)
            self.nearest.add(known)
        elif replier and known.named:
            known.named.add(replier.id)

    def _candidate(self, contact: Contact) -> Candidate:
        messenger = self._caller.messenger
        cost = messenger.cost(contact.peer)
        group = messenger.group(contact.peer)
        distance = contact.number ^ self.goal.number
        return Candidate(contact, distance, group, inf if cost is None else cost)

    def _recognise(self, contact: Contact) -> None:
        """A contact's signed locator is as good as the same one stored."""
        if self.goal.kind == LOCATOR and contact.locator and self.goal.matches(contact.id):
            self.values.append(Value.of(contact.locator))

    def _tell(self, candidate: Candidate, reply: Reply | RovyError) -> None:
        if self._trace is None:
            return
        bits = ID_BITS - candidate.distance.bit_length()
        who = candidate.contact.peer
        if isinstance(reply, Reply):
            kind = "value" if reply.values else "contacts"
            count = len(reply.values or reply.contacts)
            self._trace(Step(who, bits, reply.route, reply.rtt, kind, count))
        else:
            self._trace(Step(who, bits, None, None, _reason(reply)))


def _rank(listed: tuple[Candidate, bool]) -> tuple[bool, int, float, int]:
    candidate, counts = listed
    return not counts, candidate.distance.bit_length(), candidate.price, candidate.distance


def _reason(error: RovyError) -> str:
    if isinstance(error, Unreachable):
        return error.reason
    return "malformed" if isinstance(error, Malformed) else "failed"
