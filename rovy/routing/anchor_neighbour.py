"""A neighbour as far as anchors are concerned: what it offered us and what we offered it.

docs/protocol/anchors.md §4
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2s
from math import inf
from typing import Final

from rovy.address.keys import PeerID
from rovy.buckets import TokenBucket
from rovy.routing.anchor_seats import Contender
from rovy.routing.beacon import Step
from rovy.routing.map import LinkName
from rovy.wire.beacon import DIGEST, MAX_OFFERED, Asked, Offered

BEACONS: Final = (5.0, 512.0)
"""Beacons and withdrawals taken from one neighbour: a second, and at once."""
SIGNATURES: Final = (100.0, 4096.0)
"""Signatures checked for one neighbour."""
GONES: Final = (10.0, 128.0)
"""Links that are gone told by one neighbour."""
QUESTIONS: Final = (2.0, 16.0)
"""Summaries and wishes heard from one neighbour."""
LIMITED: Final = 1024
"""Neighbours whose limits are remembered, former ones included; the oldest gives way."""
CHECK: Final = 1.0
"""Seconds after a change until a summary shows whether it arrived; the next ones follow after
`SLOWER` times as long each, up to `SUMMARY`."""
SLOWER: Final = 1.5
SUMMARY: Final = 60.0
ASKED_AGAIN: Final = 3
"""Times a question is repeated, after 1 s, 2 s and 4 s."""


class Limits:
    """How much one neighbour may make us do."""

    __slots__ = ("beacons", "gones", "questions", "signatures")

    def __init__(self, now: float) -> None:
        self.beacons = TokenBucket(*BEACONS, now)
        self.signatures = TokenBucket(*SIGNATURES, now)
        self.gones = TokenBucket(*GONES, now)
        self.questions = TokenBucket(*QUESTIONS, now)


class AllLimits:
    """Those of all neighbours, kept while they come and go."""

    def __init__(self) -> None:
        self._limits: OrderedDict[bytes, Limits] = OrderedDict()

    def of(self, short: bytes, now: float) -> Limits:
        """A neighbour's; new ones for who was not there of late."""
        limits = self._limits.pop(short, None) or Limits(now)
        self._limits[short] = limits
        if len(self._limits) > LIMITED:
            self._limits.popitem(last=False)
        return limits


@dataclass(frozen=True, slots=True)
class Heard:
    """A beacon that a neighbour offers, and why we do not hold it, if we do not."""

    digest: bytes
    why: str = ""
    """In a word; empty where it is held."""
    surplus: Contender | None = None
    """For whom there was no room."""
    blocked: LinkName | None = None
    """The link that was gone over which it leads."""
    again: float = inf
    """When it may be taken."""

    def of(self, digest: bytes) -> "Heard":
        """The same about another beacon."""
        return replace(self, digest=digest)


@dataclass(frozen=True, slots=True)
class Offer:
    """A beacon as we sent it, and what it was made of."""

    base: bytes
    step: Step
    raw: bytes
    digest: bytes


@dataclass(slots=True, eq=False)
class Neighbour:
    """A peering that is up."""

    peer: PeerID
    short: bytes
    slot: int
    their_slot: int
    q: int
    """Cost as it is told, one byte."""
    mtu: int
    limits: Limits
    heard: dict[bytes, Heard] = field(default_factory=dict)
    """What it offers, by short of the anchor."""
    offered: dict[bytes, Offer] = field(default_factory=dict)
    """What we offer it."""
    summary_at: float = inf
    pause: float = CHECK
    """Seconds from the next summary to the one after it."""
    missing: dict[bytes, None] = field(default_factory=dict)
    """Anchors that it was asked for, in order, and said nothing of since."""
    ask_at: float = inf
    asked: int = 0
    """How often."""

    @property
    def step(self) -> Step:
        """Our link to it, as we see it."""
        return Step(self.slot, self.their_slot, self.q, self.mtu)

    def has_room(self, anchor: bytes) -> bool:
        """Whether it may offer this anchor besides the others."""
        return anchor in self.heard or len(self.heard) < MAX_OFFERED

    def hasten(self, now: float) -> None:
        """Let summaries follow soon, until it is certain that nothing got lost."""
        self.pause = CHECK
        self.summary_at = min(self.summary_at, now + CHECK)

    def summarise(self, now: float) -> Offered:
        """What it is offered now; the next time is later."""
        self.summary_at = now + self.pause
        self.pause = min(SLOWER * self.pause, SUMMARY)
        return Offered(tuple((short, offer.digest) for short, offer in self.offered.items()))

    def want(self, anchors: Iterable[bytes], now: float) -> Asked:
        """Ask for these, and again until it says something of them."""
        self.missing |= dict.fromkeys(anchors)
        self.asked = 0
        return self.ask(now)

    def ask(self, now: float) -> Asked:
        """Ask for what is missing."""
        missing = tuple(self.missing)[:MAX_OFFERED]
        self.ask_at = now + CHECK * 2**self.asked
        self.asked += 1
        if self.asked > ASKED_AGAIN:
            self.missing, self.ask_at = {}, inf
        return Asked(missing)

    def note(self, anchor: bytes, heard: Heard | None) -> None:
        """What it offers of an anchor now."""
        self.missing.pop(anchor, None)
        if heard:
            self.heard[anchor] = heard
        else:
            self.heard.pop(anchor, None)
        if not self.missing:
            self.ask_at = inf


def digest(beacon: bytes) -> bytes:
    """8 bytes that tell one beacon from another."""
    return blake2s(beacon, digest_size=DIGEST).digest()
