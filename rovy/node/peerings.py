"""Peerings: which sessions have a slot, and the peers that are kept. docs/protocol/paths.md §7"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Multiaddr
from rovy.address.target import RoutedAddr
from rovy.errors import UsageError
from rovy.forwarder import SlotTable
from rovy.node.config import NodeConfig
from rovy.node.engine import Engine
from rovy.session.session import Session
from rovy.wire.control import Peering as PeeringMessage

BACKOFF = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between attempts to reach a kept peer; the last one repeats."""

OFFERS = 120.0
"""A slot is told again after 1 s, 2 s, 4 s … up to so many; after that with the next keys."""


@dataclass(slots=True, eq=False)
class Kept:
    """A peer that is opened again whenever its session ends."""

    peer: PeerID
    targets: list[Multiaddr | RoutedAddr]
    name: str = ""
    failures: int = 0
    retry: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class Peering:
    """A session with a slot."""

    peer: PeerID
    slot: int
    """Ours for it."""
    their_slot: int = 0
    """Its for us; 0 until it says."""
    ours: bool = field(default=True)
    """Whether we asked for it."""
    retry: asyncio.TimerHandle | None = None


class Peerings:
    """Slots for sessions that have a direct path and that both sides want as a peering."""

    def __init__(
        self,
        engine: Engine,
        config: NodeConfig,
        slots: SlotTable,
        told: Callable[[str, PeerID, str], None],
    ) -> None:
        self._engine, self._config, self.slots = engine, config, slots
        self._told = told
        self.by_peer: dict[PeerID, Peering] = {}
        self.kept: dict[PeerID, Kept] = {}
        self.favoured: set[PeerID] = set()
        """Peers we want as long as there is a session with them, and do not open again."""

    def configure(self, config: NodeConfig) -> None:
        """Other limits from now on; the newest peerings taken beyond them end."""
        self._config = config
        taken = [p.peer for p in self.by_peer.values() if not p.ours and p.peer not in self.kept]
        for peer in taken[config.max_peers if config.accept_peers else 0 :]:
            session = self._engine.sessions.with_peer(peer)
            if session:
                session.kept = False
                self._engine.tell(session, PeeringMessage(0))
            self.drop(peer, "limit")

    def wanted(self, session: Session) -> bool:
        """Whether we ask for a peering of our own accord."""
        return session.peer in self.kept or session.peer in self.favoured

    def refresh(self, session: Session) -> None:
        """A session was opened or changed its paths: offer the peering we want."""
        if session.direct and session.sending and self.wanted(session):
            peering = self.by_peer.get(session.peer) or self._take(session, ours=True)
            if peering:
                peering.ours = True
                self._offer(session, peering)

    def release(self, session: Session) -> None:
        """End a peering that we asked for and want no longer; nothing where it is the other's."""
        peering = self.by_peer.get(session.peer)
        if peering and peering.ours and not self.wanted(session):
            session.kept = False
            self._engine.tell(session, PeeringMessage(0))
            self.drop(session.peer, "released")

    def on_message(self, session: Session, message: PeeringMessage) -> None:
        """The other side gave us a slot, or took it back."""
        peering = self.by_peer.get(session.peer)
        if message.slot == 0:
            if peering:
                self.drop(session.peer, "peer")
            return
        if peering is None and self._acceptable(session):
            peering = self._take(session, ours=False)
        if peering is None:
            if message.reply:
                self._engine.tell(session, PeeringMessage(0))
            return
        first, peering.their_slot = not peering.their_slot, message.slot
        if first:
            self._told("peering_up", session.peer, f"slot {peering.slot}")
        if message.reply:
            self._engine.tell(session, PeeringMessage(peering.slot))

    def drop(self, peer: PeerID, reason: str) -> None:
        """The peering is over; its slot is held for the same peer."""
        peering = self.by_peer.pop(peer, None)
        if peering:
            if peering.retry:
                peering.retry.cancel()
            self.slots.free(peer, self._engine.wall())
            self._engine.dataplane.set_slot(peering.slot, None)
            self._told("peering_down", peer, reason)

    def _offer(self, session: Session, peering: Peering, wait: float = 1.0) -> None:
        """Tell our slot, and again until the other side tells its own."""
        if self.by_peer.get(session.peer) is not peering or not session.sending:
            return
        self._engine.tell(session, PeeringMessage(peering.slot, True))
        if not peering.their_slot and wait < OFFERS and not self._engine.closed:
            loop = asyncio.get_running_loop()
            peering.retry = loop.call_later(wait, self._offer, session, peering, 2 * wait)

    def close(self) -> None:
        """Offer no more."""
        for peering in self.by_peer.values():
            if peering.retry:
                peering.retry.cancel()

    def _acceptable(self, session: Session) -> bool:
        """Whether a peering that the other side wants may be."""
        if session.direct is None:
            return False
        if self.wanted(session):
            return True
        taken = sum(not peering.ours for peering in self.by_peer.values())
        return self._config.accept_peers and taken < self._config.max_peers

    def _take(self, session: Session, *, ours: bool) -> Peering | None:
        try:
            slot = self.slots.take(session.peer, self._engine.wall(), stays=ours)
        except UsageError:
            self._engine.counts["no slot left"] += 1
            return None
        peering = self.by_peer[session.peer] = Peering(session.peer, slot, ours=ours)
        self._engine.dataplane.set_slot(slot, session.id)
        session.kept = True
        if session.path:
            self._engine.sessions.probe(session, session.path, self._engine.now())
        return peering
