"""Ways to peers: addresses looked up, peers kept connected, local addresses tried."""

import asyncio
from collections import OrderedDict

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint, Multiaddr
from rovy.address.path import Direct, Path, Routed
from rovy.address.target import RoutedAddr
from rovy.errors import RovyError, UsageError
from rovy.io.base import LocalAddress, LocalSocket
from rovy.node.engine import Engine
from rovy.node.peerings import BACKOFF, Kept, Peerings
from rovy.session.const import CANDIDATES
from rovy.session.session import Session

REMEMBERED = 4096
"""Peers whose last paths are remembered; the one reached longest ago gives way."""
LOCALS = 4
"""Local addresses tried per remote endpoint."""


class Keeper:
    """Knows how to reach peers, and keeps those that are to be kept."""

    def __init__(self, engine: Engine, peerings: Peerings) -> None:
        self._engine, self._peerings = engine, peerings
        self.sockets: dict[bool, LocalSocket] = {}
        """By whether they speak IPv6."""
        self._reached: OrderedDict[PeerID, list[Path]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def paths(self, target: Multiaddr | RoutedAddr) -> list[Path]:
        """The paths a target names; names are looked up. Raises `UsageError` if none is usable."""
        if isinstance(target, RoutedAddr):
            return [Routed(target.label)]
        endpoints = [target.endpoint] if target.endpoint else await self._look_up(target)
        if any(endpoint.in_overlay for endpoint in endpoints):
            raise UsageError(f"{target} is in fc00::/8: name an address outside of the network")
        paths: list[Path] = [
            Direct(self.sockets[e.is_v6].number, e) for e in endpoints if e.is_v6 in self.sockets
        ]
        if not paths:
            raise UsageError(f"no open socket can send to {target}, or the name has no address")
        return paths

    def remembered(self, peer: PeerID) -> list[Path]:
        """Paths over which a peer was reached before."""
        return list(self._reached.get(peer, []))

    def reached(self, session: Session) -> None:
        """Remember the paths of a session."""
        paths = [*session.hints, *session.paths.states]
        self._reached[session.peer] = list(dict.fromkeys(paths))[-8:]
        self._reached.move_to_end(session.peer)
        while len(self._reached) > REMEMBERED:
            self._reached.popitem(last=False)
        kept = self._peerings.kept.get(session.peer)
        if kept:
            kept.failures = 0

    def keep(self, peer: PeerID, target: Multiaddr | RoutedAddr, name: str) -> None:
        """Keep a peer connected, over one more address."""
        kept = self._peerings.kept.setdefault(peer, Kept(peer, []))
        kept.name = name or kept.name
        if target not in kept.targets:
            kept.targets.append(target)
        self._attempt(kept)
        session = self._engine.sessions.with_peer(peer)
        if session:
            session.kept = True
            self._peerings.refresh(session)

    def forget(self, peer: PeerID) -> None:
        """Keep a peer no longer."""
        kept = self._peerings.kept.pop(peer, None)
        if kept is None:
            raise UsageError(f"{peer} is not among the kept peers")
        if kept.retry:
            kept.retry.cancel()
        self._reached.pop(peer, None)

    def lost(self, peer: PeerID, reason: str) -> None:
        """A session ended: try again later if the peer is kept."""
        kept = self._peerings.kept.get(peer)
        if kept is None or self._closed:
            return
        wait = BACKOFF[min(kept.failures, len(BACKOFF) - 1)]
        jitter = 0.75 + self._engine.random(1)[0] / 512
        kept.failures += 1
        if kept.retry:
            kept.retry.cancel()
        loop = asyncio.get_running_loop()
        kept.retry = loop.call_later(wait * jitter, self._attempt, kept)

    def direct_changed(self, peer: PeerID) -> None:
        """A kept peer that only a route reaches is tried directly until that works."""
        kept = self._peerings.kept.get(peer)
        session = self._engine.sessions.with_peer(peer)
        if kept is None or session is None:
            return
        if session.direct:
            kept.failures = 0
            if kept.retry:
                kept.retry.cancel()
        elif session.sending:
            self.lost(peer, "no direct path")

    def leave_lost_addresses(self, session: Session) -> None:
        """Stop using paths whose local address is gone, before a packet is lost on them."""
        own = {local.address for local in self._engine.underlay.addresses()}
        for path in list(session.paths.states):
            if isinstance(path, Direct) and path.local and path.local not in own:
                self._engine.sessions.on_path_down(session.id, path, self._engine.now())

    def spread(self, session: Session) -> None:
        """Try the session's remote endpoints from each of our local addresses."""
        active = [session.paths.active.path] if session.paths.active else []
        paths = [*active, *session.paths.states, *session.hints]
        remotes = dict.fromkeys(path.remote for path in paths if isinstance(path, Direct))
        states = [path for path in session.paths.states if isinstance(path, Direct)]
        used = {(path.remote, path.local) for path in states}
        pairs = [
            (remote, local)
            for remote in remotes
            for local in self._locals(remote)[:LOCALS]
            if remote.is_v6 in self.sockets and (remote, local.address) not in used
        ]
        for remote, local in pairs[:CANDIDATES]:
            path = Direct(self.sockets[remote.is_v6].number, remote, local.address)
            self._engine.sessions.try_path(session, path, self._engine.now())

    def own_addresses(self, own: PeerID) -> list[Multiaddr]:
        """Multiaddrs of this node on its interfaces."""
        found = []
        for local in self._engine.underlay.addresses():
            socket = self.sockets.get(":" in local.address)
            if socket is None or local.address.startswith(("127.", "::1", "fe80:")):
                continue
            if socket.bound.host in ("0.0.0.0", "::", local.address):
                found.append(Multiaddr.of(Endpoint(local.address, socket.bound.port), own))
        return found

    async def close(self) -> None:
        """Stop trying, and wait until nothing of it is left."""
        self._closed = True
        for kept in self._peerings.kept.values():
            if kept.retry:
                kept.retry.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _attempt(self, kept: Kept) -> None:
        if self._closed:
            return
        task = asyncio.create_task(self._open(kept))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, kept: Kept) -> None:
        paths: list[Path] = []
        for target in list(kept.targets):
            try:
                paths += await self.paths(target)
            except RovyError:
                self._engine.counts["peer address without a path"] += 1
        if self._closed or kept.peer not in self._peerings.kept:
            return
        if not paths:
            self.lost(kept.peer, "no path")
            return
        sessions = self._engine.sessions
        session = sessions.connect(kept.peer, paths, self._engine.now(), kept=True)
        self._engine.pump()
        if session.sending and not session.direct:
            self.lost(kept.peer, "no direct path")

    async def _look_up(self, target: Multiaddr) -> list[Endpoint]:
        v6 = target.kind == "dns6"
        hosts = await self._engine.underlay.resolve(target.host, v6=v6)
        return [Endpoint(host, target.port) for host in hosts[:8]]

    def _locals(self, remote: Endpoint) -> list[LocalAddress]:
        """Local addresses that may lead there: of its family, loopback only to loopback."""
        loopback = remote.host.startswith("127.") or remote.host == "::1"
        return [
            local
            for local in self._engine.underlay.addresses()
            if (":" in local.address) == remote.is_v6
            and (local.address.startswith("127.") or local.address == "::1") == loopback
            and not local.address.startswith("fe80:")
        ]
