"""The own locator: signed anew when what it says changed. docs/protocol/locators.md §2"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from rovy.address.keys import PrivateKey
from rovy.address.multiaddr import Multiaddr
from rovy.node.engine import Engine
from rovy.routing.cost import decode_cost
from rovy.routing.flood import Flood
from rovy.routing.graph import pair
from rovy.routing.locator import (
    ANCHOR,
    MAX_ANCHORS,
    MAX_LINKS,
    AnchorPath,
    Locator,
    LocatorLink,
)

TTL = 3600
"""Seconds."""
REFRESH = 1200.0
"""Seconds after which it is signed anew without a reason, ± 20 %."""
SETTLE = 1.0
"""Seconds that changes are collected."""
APART = 10.0
"""Seconds between two locators at least."""
Said = tuple[tuple[tuple[bytes, int], ...], ...]
"""What makes one path or list of links another: nodes and slots, not costs."""


class Locating:
    """Signs locators. `paths` gives those of the anchors in use, from each to this node."""

    def __init__(
        self,
        private: PrivateKey,
        engine: Engine,
        flood: Flood,
        paths: Callable[[], Sequence[AnchorPath]],
        endpoints: Callable[[], Sequence[Multiaddr]],
        publish: Callable[[Locator], None],
        *,
        sequence: int = 0,
    ) -> None:
        self._private, self._engine, self._flood = private, engine, flood
        self._paths, self._endpoints, self._publish = paths, endpoints, publish
        self.sequence = sequence
        """The highest one used."""
        self.locator: Locator | None = None
        self._said: tuple[Said, ...] = ()
        self._signed_at = -APART
        self._timer: asyncio.TimerHandle | None = None
        self._refresh: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Sign no more."""
        for timer in filter(None, (self._timer, self._refresh)):
            timer.cancel()

    def changed(self) -> None:
        """Anchors, links or addresses may be others now."""
        if self._timer or self._engine.closed:
            return
        wait = max(SETTLE, self._signed_at + APART - self._engine.now())
        self._timer = asyncio.get_running_loop().call_later(wait, self._look)

    def _look(self) -> None:
        self._timer = None
        anchors, links = choose(self._paths()), self._links()
        if anchors or links:
            said = _said(anchors), _said([tuple(links)])
            if said != self._said:
                self._said = said
                self._sign(anchors, links)

    def _again(self) -> None:
        self._refresh, self._said = None, ()
        self._signed_at = self._engine.now() - APART
        self._look()

    def _sign(self, anchors: Sequence[AnchorPath], links: Sequence[LocatorLink]) -> None:
        self.sequence = max(int(self._engine.wall() * 1000), self.sequence + 1)
        flags = ANCHOR if () in anchors else 0
        nonce = self._engine.random(64)
        self.locator = Locator.sign(
            self._private, self.sequence, TTL, flags, anchors, links, self._endpoints(), nonce
        )
        self._signed_at = self._engine.now()
        if self._refresh:
            self._refresh.cancel()
        jitter = 0.8 + 0.4 * self._engine.random(1)[0] / 255
        loop = asyncio.get_running_loop()
        self._refresh = loop.call_later(REFRESH * jitter, self._again)
        self._publish(self.locator)

    def _links(self) -> list[LocatorLink]:
        """The best ones, as the own link record has them."""
        held = self._flood.map.held.get(self._flood.own)
        entries = sorted(held.record.links, key=lambda link: link.cost) if held else []
        return [LocatorLink(e.peer, e.slot, e.peer_slot, e.cost) for e in entries[:MAX_LINKS]]


def choose(paths: Iterable[AnchorPath]) -> list[AnchorPath]:
    """Up to four, the cheapest first; links that a former one uses count double."""
    left, used, chosen = list(paths), set[tuple[bytes, bytes]](), list[AnchorPath]()
    while left and len(chosen) < MAX_ANCHORS:

        def price(path: AnchorPath) -> tuple[float, bytes]:
            costs = zip(_pairs(path), map(_cost, path), strict=True)
            total = sum(cost * (2 if link in used else 1) for link, cost in costs)
            return total, path[0].node if path else b""

        best = min(left, key=price)
        left.remove(best)
        chosen.append(best)
        used.update(_pairs(best))
    return chosen


def _pairs(path: AnchorPath) -> list[tuple[bytes, bytes]]:
    ends = [*(link.node for link in path), b""]
    return [pair(a, b) for a, b in pairwise(ends)]


def _cost(link: LocatorLink) -> float:
    return decode_cost(link.cost)


def _said(parts: Iterable[AnchorPath]) -> Said:
    return tuple(tuple((link.node, link.slot) for link in part) for part in parts)
