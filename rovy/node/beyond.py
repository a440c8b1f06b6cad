"""What lies beyond the map: anchors, locators, the DHT, and the maps of others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.multiaddr import Multiaddr
from rovy.dht.dht import Dht
from rovy.errors import RovyError
from rovy.node.anchoring import Anchoring
from rovy.node.config import NodeConfig
from rovy.node.engine import Engine
from rovy.node.exchange import Exchange
from rovy.node.keeper import Keeper
from rovy.node.locating import Locating
from rovy.node.mapper import Mapper
from rovy.node.messenger import Messenger
from rovy.node.notices import Notices
from rovy.node.relocator import Relocator
from rovy.node.requests import Requests
from rovy.node.resolver import Resolver
from rovy.node.router import Router
from rovy.node.waiters import Waiters
from rovy.routing.atlas import Atlas
from rovy.routing.locator import Locator
from rovy.session.limits import SourceBuckets
from rovy.wire.dht import CODEC

ANSWERS = (20.0, 100.0)
"""Requests of the DHT answered to one peer: a second, and at once."""


class Beyond:
    """Joins them; the node talks to the parts."""

    def __init__(
        self,
        private: PrivateKey,
        config: NodeConfig,
        engine: Engine,
        mapper: Mapper,
        atlas: Atlas,
        router: Router,
        requests: Requests,
        waiters: Waiters,
        keeper: Keeper,
        notices: Notices,
        known: Callable[[bytes], PeerID | None],
        accept: Callable[[PeerID], bool],
        *,
        sequence: int,
        state: Mapping[str, Any],
    ) -> None:
        own = private.peer_id
        self._atlas, self._state = atlas, state
        self._joined = frozenset[PeerID]()
        """The anchors that the DHT knows of."""
        self.anchoring = Anchoring(
            engine,
            private,
            mapper,
            atlas,
            self._anchors_changed,
            sequence=sequence,
            pins=config.anchors,
        )
        self.messenger = Messenger(
            engine,
            requests,
            waiters,
            keeper,
            router,
            atlas,
            lambda: mapper.map,
            self.anchoring.peers,
            accept,
        )
        self.dht = Dht(own, self.messenger, engine.random)
        self._engine, self._asked = engine, SourceBuckets(*ANSWERS)
        requests.answerers[CODEC] = self._answer
        requests.early[CODEC] = lambda peer, body: self.dht.answer(peer, body, True)
        self.locating = Locating(
            private,
            engine,
            mapper.flood,
            self.anchoring.locator_paths,
            self.anchoring.is_gone,
            lambda: list(_public(keeper.own_addresses(own))) if config.publish_addresses else [],
            self._publish,
            sequence=sequence,
        )
        self.resolver = Resolver(own, engine, router, atlas, self.dht, known)
        self.relocator = Relocator(engine, router, self.resolver)
        self.exchange = Exchange(engine, mapper, atlas, router, requests, waiters, notices)

    @property
    def sequence(self) -> int:
        """The highest one that beacons and locators have used."""
        return max(self.anchoring.anchors.sequence, self.locating.sequence)

    def start(self) -> None:
        """Packets can go out."""
        self.dht.load(dict(self._state))
        self.dht.start()

    async def close(self) -> None:
        """Stop all of it."""
        self.anchoring.close()
        self.locating.close()
        await self.exchange.close()
        await self.relocator.close()
        await self.resolver.close()
        await self.dht.close()

    def map_changed(self) -> None:
        """The own links may be others."""
        self.locating.changed()

    def _answer(self, peer: PeerID, body: bytes) -> bytes:
        """Answer a request of the DHT. Raises `Malformed`, and `RovyError` to who asks too much."""
        if not self._asked.take(peer.key, self._engine.now()):
            self._engine.counts["too many dht requests"] += 1
            raise RovyError("too many requests")
        return self.dht.answer(peer, body, False) or b""

    def _anchors_changed(self) -> None:
        """To the DHT it matters who they are, not by which way they are reached."""
        anchors = frozenset(self.anchoring.peers())
        if anchors != self._joined:
            self._joined = anchors
            self.dht.anchors_changed()
        self.locating.changed()

    def _publish(self, locator: Locator) -> None:
        self.dht.publish(locator)


def _public(addresses: Sequence[Multiaddr]) -> Iterator[Multiaddr]:
    """Those that the whole Internet can send to."""
    for address in addresses:
        if address.endpoint and address.endpoint.is_public:
            yield address
