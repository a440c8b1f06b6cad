"""How the DHT speaks to nodes: in sessions along routes of the moment. docs/protocol/dht.md §2"""

from collections import OrderedDict
from collections.abc import Callable

from rovy.address.keys import PeerID
from rovy.address.label import encode_entry
from rovy.address.path import Path, Routed
from rovy.dht.contact import Contact
from rovy.errors import Malformed, Unreachable
from rovy.node.engine import Engine
from rovy.node.keeper import Keeper
from rovy.node.requests import Requests, unpack
from rovy.node.router import Router
from rovy.node.waiters import Waiters
from rovy.routing.atlas import Atlas
from rovy.routing.cost import encode_cost
from rovy.routing.locator import Locator
from rovy.routing.map import LinkMap
from rovy.routing.routes import Route
from rovy.wire.dht import CODEC, STORE

JUDGED = 15.0
"""Seconds that what was found of a node's route counts."""
MOST_JUDGED = 1024
"""Nodes of which it is remembered; the one looked at longest ago gives way."""
LONGEST_LABEL = 32
"""Bytes of a label that is told to others."""


class Messenger:
    """Implements `rovy.dht.messenger.Messenger`."""

    def __init__(
        self,
        engine: Engine,
        requests: Requests,
        waiters: Waiters,
        keeper: Keeper,
        router: Router,
        atlas: Atlas,
        map_of: Callable[[], LinkMap],
        anchors: Callable[[], list[PeerID]],
        accept: Callable[[PeerID], bool],
    ) -> None:
        self._engine, self._requests, self._waiters = engine, requests, waiters
        self._keeper, self._router, self._atlas = keeper, router, atlas
        self._map_of, self._anchors, self._accept = map_of, anchors, accept
        self._nearby: tuple[object, list[PeerID]] = None, []
        """Nodes of the map, and what they were read from."""
        self._judged: OrderedDict[PeerID, tuple[float, Route | None]] = OrderedDict()
        """When a node was last looked at, and the route there."""
        requests.light.add(CODEC)

    def now(self) -> float:
        """A steady clock, seconds."""
        return self._engine.now()

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._engine.wall()

    async def request(self, peer: PeerID, body: bytes, timeout: float) -> tuple[bytes, str]:
        """Ask along the best route; the answer, and the route for people. Raises `Unreachable`.

        First contact takes one round trip: question and answer ride in the handshake.
        """
        if not self._accept(peer):
            raise Unreachable("denied", f"{peer} is not to be spoken to")
        deadline = self.now() + timeout
        paths = self._paths(peer)
        if body[0] != STORE:
            early = await self._waiters.ask_lightly(peer, paths, CODEC, body, timeout)
            if early is not None:
                return unpack(early[0], early[1:], peer), self._way(peer, paths)
        left = deadline - self.now()
        session = await self._waiters.open_lightly(peer, paths, left)
        left = deadline - self.now()
        if left <= 0:
            raise Unreachable("no answer", f"{peer} did not answer in {timeout:g} s")
        answer = await self._requests.request(session, CODEC, body, left)
        return answer, self._way(peer, paths)

    def cost(self, peer: PeerID) -> float | None:
        """Seconds, of the best route known."""
        route = self._judge(peer)
        return route.cost if route else None

    def group(self, peer: PeerID) -> bytes | None:
        """The node before it on the route there: many who stand behind one may be one."""
        route = self._judge(peer)
        if route is None or len(route.nodes) <= 2 or len(self._map_of().neighbours) <= 1:
            return None
        return route.nodes[-2]

    def label(self, peer: PeerID) -> tuple[bytes, int] | None:
        """The route there for others to append, its first entry in two bytes, and its cost."""
        route = self._judge(peer)
        if route is None:
            return None
        label = encode_entry(route.label.first, 2) + route.label.rest
        return (label, encode_cost(route.cost)) if len(label) <= LONGEST_LABEL else None

    def heard(self, replier: PeerID, contact: Contact) -> None:
        """A node told of another: what it said may make a route."""
        if contact.locator:
            self._atlas.learn_locator(contact.locator, over(contact.locator, self._engine))
        if contact.label:
            try:
                self._atlas.learn_label(
                    replier, contact.peer, contact.label, contact.cost, self.now()
                )
            except Malformed:
                self._engine.counts["malformed label"] += 1

    def anchors(self) -> list[PeerID]:
        """Anchors that a path leads to."""
        return self._anchors()

    def nearby(self) -> list[PeerID]:
        """Nodes of the map, the nearest first."""
        found = self._map_of()
        if self._nearby[0] is not found.distance:
            peers = (self._router.peer(short) for short in found.distance if short != found.own)
            self._nearby = found.distance, [peer for peer in peers if peer]
        return self._nearby[1]

    def _judge(self, peer: PeerID) -> Route | None:
        """The best route: asked of eight nodes a request, so it need not be of this very moment."""
        now, known = self.now(), self._judged.get(peer)
        if known and now - known[0] < JUDGED:
            return known[1]
        route = self._router.best(peer)
        self._judged[peer] = now, route
        self._judged.move_to_end(peer)
        if len(self._judged) > MOST_JUDGED:
            self._judged.popitem(last=False)
        return route

    def _paths(self, peer: PeerID) -> list[Path]:
        best = self._router.best(peer)
        if best and best.label.hops > 1:
            return [Routed(best.label)]
        return self._keeper.remembered(peer)[-2:]

    def _way(self, peer: PeerID, paths: list[Path]) -> str:
        session = self._engine.sessions.with_peer(peer)
        return str(session.path if session and session.path else paths[0] if paths else "")


def over(locator: Locator, engine: Engine) -> float:
    """When a locator is over, by the steady clock."""
    return engine.now() + locator.sequence / 1000 + locator.ttl - engine.wall()
