"""Routes for those who send: offered to sessions, changed with the map, mended after faults.

docs/protocol/routing.md §6
"""

import asyncio
from dataclasses import dataclass

from rovy.address.keys import PeerID
from rovy.address.label import Label
from rovy.address.path import Path, Routed
from rovy.buckets import TokenBucket
from rovy.errors import RovyError
from rovy.node.engine import Engine
from rovy.node.mapper import Mapper
from rovy.node.notices import Notices
from rovy.routing.graph import Element
from rovy.routing.map import LinkName
from rovy.routing.routes import Route, routes
from rovy.routing.suspects import Suspects
from rovy.session.session import Session

SETTLE = 0.02
"""Seconds between sessions whose routes are looked at again after a change."""
AT_ONCE = 16
"""Sessions looked at in one go."""
DOUBT = 1.0
"""Seconds that a path stays silent before it is searched for the fault."""
SEARCHES = (0.5, 4.0)
"""Searches for faults: a second, and at once. They cost every node on the way a signature."""
TEND = 5.0
"""Seconds between looks at the sessions in use."""
RECOMPUTE = 300.0
"""Seconds after which routes in use are looked at again without a reason."""
PATIENCE = 1.0
"""Seconds a hop has to answer when a fault is looked for."""


@dataclass(slots=True)
class Offer:
    """The routes a session was given."""

    routes: list[Route]
    at: float


class Router:
    """Keeps sessions supplied with routes."""

    def __init__(self, engine: Engine, mapper: Mapper, notices: Notices) -> None:
        self._engine, self._mapper, self._notices = engine, mapper, notices
        self.suspects = Suspects()
        self.offers: dict[int, Offer] = {}
        """By session, of those that were offered routes."""
        self._stale: dict[int, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._searches: dict[Label, asyncio.Task[None]] = {}
        self._cache: dict[PeerID, list[Route]] = {}
        self._budget = TokenBucket(*SEARCHES, engine.now())
        self._cached: tuple[object, frozenset[Element]] = None, frozenset()
        self._avoided: frozenset[Element] = frozenset()
        self._tending = asyncio.get_running_loop().call_later(TEND, self._tend)

    async def close(self) -> None:
        """Stop looking."""
        self._tending.cancel()
        if self._timer:
            self._timer.cancel()
        for task in self._searches.values():
            task.cancel()
        await asyncio.gather(*self._searches.values(), return_exceptions=True)

    def routes(self, peer: PeerID) -> list[Route]:
        """Up to three routes by the map as it is now, the best first."""
        graph = self._mapper.map.graph
        avoid = self.suspects.active(self._engine.now())
        if self._cached[0] is not graph or self._cached[1] != avoid:
            self._cache.clear()
            self._cached = graph, avoid
        found = self._cache.get(peer)
        if found is None:
            found = self._cache[peer] = routes(graph, self._mapper.map.own, peer.short, avoid)
        return found

    def offered(self, session: int) -> list[Route]:
        """The routes a session was given last."""
        offer = self.offers.get(session)
        return offer.routes if offer else []

    def paths(self, peer: PeerID) -> list[Path]:
        """The routes as paths; a peering's own session needs none for its one hop."""
        return [Routed(route.label) for route in self.routes(peer) if route.label.hops > 1]

    def supply(self, session: Session) -> None:
        """Give a session the routes of the day and take from it those that are over."""
        now, found = self._engine.now(), self.routes(session.peer)
        self.offers[session.id] = Offer(found, now)
        wanted: dict[Path, int] = {Routed(r.label): r.mtu for r in found if r.label.hops > 1}
        sessions = self._engine.sessions
        kept = {session.paths.active, session.paths.warm}
        for path, state in list(session.paths.states.items()):
            over = isinstance(path, Routed) and path not in wanted and state not in kept
            if over and (wanted or not state.valid):
                sessions.drop_path(session, path, now)
        for path, mtu in wanted.items():
            sessions.try_path(session, path, now, mtu=mtu)
        fresh = [path for path in wanted if path not in session.hints]
        if session.opening and fresh:
            sessions.connect(session.peer, fresh, now)
        self._engine.pump()

    # What happens

    def closed(self, session: int) -> None:
        """A session is over."""
        self.offers.pop(session, None)

    def changed(self, gone: frozenset[LinkName]) -> None:
        """The map is another one. Links that are gone need no suspicion: their return is news."""
        now = self._engine.now()
        for link in gone:
            self.suspects.clear_link(*link)
        for session in self._engine.sessions:
            broken = self._broken(session, gone)
            for path in broken:
                self._engine.sessions.on_path_down(session.id, path, now)
            if broken:
                self.supply(session)
            elif self._matters(session):
                self._look_again(session)
        self._engine.pump()

    def failed(self, session: Session, path: Path, *, silent: bool) -> None:
        """A path of a session failed: offer others, and find out where it broke."""
        if silent and isinstance(path, Routed):
            loop = asyncio.get_running_loop()
            loop.call_later(DOUBT, self._search, session.id, path)
        if self._matters(session):
            self.supply(session)

    def refused(self, used: Label, told: Label) -> None:
        """The node at the end of `told` could not pass a packet on along `used`."""
        nodes = self._mapper.follow(used)
        if nodes and told.hops < used.hops:
            self._suspect(nodes[told.hops], nodes[told.hops + 1])

    # Inside

    def _tend(self) -> None:
        """Give backups to sessions that came into use, before they need them; take them back."""
        self._tending = asyncio.get_running_loop().call_later(TEND, self._tend)
        now = self._engine.now()
        before, self._avoided = self._avoided, self.suspects.active(now)
        cleared = before - self._avoided
        for session in self._engine.sessions:
            offer = self.offers.get(session.id)
            if not session.in_use(now):
                self._retire(session, offer, now)
            elif offer is None or now - offer.at >= RECOMPUTE or cleared:
                self._look_again(session)

    def _retire(self, session: Session, offer: Offer | None, now: float) -> None:
        """What is kept open at rest keeps no backups: their probes would never end."""
        active = session.paths.active
        states = session.paths.states.items() if session.kept else ()
        spare = [p for p, s in states if isinstance(p, Routed) and s is not active]
        for path in spare:
            self._engine.sessions.drop_path(session, path, now)
        if spare and offer:
            offer.at = now - RECOMPUTE

    def _matters(self, session: Session) -> bool:
        """Whether a session needs its routes now."""
        now = self._engine.now()
        routed = any(isinstance(path, Routed) for path in session.known)
        return session.in_use(now) or (routed and session.probing(now))

    def _broken(self, session: Session, gone: frozenset[LinkName]) -> list[Path]:
        """The paths of a session that cross links that are gone."""
        offer = self.offers.get(session.id)
        if not offer or not gone:
            return []
        dead = [Routed(route.label) for route in offer.routes if gone & route.elements]
        return [path for path in dead if path in session.paths.states]

    def _look_again(self, session: Session) -> None:
        """Supply a session soon, a few at a time."""
        self._stale[session.id] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLE, self._renew)

    def _renew(self) -> None:
        self._timer = None
        for number in list(self._stale)[:AT_ONCE]:
            del self._stale[number]
            session = self._engine.sessions.get(number)
            if session and self._matters(session):
                self.supply(session)
        if self._stale:
            self._timer = asyncio.get_running_loop().call_later(SETTLE, self._renew)

    def _suspect(self, near: bytes, far: bytes) -> None:
        if far not in self._mapper.map.graph.adjacency.get(near, {}):
            return  # gone from the map meanwhile
        self.suspects.suspect_link(near, far, self._engine.now())
        self._engine.counts["suspected link"] += 1

    def _search(self, session: int, path: Routed) -> None:
        """Look for the fault of a path, unless it works again or too much is being looked for."""
        found, label = self._engine.sessions.get(session), path.label
        state = found.paths.states.get(path) if found else None
        if self._engine.closed or found is None or (state and not state.suspect):
            return
        if label in self._searches or not self._budget.take(self._engine.now()):
            return
        task = asyncio.create_task(self._find_fault(label))
        self._searches[label] = task
        task.add_done_callback(lambda _: self._searches.pop(label, None))

    async def _find_fault(self, label: Label) -> None:
        """Ask every node along a label who it is; the link after the last answer is suspect."""
        nodes = self._mapper.follow(label)
        if nodes is None:
            return
        asked = (self._answers(prefix) for prefix in label.prefixes)
        heard = await asyncio.gather(*asked)
        reached = 0
        for at, peer in enumerate(heard, 1):
            if peer and peer.short == nodes[at]:
                reached = at
        if reached < len(heard):
            self._suspect(nodes[reached], nodes[reached + 1])
        for session in self._engine.sessions:
            if Routed(label) in session.paths.states:
                self.supply(session)

    async def _answers(self, prefix: Label) -> PeerID | None:
        try:
            return await self._notices.trace(prefix, PATIENCE)
        except RovyError:
            return None
