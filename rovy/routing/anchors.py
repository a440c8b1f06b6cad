"""Anchors: their beacons taken in, the best ways to them offered on, links that are gone told.

Inputs are methods; messages to neighbours are pulled. docs/protocol/anchors.md
"""

from collections import Counter
from collections.abc import Callable, Iterable
from math import inf
from typing import Final

from rovy.address.keys import PeerID, PrivateKey
from rovy.errors import Malformed
from rovy.routing import anchor_gone
from rovy.routing.anchor_gone import link_of
from rovy.routing.anchor_neighbour import AllLimits, Heard, Neighbour, digest
from rovy.routing.anchor_offers import Offers
from rovy.routing.anchor_paths import REFRESH, SEQUENCES, AnchorPath, Row
from rovy.routing.anchor_ways import Ways
from rovy.routing.beacon import Beacon
from rovy.routing.cost import changed_enough, encode_cost
from rovy.routing.graph import pair
from rovy.routing.map import LinkName
from rovy.routing.record import MAX_SEQUENCE, LinkRecord
from rovy.wire.beacon import AnchorMessage, Asked, BeaconMessage, Gone, Offered, Withdrawn

AFTER_CHANGE: Final = 0.25
"""Seconds that changes are collected before they are told."""
AFTER_LOSS: Final = 0.1
"""The same for what is lost."""
NEXT_SIGNED: Final = 0.01
"""Seconds until the next beacons are signed, where there are many."""


class Anchors:
    """One node's share in keeping ways to the anchors."""

    def __init__(
        self,
        private: PrivateKey,
        *,
        now: float,
        wall: Callable[[], float],
        random: Callable[[int], bytes],
        sequence: int = 0,
        pins: Iterable[PeerID] = (),
    ) -> None:
        self._private, self._wall, self._random = private, wall, random
        self.own = private.peer_id
        self.neighbours: dict[bytes, Neighbour] = {}
        self.sequence = sequence
        """The highest one used."""
        self.counts: Counter[str] = Counter()
        self._ways, self._limits = Ways(self.own, pins), AllLimits()
        self._beacon: Beacon | None = None
        """Our own, without hops."""
        self._shape: object = None
        self._out: list[tuple[bytes, AnchorMessage]] = []
        self._flush_at = self._refresh_at = inf

    @property
    def seated(self) -> dict[bytes, AnchorPath]:
        """The ways to the anchors in use but this node, by short, the best ranked first."""
        return self._ways.seated

    @property
    def candidates(self) -> dict[bytes, AnchorPath]:
        """The ways to better ones that wait for a seat, usable too."""
        return self._ways.candidates

    def is_gone(self, names: Iterable[LinkName], now: float) -> bool:
        """Whether an end of one of these links has taken it back of late."""
        return self._ways.gone.blocks(names, now) is not None

    @property
    def is_anchor(self) -> bool:
        """Whether this node stands as one."""
        return self._ways.self.standing

    @property
    def is_willing(self) -> bool:
        """Whether this node says that it likes to be one, having been up for long enough."""
        return self._ways.self.willing

    def pull(self) -> list[tuple[bytes, AnchorMessage]]:
        """Messages to go out: (short of the neighbour, message)."""
        out, self._out = self._out, []
        return out

    # Neighbours

    def link(
        self, peer: PeerID, slot: int, their_slot: int, cost: float, mtu: int, now: float
    ) -> None:
        """A peering is up, or was measured again. `cost` is in seconds."""
        known = self.neighbours.get(peer.short)
        if known is None or (known.slot, known.their_slot) != (slot, their_slot):
            limits = self._limits.of(peer.short, now)
            new = Neighbour(peer, peer.short, slot, their_slot, encode_cost(cost), mtu, limits)
            self._come(new, now)
        elif changed_enough(known.q, cost) or known.mtu != mtu:
            known.q, known.mtu = encode_cost(cost), mtu
            self._ways.measure(peer.short, known.q, mtu)
            self._flush_by(now + AFTER_CHANGE)

    def unlink(self, peer: PeerID, now: float) -> None:
        """A peering is down."""
        neighbour = self.neighbours.pop(peer.short, None)
        if neighbour is None:
            return
        used = bool(neighbour.offered) or self._ways.uses(pair(self.own.short, peer.short))
        self._ways.forget(peer.short)
        self._ways.self.count(len(self.neighbours), now)
        if used:
            self._tell_gone(peer, now)
        self._flush_by(now + AFTER_LOSS)

    def note_link_record(self, record: LinkRecord, now: float) -> None:
        """The map has a newer record, already verified: links it lists are not gone."""
        if self._ways.gone.note_record(record):
            self._flush_by(now + AFTER_CHANGE)

    def _come(self, new: Neighbour, now: float) -> None:
        self.neighbours[new.short] = new
        self._ways.forget(new.short)
        self._ways.gone.lift(self.own.short, new.short)
        self._ways.gone.lift(new.short, self.own.short)
        self._ways.self.count(len(self.neighbours), now)
        new.hasten(now)
        if new.limits.questions.take(now):
            # It may not have noticed that we were away.
            self._send(new, Asked(()))
        self._flush_by(now + AFTER_CHANGE)

    # Messages

    def receive(self, peer: PeerID, message: AnchorMessage, now: float) -> None:
        """A neighbour says something."""
        neighbour = self.neighbours.get(peer.short)
        if neighbour is None:
            self.counts["not a neighbour"] += 1
            return
        try:
            self._receive(neighbour, message, now)
        except Malformed:
            self.counts["malformed"] += 1

    def _receive(self, neighbour: Neighbour, message: AnchorMessage, now: float) -> None:
        limits = neighbour.limits
        if isinstance(message, BeaconMessage | Withdrawn):
            if not limits.beacons.take(now):
                self.counts["too many beacons"] += 1
            elif isinstance(message, BeaconMessage):
                self._on_beacon(neighbour, message.beacon, now)
            else:
                self._on_withdrawn(neighbour, message.anchor, now)
        elif isinstance(message, Gone):
            if limits.gones.take(now):
                self._on_gone(neighbour, message, now)
            else:
                self.counts["too many gone links"] += 1
        elif not limits.questions.take(now):
            self.counts["too many questions"] += 1
        elif isinstance(message, Offered):
            self._on_offered(neighbour, message, now)
        else:
            self._on_asked(neighbour, message, now)

    # Beacons

    def _on_beacon(self, neighbour: Neighbour, raw: bytes, now: float) -> None:
        beacon = Beacon.parse(raw)
        last, heard = beacon.hops[-1], Heard(digest(raw))
        if beacon.anchor == self.own:
            self._on_own(neighbour, beacon, now)
        elif last.node != neighbour.peer:
            raise Malformed("beacon: of somebody else")
        elif neighbour.heard.get(beacon.short) == heard:
            self.counts["known beacon"] += 1
        elif not neighbour.has_room(beacon.short):
            self.counts["too many anchors"] += 1
        elif (last.step.slot, last.step.next_slot) != (neighbour.their_slot, neighbour.slot):
            self.counts["other slots"] += 1
        else:
            self._consider(neighbour, beacon, heard, now)

    def _consider(self, neighbour: Neighbour, beacon: Beacon, heard: Heard, now: float) -> None:
        """Take a beacon if it is of use, and otherwise note that its neighbour offers it."""
        row = self._ways.row(beacon.anchor, now)
        expires = row.expiry(beacon.sequence, now)
        path = AnchorPath(beacon, self.own, expires).measured(neighbour.q, neighbour.mtu)
        if beacon.sequence < row.newest:
            self._remind(neighbour, row, now)
        refused = self._ways.refusal(row, path, heard.digest, now)
        if refused is None:
            self._take(neighbour, row, path, heard, now)
            return
        self.counts[refused.why] += 1
        neighbour.note(beacon.short, refused)
        if self._ways.remove(beacon.short, neighbour.short):
            self._flush_by(now + AFTER_LOSS)

    def _take(
        self, neighbour: Neighbour, row: Row, path: AnchorPath, heard: Heard, now: float
    ) -> None:
        beacon, verified = path.beacon, self._ways.verified
        for _ in range(beacon.unverified(self.own, verified)):
            if not neighbour.limits.signatures.take(now):
                self.counts["too many signatures"] += 1
                return
        beacon.verify(self.own, verified)
        if not self._ways.take(row, path, now):
            self.counts["too many sequences"] += 1
            again = now + 1 / SEQUENCES[0]
            neighbour.note(beacon.short, Heard(heard.digest, "too many sequences", again=again))
            self._flush_by(again)
            return
        neighbour.note(beacon.short, heard)
        self.counts["new beacon"] += 1
        self._note_surplus()
        self._flush_by(now + AFTER_CHANGE)

    def _remind(self, neighbour: Neighbour, row: Row, now: float) -> None:
        """An anchor that lost its clock goes on above its beacon from before."""
        last = row.last
        if last and row.anchor == neighbour.peer and neighbour.limits.questions.take(now):
            self._send(neighbour, BeaconMessage(last.raw))

    def _on_own(self, neighbour: Neighbour, beacon: Beacon, now: float) -> None:
        if (
            not self.sequence < beacon.sequence <= MAX_SEQUENCE // 2
            or not neighbour.limits.signatures.take(now)
        ):
            return
        after = beacon.hops[1].node if len(beacon.hops) > 1 else neighbour.peer
        beacon.verify_anchor(after)
        self.counts["own beacon from before"] += 1
        self.sequence = beacon.sequence
        self._refresh_at = min(self._refresh_at, now + AFTER_CHANGE)

    def _on_withdrawn(self, neighbour: Neighbour, anchor: bytes, now: float) -> None:
        neighbour.note(anchor, None)
        if self._ways.remove(anchor, neighbour.short):
            self._flush_by(now + AFTER_LOSS)

    def _note_surplus(self) -> None:
        """Neighbours offer ways that are not held any more."""
        surplus, self._ways.surplus = self._ways.surplus, []
        for each in surplus:
            self._keep_in_mind(each.path, Heard(b"", "surplus beacon", surplus=each.contender))

    def _keep_in_mind(self, path: AnchorPath, why: Heard) -> None:
        heard = self.neighbours[path.via].heard
        if old := heard.get(path.anchor.short):
            heard[path.anchor.short] = why.of(old.digest)

    # Loss repaired

    def _on_offered(self, neighbour: Neighbour, offered: Offered, now: float) -> None:
        """Ask for what differs from what was heard, and forget what is not offered."""
        entries, heard = dict(offered.entries), neighbour.heard
        for anchor in [a for a in (*heard, *neighbour.missing) if a not in entries]:
            self._on_withdrawn(neighbour, anchor, now)
        missing = [a for a, d in entries.items() if a not in heard or heard[a].digest != d]
        if missing:
            self.counts["missed beacon"] += len(missing)
            self._send(neighbour, neighbour.want(missing, now))

    def _on_asked(self, neighbour: Neighbour, asked: Asked, now: float) -> None:
        wanted = dict.fromkeys(asked.anchors or neighbour.offered)
        for offer in [neighbour.offered.get(anchor) for anchor in wanted]:
            if offer:
                self._send(neighbour, BeaconMessage(offer.raw))
                neighbour.hasten(now)

    def _ask_again(self, neighbour: Neighbour, now: float) -> None:
        """There is room now for what was left out, or its link is believed again."""
        wanted = [s for s, heard in neighbour.heard.items() if self._useful(neighbour, heard, now)]
        for short in wanted:
            del neighbour.heard[short]
        if wanted:
            self._send(neighbour, neighbour.want(wanted, now))
        self._flush_by(min((heard.again for heard in neighbour.heard.values()), default=inf))

    def _useful(self, neighbour: Neighbour, heard: Heard, now: float) -> bool:
        if heard.blocked:
            return self._ways.gone.blocks([heard.blocked], now) is None
        if heard.surplus:
            return self._ways.has_room(neighbour.short, inf, heard.surplus)
        return heard.again <= now

    # Links that are gone

    def _on_gone(self, neighbour: Neighbour, gone: Gone, now: float) -> None:
        near, far, name = link_of(gone)
        ways, told = self._ways, gone.sequence
        if near == self.own or not ways.gone.is_news(near.short, far.short, told):
            self.counts["known gone link"] += 1
        elif ways.says_later(near, far, told):
            self.counts["old gone link"] += 1
        elif not any(name in path.names for path in ways.paths):
            self.counts["gone link elsewhere"] += 1
        else:
            anchor_gone.verify(gone)
            self.counts["gone link"] += 1
            ways.gone.add(near.short, far.short, told, now)
            if ways.uses(name):
                self._spread(gone, neighbour)
            for path in ways.purge(name):
                self._keep_in_mind(path, Heard(b"", "beacon over a gone link", blocked=name))
            self._flush_by(now + AFTER_LOSS)

    def _tell_gone(self, peer: PeerID, now: float) -> None:
        sequence = self._next_sequence()
        self._ways.gone.add(self.own.short, peer.short, sequence, now)
        self.counts["own gone link"] += 1
        self._spread(anchor_gone.sign(self._private, peer, sequence, self._random(64)))

    def _spread(self, gone: Gone, source: Neighbour | None = None) -> None:
        for neighbour in self.neighbours.values():
            if neighbour is not source:
                self._send(neighbour, gone)

    # Time

    def next_timer(self) -> float:
        """When `run` wants to be called."""
        theirs = (min(each.summary_at, each.ask_at) for each in self.neighbours.values())
        return min(self._flush_at, self._refresh_at, self._ways.due, *theirs)

    def run(self, now: float) -> bool:
        """Do what is due; whether the anchors in use or the ways to them changed."""
        due = now >= min(self._flush_at, self._refresh_at, self._ways.due)
        changed = self._flush(now) if due else False
        for neighbour in self.neighbours.values():
            if now >= neighbour.summary_at:
                self._send(neighbour, neighbour.summarise(now))
            if now >= neighbour.ask_at:
                self._send(neighbour, neighbour.ask(now))
        return changed

    def _flush_by(self, at: float) -> None:
        self._flush_at = min(self._flush_at, at)

    def _flush(self, now: float) -> bool:
        """Choose anew, and tell neighbours what became of it."""
        self._flush_at = inf
        self._ways.choose(now)
        self._note_surplus()
        self._renew_own(now)
        ways = {**self.seated, **self.candidates}
        offers = Offers(self._private, self._random)
        for neighbour in self.neighbours.values():
            self._ask_again(neighbour, now)
            for message in offers.update(neighbour, self._beacon, ways.values()):
                self._send(neighbour, message)
                neighbour.hasten(now)
        if not offers.left:
            self._flush_by(now + NEXT_SIGNED)
        shape = self.is_anchor, {short: way.shape for short, way in ways.items()}
        changed, self._shape = shape != self._shape, shape
        return changed

    def _renew_own(self, now: float) -> None:
        """Our own beacon, with a new sequence where it is time or its flags changed."""
        if not self.is_anchor:
            self._beacon, self._refresh_at = None, inf
            return
        flags = self._ways.self.flags
        if self._beacon is None or self._beacon.flags != flags or now >= self._refresh_at:
            self._beacon = Beacon.begin(self.own, self._next_sequence(), flags)
            self._refresh_at = now + REFRESH

    def _next_sequence(self) -> int:
        self.sequence = max(int(self._wall() * 1000), self.sequence + 1)
        return self.sequence

    def _send(self, neighbour: Neighbour, message: AnchorMessage) -> None:
        self._out.append((neighbour.short, message))
