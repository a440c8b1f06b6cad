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
STAYS = 1.25
"""What was said is said on while it costs at most so much of what would be chosen: round trips of
busy machines differ all the time, and every locator is stored with eight nodes."""
Name = tuple[tuple[bytes, int], ...]
"""What makes one path or list of links another: nodes and slots, not costs."""


class Locating:
    """Signs locators.

    `paths` gives those in use from anchors to this node, `held` the others that were offered, too.
    """

    def __init__(
        self,
        private: PrivateKey,
        engine: Engine,
        flood: Flood,
        paths: Callable[[], Sequence[AnchorPath]],
        held: Callable[[], Sequence[AnchorPath]],
        endpoints: Callable[[], Sequence[Multiaddr]],
        publish: Callable[[Locator], None],
        *,
        sequence: int = 0,
    ) -> None:
        self._private, self._engine, self._flood = private, engine, flood
        self._paths, self._held = paths, held
        self._endpoints, self._publish = endpoints, publish
        self.sequence = sequence
        """The highest one used."""
        self.locator: Locator | None = None
        self._said: tuple[Sequence[AnchorPath], AnchorPath] = (), ()
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
        anchors, links = self._chosen()
        paths, said = self._said
        changed = [*map(_name, anchors), _name(links)] != [*map(_name, paths), _name(said)]
        if changed and (anchors or links):
            self._said = anchors, links
            self._sign(anchors, links)

    def _again(self) -> None:
        self._refresh, self._said = None, ((), ())
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

    def _chosen(self) -> tuple[list[AnchorPath], AnchorPath]:
        """What to say: what was said, if that is nearly as good as the best."""
        paths, links = self._said
        own: list[AnchorPath] = [(link,) for link in self._links()]
        best = stay([(link,) for link in links], own, own[:MAX_LINKS])
        return stay(paths, self._held(), choose(self._paths())), tuple(path[0] for path in best)

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


def stay(
    former: Sequence[AnchorPath], held: Iterable[AnchorPath], chosen: list[AnchorPath]
) -> list[AnchorPath]:
    """The former paths at the costs of today if all are held and cheap enough, else the chosen."""
    there = {_name(path): path for path in held}
    still = [there[name] for name in map(_name, former) if name in there]
    if not len(still) == len(former) == len(chosen):
        return chosen
    return still if _total(still) <= STAYS * _total(chosen) else chosen


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


def _name(path: AnchorPath) -> Name:
    return tuple((link.node, link.slot) for link in path)
