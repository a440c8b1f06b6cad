"""The node's share in the anchors: beacons to and from peerings. docs/protocol/anchors.md"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from rovy.address.keys import PeerID, PrivateKey
from rovy.errors import UsageError
from rovy.node.engine import Engine
from rovy.node.mapper import Mapper
from rovy.routing.anchor_paths import AnchorPath
from rovy.routing.anchors import Anchors
from rovy.routing.atlas import Arc, Atlas
from rovy.routing.flood import Neighbour
from rovy.routing.locator import AnchorPath as LocatorPath
from rovy.routing.locator import LocatorLink
from rovy.routing.map import LinkName
from rovy.routing.record import LinkRecord
from rovy.session.session import NEVER, Session
from rovy.wire.beacon import AnchorMessage


class Anchoring:
    """Joins peerings, anchors and clock, and keeps the atlas up to date."""

    def __init__(
        self,
        engine: Engine,
        private: PrivateKey,
        mapper: Mapper,
        atlas: Atlas,
        changed: Callable[[], None],
        *,
        sequence: int,
        pins: tuple[PeerID, ...],
    ) -> None:
        self._engine, self._mapper, self._atlas = engine, mapper, atlas
        self._own, self._changed = private.peer_id, changed
        self.anchors = Anchors(
            private,
            now=engine.now(),
            wall=engine.wall,
            random=engine.random,
            sequence=sequence,
            pins=pins,
        )
        self._peers: dict[bytes, PeerID] = {}
        self._timer: asyncio.TimerHandle | None = None
        mapper.linked, mapper.unlinked = self._linked, self._unlinked
        mapper.flood.taken = self._noted

    def close(self) -> None:
        """Stop the timer."""
        if self._timer:
            self._timer.cancel()

    def on_message(self, session: Session, message: AnchorMessage) -> None:
        """A neighbour tells of anchors."""
        self.anchors.receive(session.peer, message, self._engine.now())
        self._pump()

    def peers(self) -> list[PeerID]:
        """Anchors that a path leads to, candidates too."""
        return [path.anchor for path in self._paths()]

    def locator_paths(self) -> list[LocatorPath]:
        """From the anchors in use to this node; an empty one where it is an anchor itself."""
        own = [()] if self.anchors.is_anchor else []
        return [*own, *map(_told, self.anchors.seated.values())]

    def is_gone(self, names: Iterable[LinkName]) -> bool:
        """Whether one of these links was taken back of late."""
        return self.anchors.is_gone(names, self._engine.now())

    def _noted(self, record: LinkRecord) -> None:
        self.anchors.note_link_record(record, self._engine.now())
        self._pump()

    def _paths(self) -> list[AnchorPath]:
        return [*self.anchors.seated.values(), *self.anchors.candidates.values()]

    def _linked(self, peer: PeerID, neighbour: Neighbour) -> None:
        self._peers[peer.short] = peer
        self.anchors.link(
            peer,
            neighbour.slot,
            neighbour.their_slot,
            neighbour.cost,
            neighbour.mtu,
            self._engine.now(),
        )
        self._pump()

    def _unlinked(self, peer: PeerID) -> None:
        self._peers.pop(peer.short, None)
        self.anchors.unlink(peer, self._engine.now())
        self._pump()

    def _pump(self) -> None:
        for short, message in self.anchors.pull():
            peer = self._peers.get(short)
            session = self._engine.sessions.with_peer(peer) if peer else None
            if session and session.direct:
                self._tell(session, message)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        at = self.anchors.next_timer()
        if at < NEVER and not self._engine.closed:
            wait = max(at - self._engine.now(), 0.001)
            self._timer = asyncio.get_running_loop().call_later(wait, self._run)

    def _tell(self, session: Session, message: AnchorMessage) -> None:
        """Only a peer that takes no pieces can fail to be told."""
        try:
            self._engine.tell(session, message, session.direct and session.direct[0])
        except UsageError:
            self._engine.counts["beacon too long"] += 1

    def _run(self) -> None:
        self._timer = None
        changed = self.anchors.run(self._engine.now())
        self._pump()
        if changed:
            paths = self._paths()
            peers = {node for path in paths for node in path.nodes}
            self._atlas.set_anchors(_arcs(paths), peers)
            self._changed()


def _arcs(paths: list[AnchorPath]) -> Iterator[Arc]:
    for path in paths:
        for (near, far), (out, back) in zip(pairwise(path.nodes), path.links, strict=True):
            yield near.short, far.short, out
            yield far.short, near.short, back


def _told(path: AnchorPath) -> LocatorPath:
    """As a locator has it."""
    links = zip(path.nodes, path.links, path.costs, strict=False)
    return tuple(LocatorLink(node.short, out.slot, out.back, q) for node, (out, _), q in links)
