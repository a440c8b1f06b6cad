"""Routes for those who send: offered to sessions, changed with the map, mended after faults.

docs/protocol/routing.md §6
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import TypeVar

from rovy.address.keys import PeerID
from rovy.address.label import Label
from rovy.address.path import Path, Routed
from rovy.buckets import TokenBucket
from rovy.errors import RovyError
from rovy.node.engine import Engine
from rovy.node.mapper import Mapper
from rovy.node.notices import Notices
from rovy.routing.atlas import Atlas
from rovy.routing.graph import Element, Graph
from rovy.routing.map import LinkName
from rovy.routing.routes import Near, Route, routes
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
MOST = 3
"""Routes that are offered."""
BACKUPS = 5.0
"""Seconds after which backups are looked for again where some are missing."""
PATIENCE = 1.0
"""Seconds a hop has to answer when a fault is looked for."""
COMPUTED = 4096
"""Nodes whose routes are remembered, and routes whose nodes are; the oldest gives way."""


@dataclass(slots=True)
class Offer:
    """The routes a session was given."""

    routes: list[Route]
    at: float


class Router:
    """Keeps sessions supplied with routes."""

    def __init__(self, engine: Engine, mapper: Mapper, atlas: Atlas, notices: Notices) -> None:
        self._engine, self._mapper, self._notices = engine, mapper, notices
        self._atlas = atlas
        self.suspects = Suspects()
        self.offers: dict[int, Offer] = {}
        """By session, of those that were offered routes."""
        self._stale: dict[int, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._searches: dict[Label, asyncio.Task[None]] = {}
        self._cache: dict[PeerID, tuple[int, list[Route]]] = {}
        """Routes by target, and the version of the atlas they were found in."""
        self._best: dict[PeerID, tuple[int, Route | None]] = {}
        own = mapper.map.own
        self._near = Graph({}), frozenset[Element](), Near(Graph({}), own)
        """The search around this node, and what it was made from."""
        self._computed: OrderedDict[tuple[int, ...], Route] = OrderedDict()
        """By slots: what nodes stand along a label."""
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
        """Up to three routes by all that is known now, the best first."""
        version, avoid = self._fresh(peer), self._cached[1]
        at, found = self._cache.get(peer, (-1, []))
        if at != version:
            found = routes(self._graph(peer), self._mapper.map.own, peer.short, avoid)
            _bounded(self._cache)[peer] = version, found
            for route in found:
                self._note(route)
        return found

    def best(self, peer: PeerID) -> Route | None:
        """The best of them, found with less work."""
        version, avoid = self._fresh(peer), self._cached[1]
        if peer in self._cache and self._cache[peer][0] == version:
            return next(iter(self._cache[peer][1]), None)
        at, found = self._best.get(peer, (-1, None))
        if at != version:
            found = self._find_best(peer.short, avoid)
            _bounded(self._best)[peer] = version, found
            if found:
                self._note(found)
        return found

    def nodes(self, label: Label) -> list[PeerID | None]:
        """Who stands at the end of each hop of a label, as far as map and atlas tell."""
        nodes, reach = self._along(label)
        at = dict(zip(reach, nodes[1:], strict=True))
        shorts = (at.get(hop) for hop in range(1, label.hops + 1))
        return [self.peer(short) if short else None for short in shorts]

    def peer(self, short: bytes) -> PeerID | None:
        """Whose short that is."""
        return self._mapper.peer(short) or self._atlas.peer(short)

    def by_address(self, address: bytes) -> PeerID | None:
        """The node of an address, 16 bytes, where a locator, an anchor's path or a label tells."""
        peer = self._atlas.peer(address[1:9])
        return peer if peer and peer.address == address else None

    def offered(self, session: int) -> list[Route]:
        """The routes a session was given last."""
        offer = self.offers.get(session)
        return offer.routes if offer else []

    def paths(self, peer: PeerID) -> list[Path]:
        """The routes as paths; a peering's own session needs none for its one hop."""
        return [Routed(route.label) for route in self.routes(peer) if route.label.hops > 1]

    def best_path(self, peer: PeerID) -> list[Path]:
        """The best of them alone."""
        route = self.best(peer)
        return [Routed(route.label)] if route and route.label.hops > 1 else []

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
        route = self._computed.get(used.slots)
        failed = route.link_after(told.hops) if route else None
        nodes = None if route else self._mapper.follow(used)
        if failed:
            self._suspect(*failed)
        elif nodes and told.hops < used.hops:
            self._suspect(nodes[told.hops], nodes[told.hops + 1])

    def doubt(self, route: Route) -> None:
        """A route took far longer than was advertised: what others said of it is suspect."""
        known = self._mapper.map.graph.adjacency
        for near, far in pairwise(route.nodes):
            if far not in known.get(near, {}):
                self._suspect(near, far)

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
        if not gone:
            return []
        routed = [path for path in session.paths.states if isinstance(path, Routed)]
        return [path for path in routed if self._mapper.crosses(path.label, gone)]

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
            if session and self._matters(session) and self._outdated(session):
                self.supply(session)
        if self._stale:
            self._timer = asyncio.get_running_loop().call_later(SETTLE, self._renew)

    def _graph(self, peer: PeerID) -> Graph:
        """What leads to a node: the map, where that is exact, else all that was told."""
        known = self._mapper.map.graph
        if self.near_by(peer.short):
            return known
        return self._atlas.graph(peer.short, known, self._engine.now())

    def _find_best(self, target: bytes, avoid: frozenset[Element]) -> Route | None:
        base = self._atlas.base(self._mapper.map.graph)
        if self._near[0] is not base or self._near[1] != avoid:
            self._near = base, avoid, Near(base, self._mapper.map.own, avoid)
        added = [] if self.near_by(target) else self._atlas.arcs_to(target, self._engine.now())
        return self._near[2].route(target, added)

    def _fresh(self, peer: PeerID) -> int:
        """Drop what was computed from another map; the version that routes to a node have now."""
        graph = self._mapper.map.graph
        avoid = self.suspects.active(self._engine.now())
        if self._cached[0] is not graph or self._cached[1] != avoid:
            self._cache.clear()
            self._best.clear()
            self._cached = graph, avoid
        return 0 if self.near_by(peer.short) else self._atlas.version_of(peer.short)

    def near_by(self, short: bytes) -> bool:
        """Whether all news of a node come here: of those held beyond the radius they may not."""
        found = self._mapper.map
        return found.distance.get(short, inf) <= found.radius

    def _note(self, route: Route) -> None:
        self._computed[route.label.slots] = route
        self._computed.move_to_end(route.label.slots)
        if len(self._computed) > COMPUTED:
            self._computed.popitem(last=False)

    def _outdated(self, session: Session) -> bool:
        """Whether to search a session's routes again: that is dear, unlike finding the best."""
        offer, now = self.offers.get(session.id), self._engine.now()
        if offer is None or (len(offer.routes) < MOST and now - offer.at >= BACKUPS):
            return True
        best = self.best(session.peer)
        labels = [route.label for route in offer.routes[:1]]
        return labels != ([best.label] if best else []) or now - offer.at >= RECOMPUTE

    def _suspect(self, near: bytes, far: bytes) -> None:
        known = self._mapper.map.graph.adjacency
        if near in known and far in known and far not in known[near]:
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
        nodes, reach = self._along(label)
        if not reach:
            return
        prefixes = label.prefixes
        heard = await asyncio.gather(*(self._answers(prefixes[hops - 1]) for hops in reach))
        reached = 0
        for at, peer in enumerate(heard, 1):
            if peer and peer.short == nodes[at]:
                reached = at
        if reached < len(heard):
            self._suspect(nodes[reached], nodes[reached + 1])
        for session in self._engine.sessions:
            if Routed(label) in session.paths.states:
                self.supply(session)

    def _along(self, label: Label) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
        """The nodes along a label, this one first, and the hops to each but this one."""
        route = self._computed.get(label.slots)
        if route:
            return route.nodes, route.reach
        nodes = self._mapper.follow(label) or (self._mapper.map.own,)
        return nodes, tuple(range(1, len(nodes)))

    async def _answers(self, prefix: Label) -> PeerID | None:
        try:
            return await self._notices.trace(prefix, PATIENCE)
        except RovyError:
            return None


K = TypeVar("K")
V = TypeVar("V")


def _bounded(table: dict[K, V]) -> dict[K, V]:
    """Room for one more; what was computed first gives way."""
    if len(table) >= COMPUTED:
        del table[next(iter(table))]
    return table
