"""Maps exchanged by those who talk: far from each other, each knows the other's surroundings.

docs/protocol/locators.md §4
"""

import asyncio
from collections.abc import Iterator
from itertools import islice

from rovy.address.keys import PeerID
from rovy.address.path import Path, Routed
from rovy.buckets import TokenBucket
from rovy.errors import Malformed, RovyError
from rovy.node.engine import Engine
from rovy.node.mapper import Mapper
from rovy.node.notices import Notices
from rovy.node.requests import Requests
from rovy.node.router import Router
from rovy.node.waiters import Waiters
from rovy.routing.atlas import Atlas
from rovy.routing.cost import encode_cost
from rovy.routing.graph import Graph
from rovy.session.session import Session
from rovy.wire.mapping import MapAnswer, MapLink, emit_ask, emit_map, parse_ask

CODEC = "map"
MOST = 4096
"""Bytes of map that are asked for."""
ANSWERS = (20.0, 40.0)
"""Maps given: a second, and at once."""
PATIENCE = 3.0
AT_ONCE = 8
"""Maps asked for at a time."""
TEND = 5.0
"""Seconds between looks at the sessions in use."""
LONG = 10
"""Hops beyond which the nodes along a route are asked too …"""
EVERY = 4
"""… so many apart …"""
FLOW_BYTES, FLOW_SECONDS = 1_000_000, 60.0
"""… once so much was sent, or for so long …"""
ROUNDS = 2
"""… and so often."""


class Exchange:
    """Asks for maps and gives the own one."""

    def __init__(
        self,
        engine: Engine,
        mapper: Mapper,
        atlas: Atlas,
        router: Router,
        requests: Requests,
        waiters: Waiters,
        notices: Notices,
    ) -> None:
        self._engine, self._mapper, self._atlas = engine, mapper, atlas
        self._router, self._requests = router, requests
        self._waiters, self._notices = waiters, notices
        self._answers = TokenBucket(*ANSWERS, engine.now())
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._rounds: dict[int, int] = {}
        """By session, how often the nodes along its route were asked."""
        requests.answerers[CODEC] = self.answer
        requests.light.add(CODEC)
        self._timer = asyncio.get_running_loop().call_later(TEND, self._tend)

    async def close(self) -> None:
        """Stop asking."""
        self._timer.cancel()
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def closed(self, session: int) -> None:
        """A session is over."""
        self._rounds.pop(session, None)

    def answer(self, peer: PeerID, request: bytes) -> bytes:
        """The map, the nearest links first. Raises `Malformed`, and `RovyError` when busy."""
        most = parse_ask(request)
        if not self._answers.take(self._engine.now()):
            raise RovyError("too many maps are asked for")
        found = self._mapper.map
        return emit_map(found.own, _links(self._atlas.base(found.graph), found.distance), most)

    def came_into_use(self, session: Session) -> None:
        """A session carries payloads: learn where its peer is, if the own map does not say."""
        short, routed = session.peer.short, isinstance(session.path, Routed)
        known = self._router.near_by(short) or self._atlas.has_map(short, self._engine.now())
        if routed and not known:
            self._begin(session)

    def _begin(self, session: Session, along: Path | None = None) -> None:
        if session.id in self._asking or len(self._asking) >= AT_ONCE or self._engine.closed:
            return
        work = self._ask_along(session, along) if along else self._ask(session, session)
        task = self._asking[session.id] = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._asking.pop(session.id, None))

    async def _ask(self, session: Session, asked: Session) -> None:
        """Get a map from one node and give a session the routes that it makes."""
        try:
            body = await self._requests.request(asked, CODEC, emit_ask(MOST), PATIENCE)
            if len(body) > MOST:
                raise Malformed("map: longer than asked for")
            answer = MapAnswer.parse(body)
        except RovyError:
            self._engine.counts["no map from a peer"] += 1
            return
        self._atlas.learn_map(asked.peer.short, answer, self._engine.now())
        if self._engine.sessions.get(session.id) is session:
            self._router.supply(session)

    async def _ask_along(self, session: Session, path: Path) -> None:
        """Get maps from every fourth node along a long route."""
        assert isinstance(path, Routed)
        for prefix in islice(path.label.prefixes, EVERY - 1, path.label.hops - 1, EVERY):
            try:
                peer = await self._notices.trace(prefix, PATIENCE)
                asked = await self._waiters.open_lightly(peer, [Routed(prefix)], PATIENCE)
            except RovyError:
                continue
            self._atlas.on_the_way(session.peer.short, peer.short)
            await self._ask(session, asked)

    def _tend(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TEND, self._tend)
        now = self._engine.now()
        for session in self._engine.sessions:
            if session.in_use(now) and isinstance(session.path, Routed):
                self.came_into_use(session)
                self._look_at(session, session.path, now)

    def _look_at(self, session: Session, path: Routed, now: float) -> None:
        """A route that measures far worse than was said is doubted; a long one is improved."""
        self._compare(session)
        rounds = self._rounds.get(session.id, 0)
        if path.label.hops <= LONG or rounds >= ROUNDS:
            return
        if self._router.near_by(session.peer.short):
            return
        state = session.paths.states.get(path)
        sent = self._engine.dataplane.path_traffic(session.id, path).bytes_sent
        if sent > FLOW_BYTES or (state and now - state.since > FLOW_SECONDS):
            self._rounds[session.id] = rounds + 1
            self._begin(session, path)

    def _compare(self, session: Session) -> None:
        for route in self._router.offered(session.id):
            state = session.paths.states.get(Routed(route.label))
            if state and state.rtt is not None and state.rtt / 2 > 2 * route.cost + 0.02:
                self._engine.counts["route worse than advertised"] += 1
                self._router.doubt(route)


def _links(graph: Graph, distance: dict[bytes, float]) -> Iterator[MapLink]:
    """Every link once, from the nearest node on; then those beyond the map."""
    order = {short: number for number, short in enumerate((*distance, *graph.adjacency))}
    for near in sorted(graph.adjacency, key=order.__getitem__):
        for far, link in graph.adjacency[near].items():
            known = order.get(far)
            later = known is None or known > order[near]
            if not link.via and link.back and (later or near not in graph.adjacency.get(far, {})):
                yield MapLink(near, far, link.slot, link.back, encode_cost(link.cost), link.mtu)
