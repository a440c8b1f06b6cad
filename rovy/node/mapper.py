"""The node's map: its peerings told to all, everybody's taken in. docs/protocol/routing.md"""

import asyncio
from collections.abc import Callable
from itertools import pairwise

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import Label
from rovy.address.path import Path
from rovy.errors import UsageError
from rovy.node.engine import Engine
from rovy.node.peerings import Peerings
from rovy.routing.cost import HOP
from rovy.routing.flapping import Flapping
from rovy.routing.flood import Flood, Neighbour
from rovy.routing.graph import Graph, pair
from rovy.routing.map import NEAREST, LinkMap, LinkName
from rovy.session.const import DEFAULT_RTT
from rovy.session.session import NEVER, Session
from rovy.wire.datagram import DATA_FIXED
from rovy.wire.flood import Flooded

MEASURE = 5.0
"""Seconds between looks at the peerings' RTTs."""
FIRST_RTT = 0.05
"""Seconds between looks at a new peering's; after 20 of them it is told with a default."""
LOOKS = 20


class Mapper:
    """Joins peerings, flooding and clock. `changed` hears which links are gone."""

    def __init__(
        self,
        engine: Engine,
        private: PrivateKey,
        peerings: Peerings,
        changed: Callable[[frozenset[LinkName]], None],
        *,
        sequence: int = 0,
        nearest: int = NEAREST,
    ) -> None:
        self._engine, self._peerings, self._changed = engine, peerings, changed
        self.linked: Callable[[PeerID, Neighbour], None] = lambda peer, neighbour: None
        """Hears which peering is up, or was measured again."""
        self.unlinked: Callable[[PeerID], None] = lambda peer: None
        self._peers: dict[bytes, PeerID] = {}
        self._looks: dict[PeerID, int] = {}
        self._flapping = Flapping()
        self.flood = Flood(
            private,
            now=engine.now(),
            wall=engine.wall,
            random=engine.random,
            sequence=sequence,
            nearest=nearest,
        )
        loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._measuring = loop.call_later(MEASURE, self._measure)

    @property
    def map(self) -> LinkMap:
        """What is known of the network."""
        return self.flood.map

    def close(self) -> None:
        """Stop the timers."""
        self._measuring.cancel()
        if self._timer:
            self._timer.cancel()

    def refresh(self, peer: PeerID) -> None:
        """A peering may have come up, gone down or changed."""
        if self._engine.closed:
            return
        now = self._engine.now()
        peering = self._peerings.by_peer.get(peer)
        session = self._engine.sessions.with_peer(peer)
        if peering is None or session is None or not peering.their_slot or not session.direct:
            self._looks.pop(peer, None)
            self._peers.pop(peer.short, None)
            if peer.short in self.flood.neighbours:
                self._flapping.lost(peer.short, now)
                self.flood.unlink(peer.short, now)
                self.unlinked(peer)
        elif self._settled(peer, now) and self._measured(session):
            self._peers[peer.short] = peer
            rtt = _rtt(session)
            cost = (DEFAULT_RTT if rtt is None else rtt) / 2 + HOP
            mtu = min(session.direct[1] - DATA_FIXED, 0xFFFF)
            self.flood.link(peer.short, peering.slot, peering.their_slot, cost, mtu, now)
            self.linked(peer, self.flood.neighbours[peer.short])
        self._pump()

    def on_message(self, session: Session, message: Flooded) -> None:
        """A neighbour sent records or asks for some."""
        self.flood.receive(session.peer.short, message, self._engine.now())
        self._pump()

    def peer(self, short: bytes) -> PeerID | None:
        """Whose short that is, as far as the map knows."""
        held = self.map.held.get(short)
        return held.record.key if held else self._peers.get(short)

    def by_address(self, address: bytes) -> PeerID | None:
        """The node of an address in fc00::/8, 16 bytes."""
        peer = self.peer(address[1:9])
        return peer if peer and peer.address == address else None

    def follow(self, label: Label) -> tuple[bytes, ...] | None:
        """The nodes along a label, this one first; None where it leaves the map."""
        nodes = self._walk(label, self.map.graph)
        return nodes if len(nodes) == label.hops + 1 else None

    def crosses(self, label: Label, gone: frozenset[LinkName]) -> bool:
        """Whether a label leads over links that were in the map before its last change."""
        nodes = self._walk(label, self.map.former)
        return any(pair(near, far) in gone for near, far in pairwise(nodes))

    def _walk(self, label: Label, graph: Graph) -> tuple[bytes, ...]:
        """The nodes along a label, as far as a graph has its links."""
        nodes = [self.map.own]
        for slot in label.slots:
            links = graph.adjacency.get(nodes[-1], {})
            after = next((peer for peer, link in links.items() if link.slot == slot), None)
            if after is None:
                break
            nodes.append(after)
        return tuple(nodes)

    def _settled(self, peer: PeerID, now: float) -> bool:
        """Whether the link is told, or has not come and gone too often to be."""
        wait = self._flapping.wait(peer.short, now)
        if wait == 0.0 or peer.short in self.flood.neighbours:
            return True
        asyncio.get_running_loop().call_later(wait, self.refresh, peer)
        return False

    def _measured(self, session: Session) -> bool:
        """Whether the RTT is known, or was waited for long enough."""
        looks = self._looks.get(session.peer, 0)
        if _rtt(session) is not None or looks >= LOOKS or session.peer.short in self._peers:
            return True
        self._looks[session.peer] = looks + 1
        asyncio.get_running_loop().call_later(FIRST_RTT, self.refresh, session.peer)
        return False

    def _measure(self) -> None:
        self._measuring = asyncio.get_running_loop().call_later(MEASURE, self._measure)
        for peer in list(self._peerings.by_peer):
            self.refresh(peer)

    def _pump(self) -> None:
        for short, message in self.flood.pull():
            peer = self._peers.get(short)
            session = self._engine.sessions.with_peer(peer) if peer else None
            if session and session.direct:
                self._tell(session, message, session.direct[0])
        if self._timer:
            self._timer.cancel()
        at = self.flood.next_timer()
        if at < NEVER and not self._engine.closed:
            wait = max(at - self._engine.now(), 0.001)
            self._timer = asyncio.get_running_loop().call_later(wait, self._run)

    def _tell(self, session: Session, message: Flooded, path: Path) -> None:
        """Only a peer that takes no pieces can fail to be told."""
        try:
            self._engine.tell(session, message, path)
        except UsageError:
            self._engine.counts["map message too long"] += 1

    def _run(self) -> None:
        self._timer = None
        gone = self.flood.run(self._engine.now())
        self._pump()
        if gone is not None:
            self._changed(gone)


def _rtt(session: Session) -> float | None:
    """Of the direct path that takes forward packets, when nobody is busy; seconds.

    A link that is told to cost what its queues cost loses its traffic, then costs little again.
    """
    direct = session.paths.direct
    return direct.quickest if direct else None
