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
from rovy.routing.map import LinkName

TTL = 3600
"""Seconds."""
REFRESH = 1200.0
"""Seconds after which it is signed anew without a reason, ± 20 %."""
SETTLE = 1.0
"""Seconds that changes are collected."""
APART = 10.0
"""Seconds between two locators at least."""
BETTER, BETTER_APART = 0.7, 300.0
"""Paths that cost at most this part of what was said are told after so many seconds."""


class Locating:
    """Signs locators.

    `paths` gives those from the anchors in use to this node; `gone` tells whether one of some links
    was taken back of late.
    """

    def __init__(
        self,
        private: PrivateKey,
        engine: Engine,
        flood: Flood,
        paths: Callable[[], Sequence[AnchorPath]],
        gone: Callable[[Iterable[LinkName]], bool],
        endpoints: Callable[[], Sequence[Multiaddr]],
        publish: Callable[[Locator], None],
        *,
        sequence: int = 0,
    ) -> None:
        self._private, self._engine, self._flood = private, engine, flood
        self._paths, self._gone = paths, gone
        self._endpoints, self._publish = endpoints, publish
        self.sequence = sequence
        """The highest one used."""
        self.locator: Locator | None = None
        self._said: tuple[Sequence[AnchorPath], AnchorPath] = (), ()
        self._broken = False
        """Whether what was said is wrong."""
        self._signed_at = -APART
        self._timer: asyncio.TimerHandle | None = None
        self._refresh: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Sign no more."""
        for timer in filter(None, (self._timer, self._refresh)):
            timer.cancel()

    def changed(self) -> None:
        """Anchors, links or addresses may be others now."""
        if self._engine.closed:
            return
        self._broken = self._broken or self._is_broken()
        if self._timer is None:
            wait = max(SETTLE, self._signed_at + APART - self._engine.now())
            self._timer = asyncio.get_running_loop().call_later(wait, self._look)

    def _look(self) -> None:
        self._timer = None
        anchors, links = choose(self._paths()), tuple(self._links()[:MAX_LINKS])
        if (anchors or links) and self._is_due(anchors, links):
            self._said, self._broken = (anchors, links), False
            self._sign(anchors, links)

    def _is_due(self, anchors: list[AnchorPath], links: AnchorPath) -> bool:
        """Whether what was said is wrong, or there is more to say, or it long became better.

        Round trips of busy machines differ all the time, and eight nodes store every locator.
        """
        paths, said = self._said
        if self._broken or len(anchors) > len(paths) or len(links) > len(said):
            return True
        much_better = _total(anchors) < BETTER * _total(paths)
        return much_better and self._engine.now() >= self._signed_at + BETTER_APART

    def _is_broken(self) -> bool:
        """Whether a link that was said is gone: an own one, or one that somebody said so of."""
        paths, said = self._said
        own = {(link.node, link.slot) for link in self._links()}
        if any((link.node, link.slot) not in own for link in said):
            return True
        graph, here = self._flood.map.graph.adjacency, self._flood.own
        for path in paths:
            ends = [*(link.node for link in path), here]
            names = [pair(a, b) for a, b in pairwise(ends)]
            unlisted = any(a in graph and b in graph and b not in graph[a] for a, b in names)
            if unlisted or self._gone(names):
                return True
        return False

    def _again(self) -> None:
        self._refresh, self._said = None, ((), ())
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
        """The best first, as the own link record has them."""
        held = self._flood.map.held.get(self._flood.own)
        entries = sorted(held.record.links, key=lambda link: link.cost) if held else []
        return [LocatorLink(e.peer, e.slot, e.peer_slot, e.cost) for e in entries]


def choose(paths: Iterable[AnchorPath]) -> list[AnchorPath]:
    """Up to four, the cheapest first; links that a former one uses count double."""
    left, used, chosen = list(paths), set[tuple[bytes, bytes]](), list[AnchorPath]()
    while left and len(chosen) < MAX_ANCHORS:

        def price(path: AnchorPath) -> tuple[float, bytes]:
            return _price(path, used), path[0].node if path else b""

        best = min(left, key=price)
        left.remove(best)
        chosen.append(best)
        used.update(_pairs(best))
    return chosen


def _total(paths: Iterable[AnchorPath]) -> float:
    used, total = set[tuple[bytes, bytes]](), 0.0
    for path in paths:
        total += _price(path, used)
        used.update(_pairs(path))
    return total


def _price(path: AnchorPath, used: set[tuple[bytes, bytes]]) -> float:
    """Seconds; links in `used` count double."""
    costs = zip(_pairs(path), map(_cost, path), strict=True)
    return sum(cost * (2 if link in used else 1) for link, cost in costs)


def _pairs(path: AnchorPath) -> list[tuple[bytes, bytes]]:
    ends = [*(link.node for link in path), b""]
    return [pair(a, b) for a, b in pairwise(ends)]


def _cost(link: LocatorLink) -> float:
    return decode_cost(link.cost)
