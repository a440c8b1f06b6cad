"""Routes as their users see them: who stands at every hop, what they cost, why they were chosen."""

from collections.abc import Iterator

from rovy.address.keys import PeerID
from rovy.address.label import Label
from rovy.address.path import Direct, Path, Routed
from rovy.dataplane.types import PathTraffic
from rovy.node.engine import Engine
from rovy.node.events import MapLink, MapNode, RouteInfo
from rovy.node.mapper import Mapper
from rovy.node.peerings import Peerings
from rovy.node.router import Router
from rovy.routing.graph import search
from rovy.routing.routes import Route
from rovy.session.paths import PathState
from rovy.session.session import Session
from rovy.wire.datagram import DATA_FIXED
from rovy.wire.ip6 import LEAST_MTU, SAVED


class Ways:
    """Puts together what map, offers and sessions know of the ways to a node."""

    def __init__(
        self, own: PeerID, engine: Engine, mapper: Mapper, router: Router, peerings: Peerings
    ) -> None:
        self._own, self._engine, self._mapper = own, engine, mapper
        self._router, self._peerings = router, peerings

    def all(self) -> list[RouteInfo]:
        """Of every session that can send; nothing is computed anew, however many there are."""
        infos = []
        for session in self._engine.sessions:
            if session.sending:
                infos += self._ways(session.peer, session, self._router.offered(session.id))
        return infos

    def to(self, peer: PeerID) -> list[RouteInfo]:
        """To one node: the route in use first, then others that work, then those of the map."""
        session = self._engine.sessions.with_peer(peer)
        return self._ways(peer, session, self._router.routes(peer))

    def _ways(self, peer: PeerID, session: Session | None, found: list[Route]) -> list[RouteInfo]:
        routes = {route.label.slots: route for route in found}
        offered, best = dict(routes), found[0] if found else None
        infos = []
        for state in session.paths.states.values() if session else ():
            label = self._label(peer, state.path)
            slots = label.slots if label else ()
            if session:
                infos.append(self._in_session(session, state, label, routes.get(slots), best))
                offered.pop(slots, None)
        infos += [self._of_map(peer, route, best) for route in offered.values()]
        return sorted(infos, key=lambda info: (_ORDER.index(info.state), info.cost or 0.0))

    def hops(self, label: Label, end: PeerID | None) -> tuple[PeerID | None, ...]:
        """Who stands where along a label, at last `end`; None where the map does not say."""
        nodes = self._router.nodes(label)
        return (*nodes[:-1], end or nodes[-1]) if nodes else ()

    def nodes(self) -> list[MapNode]:
        """The nodes that links of the map lead to, the nearest first: this one."""
        adjacency = self._mapper.map.graph.adjacency

        def arcs(short: bytes) -> Iterator[tuple[bytes, float]]:
            return ((far, link.cost) for far, link in adjacency.get(short, {}).items())

        tree = search(arcs, self._own.short)
        hops: dict[bytes, int] = {}
        found = []
        for short, cost in tree.cost.items():
            before = tree.before.get(short)
            hops[short] = hops[before] + 1 if before else 0
            peer = self._peer(short)
            if peer:
                found.append(MapNode(peer, cost, hops[short], self._links(short)))
        return found

    def _links(self, short: bytes) -> tuple[MapLink, ...]:
        links = self._mapper.map.graph.adjacency.get(short, {})
        ends = ((self._peer(far), link) for far, link in links.items())
        return tuple(MapLink(far, link.slot, link.cost, link.mtu) for far, link in ends if far)

    def _peer(self, short: bytes) -> PeerID | None:
        return self._own if short == self._own.short else self._mapper.peer(short)

    def _label(self, peer: PeerID, path: Path) -> Label | None:
        """Of a path; a direct one has the slot of its peering, if it is one."""
        if isinstance(path, Routed):
            return path.label
        peering = self._peerings.by_peer.get(peer)
        return Label.of(peering.slot) if peering else None

    def _in_session(
        self,
        session: Session,
        state: PathState,
        label: Label | None,
        route: Route | None,
        best: Route | None,
    ) -> RouteInfo:
        traffic: PathTraffic = self._engine.dataplane.path_traffic(session.id, state.path)
        return RouteInfo(
            peer=session.peer,
            label=label,
            hops=self.hops(label, session.peer) if label else (session.peer,),
            via=str(state.path) if isinstance(state.path, Direct) else "",
            state=_state(session, state),
            cost=route.cost if route else self._link_cost(session.peer, state.path),
            rtt=state.rtt,
            mtu=_ip_mtu(state.mtu if state.search.began or route is None else route.mtu),
            age=self._engine.now() - state.since,
            why=self._why(session.peer, route, best, state.path, roamed=state.roamed),
            packets_sent=traffic.packets_sent,
            packets_received=traffic.packets_received,
            bytes_sent=traffic.bytes_sent,
            bytes_received=traffic.bytes_received,
        )

    def _link_cost(self, peer: PeerID, path: Path) -> float | None:
        """Of the link to a neighbour, for its direct path, seconds."""
        link = self._mapper.map.graph.adjacency.get(self._own.short, {}).get(peer.short)
        return link.cost if link and isinstance(path, Direct) else None

    def _of_map(self, peer: PeerID, route: Route, best: Route | None) -> RouteInfo:
        way = Routed(route.label)
        return RouteInfo(
            peer=peer,
            label=route.label,
            hops=self.hops(route.label, peer),
            via="",
            state="offered",
            cost=route.cost,
            rtt=None,
            mtu=_ip_mtu(route.mtu),
            age=None,
            why=self._why(peer, route, best, way, roamed=False),
        )

    def _why(
        self, peer: PeerID, route: Route | None, best: Route | None, path: Path, *, roamed: bool
    ) -> str:
        if isinstance(path, Direct):
            return "direct peering" if peer in self._peerings.by_peer else "direct session"
        if route is None or best is None:
            return "the other node sends by it" if roamed else "was offered before"
        if route.label == best.label:
            return "cheapest in the map"
        shared = len(route.elements & best.elements)
        apart = "shares nothing with the cheapest" if not shared else f"shares {shared} with it"
        return f"backup: {apart}"


_ORDER = ("active", "warm", "works", "trying", "suspect", "offered")


def _state(session: Session, state: PathState) -> str:
    if state is session.paths.active and not state.suspect:
        return "active"
    if state.suspect:
        return "suspect"
    if state is session.paths.warm:
        return "warm"
    return "works" if state.valid else "trying"


def _ip_mtu(datagram: int) -> int:
    """Bytes of the longest IPv6 packet that goes whole, or in pieces where that is less."""
    return max(datagram - DATA_FIXED + SAVED, LEAST_MTU)
