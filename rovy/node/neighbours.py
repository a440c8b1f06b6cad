"""Nodes found nearby: met where they say they are, and made peers while discovery wants them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct, Path
from rovy.discovery.overlay import Link
from rovy.errors import Unreachable, UsageError
from rovy.node.engine import Engine
from rovy.node.keeper import Keeper
from rovy.node.peerings import Peerings
from rovy.node.waiters import Waiters

STEP = 0.05
"""Seconds between looks whether a new path works."""


class Neighbours:
    """Implements `rovy.discovery.overlay.Overlay`."""

    def __init__(
        self,
        engine: Engine,
        keeper: Keeper,
        peerings: Peerings,
        waiters: Waiters,
        accepts: Callable[[PeerID], bool],
    ) -> None:
        self._engine, self._keeper = engine, keeper
        self._peerings, self._waiters = peerings, waiters
        self.accepts = accepts
        self.on_addresses: Callable[[], None] = lambda: None
        """Called when addresses, links or routes of this machine change."""

    async def meet(self, peer: PeerID, endpoints: Sequence[Endpoint], timeout: float) -> None:
        """See `Overlay`."""
        sockets = self._keeper.sockets
        paths: list[Path] = [
            Direct(sockets[each.is_v6].number, each)
            for each in endpoints
            if each.is_v6 in sockets and not each.in_overlay
        ]
        if not paths:
            raise UsageError("no open socket can send there")
        sessions = self._engine.sessions
        deadline = self._engine.now() + timeout
        if sessions.with_peer(peer) is None:
            await self._waiters.open_lightly(peer, paths, timeout)
        elif not self._is_direct(peer):
            sessions.connect(peer, paths, self._engine.now())
            self._engine.pump()
        while not self._is_direct(peer):
            if self._engine.now() > deadline:
                raise Unreachable("no answer", f"{peer} has no direct path after {timeout:g} s")
            await asyncio.sleep(STEP)

    def want(self, peer: PeerID) -> None:
        """See `Overlay`."""
        self._peerings.favoured.add(peer)
        session = self._engine.sessions.with_peer(peer)
        if session:
            self._peerings.refresh(session)

    def release(self, peer: PeerID) -> None:
        """See `Overlay`. The other side, if it wants the peering, asks for it anew."""
        self._peerings.favoured.discard(peer)
        session = self._engine.sessions.with_peer(peer)
        if session:
            self._peerings.release(session)

    def links(self) -> Mapping[PeerID, Link]:
        """See `Overlay`."""
        found = {}
        for session in self._engine.sessions:
            if session.direct and session.sending:
                state = session.paths.states.get(session.direct[0])
                peering = self._peerings.by_peer.get(session.peer)
                up = peering is not None and peering.their_slot > 0
                ours = peering is not None and peering.ours
                found[session.peer] = Link(state.rtt if state else None, up, ours)
        return found

    def _is_direct(self, peer: PeerID) -> bool:
        session = self._engine.sessions.with_peer(peer)
        return session is not None and session.sending and session.direct is not None
