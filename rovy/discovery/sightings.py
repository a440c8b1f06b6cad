"""Nodes that were heard: where, since when, and what came of trying them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint
from rovy.discovery.const import BACKOFF, ENDPOINTS, MAX_BACKOFF, RETRY_NEW, SIGHTINGS
from rovy.discovery.overlay import Link
from rovy.discovery.report import NodeReport


@dataclass(slots=True, eq=False)
class Sighting:
    """A node that was heard."""

    peer: PeerID
    heard: float
    """When it was last announced anew."""
    interfaces: set[str] = field(default_factory=set)
    """On which it is announced now."""
    endpoints: dict[Endpoint, None] = field(default_factory=dict)
    """Where it says it is, the newest last."""
    proved: bool = False
    """Whether the last attempt to meet it succeeded."""
    rtt: float | None = None
    failures: int = 0
    """Since it last succeeded."""
    refusals: int = 0
    """Of a peering, since it last was a peer."""
    attempts: int = 0
    tried: float = -inf
    due: float = -inf
    """It is not tried before."""
    meeting: bool = False
    """Whether an attempt is under way."""
    wanted_since: float = inf
    """Since when it is to be a peer; infinite: it is not."""
    offered: float = -inf

    def said(self, endpoints: Sequence[Endpoint], now: float) -> None:
        """It was heard at these endpoints."""
        fresh = not self.endpoints.keys() >= set(endpoints)
        for endpoint in endpoints:
            self.endpoints.pop(endpoint, None)
            self.endpoints[endpoint] = None
        while len(self.endpoints) > ENDPOINTS:
            del self.endpoints[next(iter(self.endpoints))]
        if fresh:
            self.due = min(self.due, max(now, self.tried + RETRY_NEW))

    def newest_first(self) -> list[Endpoint]:
        """Where it says it is, what was said last before the rest."""
        return list(reversed(self.endpoints))

    def met(self, rtt: float | None) -> None:
        """A handshake with its key has succeeded."""
        self.proved, self.failures, self.due = True, 0, -inf
        self.rtt = self.rtt if rtt is None else rtt

    def failed(self, now: float) -> None:
        """An attempt came to nothing: it is tried again later and later."""
        self._put_off(self.failures, now)
        self.failures += 1

    def refused(self, now: float) -> None:
        """It is there and does not want to be a peer: likewise."""
        self._put_off(self.refusals, now)
        self.refusals += 1

    def worth_trying(self, now: float) -> bool:
        """Whether an attempt may succeed now, for all we know."""
        return bool(self.interfaces) and now >= self.due

    def report(self, link: Link | None, accepted: bool, now: float) -> NodeReport:
        """What can be told of it. `accepted`: whether the lists of the node admit it."""
        return NodeReport(
            self.peer,
            self._state(link, now) if accepted else "not accepted",
            self.wanted_since < inf,
            tuple(sorted(self.interfaces)),
            tuple(self.newest_first()),
            link.rtt if link else self.rtt,
            now - self.heard,
            self.attempts,
            self.failures,
            self.due - now if self.due > now else None,
        )

    def _state(self, link: Link | None, now: float) -> str:
        if link:
            return "peer" if link.peering else "met"
        if self.meeting:
            return "meeting"
        return "waiting" if self.due > now else "heard"

    def _put_off(self, times: int, now: float) -> None:
        self.proved = False
        self.due = now + min(BACKOFF * 2 ** min(times, 16), MAX_BACKOFF)


class Sightings:
    """At most 256 nodes. When there are more, one that never answered gives way."""

    def __init__(self) -> None:
        self._by_peer: dict[PeerID, Sighting] = {}

    def __iter__(self) -> Iterator[Sighting]:
        return iter(list(self._by_peer.values()))

    def __len__(self) -> int:
        return len(self._by_peer)

    def get(self, peer: PeerID) -> Sighting | None:
        """What is known of a node."""
        return self._by_peer.get(peer)

    def heard(
        self, peer: PeerID, interface: str, endpoints: Sequence[Endpoint], now: float
    ) -> bool:
        """A node is announced; False where there is no room for it."""
        found = self._by_peer.get(peer)
        if found is None:
            if len(self._by_peer) >= SIGHTINGS and not self._make_room():
                return False
            found = self._by_peer[peer] = Sighting(peer, now)
        found.heard = now
        found.interfaces.add(interface)
        found.said(endpoints, now)
        return True

    def gone(self, interface: str, peer: PeerID | None = None) -> None:
        """A node is announced on an interface no longer; None: all that were."""
        for each in [self._by_peer.get(peer)] if peer else self:
            if each:
                each.interfaces.discard(interface)
                if not each.interfaces:
                    each.endpoints.clear()

    def sweep(self, now: float, alive: Callable[[PeerID], bool]) -> list[Sighting]:
        """Forget those that are neither announced nor alive; who failed is remembered longer."""
        over = [
            each
            for each in self
            if not each.interfaces and now >= each.due and not alive(each.peer) and not each.meeting
        ]
        for each in over:
            del self._by_peer[each.peer]
        return over

    def _make_room(self) -> bool:
        """Forget the one that failed most often, and of these the one heard longest ago."""
        idle = [each for each in self if not (each.proved or each.meeting)]
        if not idle:
            return False
        del self._by_peer[min(idle, key=lambda s: (-s.failures, s.heard)).peer]
        return True
