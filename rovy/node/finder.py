"""What users ask of the DHT: lookups step by step, records, the state of things."""

import asyncio
from collections import Counter
from collections.abc import Callable

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import Label
from rovy.address.multiaddr import Multiaddr
from rovy.address.target import NodeAddress, RoutedAddr, Target
from rovy.dht.const import LOCATOR, NAME, SERVICE
from rovy.dht.crawl import Step
from rovy.dht.record import SignedRecord, is_record_type
from rovy.errors import Unreachable, UsageError
from rovy.node.beyond import Beyond
from rovy.node.engine import Engine
from rovy.node.events import (
    AnchorInfo,
    DhtInfo,
    LocatorInfo,
    LookupInfo,
    PutInfo,
    RecordInfo,
    StepInfo,
)
from rovy.node.mapper import Mapper
from rovy.routing.locator import Locator
from rovy.session.session import NEVER

KINDS = {LOCATOR: "locator", NAME: "name", SERVICE: "service"}
ID = 20
"""Bytes of a target."""
RESULTS = {"value": "value", "contacts": "contacts", "malformed": "bad answer"}
"""Outcomes of a step, as users read them; others say why nobody answered."""
UNANSWERED = {"no answer", "no route", "timeout", "closed"}
Trace = Callable[[StepInfo], None]


class Finder:
    """Puts together what the parts know."""

    def __init__(self, private: PrivateKey, engine: Engine, mapper: Mapper, beyond: Beyond) -> None:
        self._private, self._engine = private, engine
        self._mapper, self._beyond = mapper, beyond
        self._sequence = 0

    async def lookup(
        self, target: Target | bytes, timeout: float, trace: Trace | None
    ) -> LookupInfo:
        """See `Node.lookup`."""
        name = target if isinstance(target, bytes) else _name(target)
        steps: list[StepInfo] = []

        def note(step: Step) -> None:
            steps.append(_step(step))
            if trace:
                trace(steps[-1])

        began = self._engine.now()
        locator = None
        if isinstance(name, bytes):
            await self._nodes(name, timeout, note)
        else:
            try:
                locator = await self._beyond.resolver.look_up(name, timeout, note)
            except Unreachable:
                pass  # what was asked and answered is of interest all the same
        wanted, bits = _wanted(name)
        number = int.from_bytes(wanted, "big")
        answered = {step.peer for step in steps if step.rtt is not None}
        nearest = sorted(answered, key=lambda p: int.from_bytes(p.node_id, "big") ^ number)
        took = self._engine.now() - began
        told = _locator(locator) if locator else None
        return LookupInfo(wanted, bits, told, tuple(nearest), tuple(steps), took)

    async def _nodes(self, name: bytes, timeout: float, note: Callable[[Step], None]) -> None:
        if len(name) != ID:
            raise UsageError(f"an id has {ID} bytes, not {len(name)}")
        try:
            async with asyncio.timeout(timeout):
                await self._beyond.dht.lookup(name, note)
        except TimeoutError:
            pass  # likewise

    async def get(self, kind: str, name: str, peer: PeerID, timeout: float) -> RecordInfo:
        """See `Node.dht_get`."""
        number = _number(kind)
        try:
            async with asyncio.timeout(timeout):
                record = await self._beyond.dht.get(number, peer, name, thorough=True)
        except TimeoutError:
            record = None
        if record is None:
            raise Unreachable("not found", f"nobody keeps a {kind} {name!r} of {peer}")
        return RecordInfo(kind, record.key, record.name, record.body, record.sequence, record.ttl)

    async def put(self, kind: str, name: str, body: bytes, ttl: int, timeout: float) -> PutInfo:
        """See `Node.dht_put`."""
        self._sequence = max(int(self._engine.wall() * 1000), self._sequence + 1)
        record = SignedRecord.sign(
            self._private, _number(kind), self._sequence, ttl, name, body, self._engine.random(64)
        )
        try:
            async with asyncio.timeout(timeout):
                stored = await self._beyond.dht.put(record)
        except TimeoutError:
            raise Unreachable("no answer", f"it was not stored in {timeout:g} s") from None
        return PutInfo(stored.stored, stored.asked, dict(Counter(stored.refused.values())))

    def info(self) -> DhtInfo:
        """See `Node.dht_info`."""
        stats, known = self._beyond.dht.stats(), self._mapper.map
        exact = known.radius == NEVER
        size = float(len(known.distance)) if exact else stats.estimate
        return DhtInfo(
            contacts=stats.contacts,
            buckets=stats.buckets,
            values={KINDS.get(kind, str(kind)): count for kind, count in stats.values.items()},
            published=stats.own_values,
            size=size,
            exact=exact,
            lookups=stats.lookups,
            found=stats.found,
            requests=stats.sent,
            unanswered=stats.failed,
            answered={
                "ping": stats.pings_served,
                "find": stats.finds_served,
                "store": stats.stores_served,
            },
            joined=stats.joins > 0,
            anchors=self._anchors(),
        )

    def _anchors(self) -> tuple[AnchorInfo, ...]:
        anchors = self._beyond.anchoring.anchors
        own = [AnchorInfo(self._private.peer_id, "self", 0, 0.0)] if anchors.is_anchor else []
        seated = ((path, "seated") for path in anchors.seated.values())
        others = ((path, "candidate") for path in anchors.candidates.values())
        found = [
            AnchorInfo(path.anchor, state, len(path.links), path.cost)
            for path, state in (*seated, *others)
        ]
        return (*own, *found)


def _name(target: Target) -> PeerID | NodeAddress:
    """What a lookup can look for in a target."""
    if isinstance(target, PeerID | NodeAddress):
        return target
    if isinstance(target, Multiaddr | RoutedAddr) and target.peer:
        return target.peer
    what = "a label" if isinstance(target, Label) else "an address without a peer id"
    raise UsageError(f"{what} is not in the DHT: name a peer id or an fc00::/8 address")


def _wanted(name: PeerID | NodeAddress | bytes) -> tuple[bytes, int]:
    if isinstance(name, PeerID):
        return name.node_id, 8 * ID
    if isinstance(name, NodeAddress):
        return name.id_prefix.ljust(ID, b"\0"), 8 * len(name.id_prefix)
    return name, 8 * ID


def _number(kind: str) -> int:
    """The type of a record by its name."""
    named = {text: number for number, text in KINDS.items() if number != LOCATOR}
    number = named.get(kind) or (int(kind) if kind.isascii() and kind.isdigit() else 0)
    if not is_record_type(number):
        raise UsageError(f"{kind!r} is no kind of record: name, service, or 128 to 255")
    return number


def _step(step: Step) -> StepInfo:
    result = RESULTS.get(step.outcome) or ("no answer" if step.outcome in UNANSWERED else "refused")
    count = step.count if step.outcome == "contacts" else 0
    return StepInfo(step.who, step.route or "", step.bits, step.rtt, result, count)


def _locator(locator: Locator) -> LocatorInfo:
    return LocatorInfo(
        locator.key,
        locator.sequence,
        locator.ttl,
        tuple(tuple(link.node for link in path) for path in locator.anchors),
        tuple(link.node for link in locator.links),
        tuple(map(str, locator.endpoints)),
        len(locator.raw),
    )
