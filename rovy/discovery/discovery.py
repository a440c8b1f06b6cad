"""Neighbours on the local network: heard, met, and some of them kept as peers while they are there.

What is announced is a hint. It leads to an attempt to open a session with the key it names, at an
address on that very link, and attempts are few: two a second, and later and later to whoever does
not answer. Which of those that answered become peers is `policy`'s to say. Peers that were
configured are not touched by any of it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2s
from math import inf
from typing import Any

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint
from rovy.buckets import TokenBucket
from rovy.discovery.const import (
    BURST,
    LAN_PEERS,
    LOOK,
    MEETING,
    OFFER_AGAIN,
    RATE,
    REFUSED,
    SETTLE,
    SPARE,
    VERSION,
)
from rovy.discovery.interface import Interface
from rovy.discovery.medium import Announcement, Opener
from rovy.discovery.overlay import Link, Overlay
from rovy.discovery.policy import Candidate, choose
from rovy.discovery.report import Report
from rovy.discovery.segments import Segments
from rovy.discovery.sightings import Sighting, Sightings
from rovy.errors import Malformed, RovyError

PEER_ID, BEGINNING = 59, "bafzqai"
"""Characters of one in its usual form, and how it begins."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """What discovery is told."""

    mode: str = "on"
    """on, listen (announces nothing), or off."""
    lan_peers: int = LAN_PEERS
    """Most peers that it chooses."""
    interfaces: tuple[str, ...] = ()
    """Names or patterns of the interfaces used; empty: all that lead to a LAN."""
    tun: str = ""
    """Name of rovy's own interface, which is none of them."""


class Discovery:
    """Runs from `start` to `close`, on the event loop of the node. Implements `Ears`."""

    def __init__(
        self,
        own: PeerID,
        overlay: Overlay,
        opener: Opener,
        interfaces: Callable[[], list[Interface]],
        bound: Callable[[], Collection[Endpoint]],
        random: Callable[[int], bytes],
        config: DiscoveryConfig,
    ) -> None:
        self.config = config
        self.counts: Counter[str] = Counter()
        self._own, self._overlay = own, overlay
        self._secret = random(16)
        self._segments = Segments(str(own), opener, interfaces, bound, self)
        self._sightings = Sightings()
        self._bucket = TokenBucket(RATE, BURST, 0.0)
        self._wake, self._changed = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._arming: asyncio.Task[None] | None = None

    # Life

    def start(self) -> None:
        """Begin, unless it is off."""
        if self.config.mode != "off" and not self._tasks:
            self._changed.set()
            self._spawn(self._watch())
            self._spawn(self._look())

    async def close(self) -> None:
        """Say goodbye and stop; peers stay as long as their sessions do."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._segments.close()

    async def configure(self, config: DiscoveryConfig) -> None:
        """Other settings from now on."""
        former, self.config = self.config, config
        if config.mode == "off":
            await self.close()
            self._let_go(self._sightings)
            self._sightings = Sightings()
        elif former.mode == "off":
            self.start()
        self.interfaces_changed()
        self.nudge()

    def interfaces_changed(self) -> None:
        """Links or addresses of this machine changed."""
        self._changed.set()

    def nudge(self) -> None:
        """Sessions or peerings changed: look soon."""
        self._wake.set()

    # Ears

    def wants(self, name: str) -> bool:
        """See `Ears`."""
        return len(name) == PEER_ID and name.startswith(BEGINNING)

    def heard(self, interface: Interface, announcement: Announcement) -> None:
        """See `Ears`."""
        try:
            peer = PeerID.parse(announcement.name)
        except Malformed:
            self.counts["no peer id"] += 1
            return
        named = (interface.near(host, announcement.port) for host in announcement.hosts)
        endpoints = sorted((each for each in named if each), key=lambda each: not each.is_v6)
        if announcement.version != VERSION:
            self.counts["other version"] += 1
        elif not endpoints:
            self.counts["no address on the link"] += 1
        elif peer != self._own:
            room = self._sightings.heard(peer, interface.name, endpoints, self._now())
            self.counts["heard" if room else "no room"] += 1
            self.nudge()

    def gone(self, interface: Interface, name: str) -> None:
        """See `Ears`."""
        try:
            self._sightings.gone(interface.name, PeerID.parse(name))
        except Malformed:
            return
        self.nudge()

    def left(self, interface: Interface) -> None:
        """See `Ears`."""
        self._sightings.gone(interface.name)

    # Looking

    def report(self) -> Report:
        """All that can be told of it."""
        now, links = self._now(), self._overlay.links()
        self._segments.judge()
        others = Counter(name for each in self._sightings for name in each.interfaces)
        nodes = sorted(self._sightings, key=lambda each: each.peer)
        return Report(
            self.config.mode,
            self.config.lan_peers,
            self._segments.report(others, now),
            tuple(
                each.report(links.get(each.peer), self._overlay.accepts(each.peer), now)
                for each in nodes
            ),
            dict(self.counts),
        )

    # Inside

    async def _watch(self) -> None:
        """Follow the interfaces."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            config = self.config
            # Not ended half-way by `close`, which waits for it instead.
            self._arming = asyncio.create_task(
                self._segments.arm(config.mode == "on", config.interfaces, config.tun)
            )
            await asyncio.shield(self._arming)

    async def _look(self) -> None:
        """Judge what is known whenever something happens, and now and then."""
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._wake.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(SETTLE)
            self._wake.clear()
            if self._segments.judge():
                self.interfaces_changed()
            self.judge()

    def judge(self) -> None:
        """Say who is to be a peer, and try to meet who has to be."""
        now, links = self._now(), self._overlay.links()
        self._note(links, now)
        self._let_go(self._sightings.sweep(now, links.__contains__))
        known = [each for each in self._sightings if self._overlay.accepts(each.peer)]
        proved = [each for each in known if each.proved]
        worth = [each for each in known if each.proved or each.worth_trying(now)]
        taken = {each.peer for each in known if _taken(each, links)}
        wanted = self._choose(proved, self.config.lan_peers, taken)
        self._want(wanted, links, now)
        spare = self.config.lan_peers + SPARE if self.config.lan_peers else 0
        for peer in dict.fromkeys([*wanted, *self._choose(worth, spare, ())]):
            each = self._sightings.get(peer)
            if each and peer not in links and (peer in wanted or not each.proved):
                self._try(each, now)

    def _note(self, links: Mapping[PeerID, Link], now: float) -> None:
        """Take over what the node knows: a session proves a key whoever opened it."""
        for each in self._sightings:
            link = links.get(each.peer)
            wanted = each.wanted_since < inf
            if wanted and (link is None or link.peering):
                each.wanted_since = now  # what is counted is the time without a peering
            if link is None:
                continue
            if link.peering:
                each.refusals = 0
            if now - each.wanted_since > REFUSED:
                self.counts["peering refused"] += 1
                each.refused(now)
            elif now >= each.due:
                each.met(link.rtt)

    def _choose(
        self, sightings: Iterable[Sighting], limit: int, taken: Collection[PeerID]
    ) -> list[PeerID]:
        candidates = [
            Candidate(each.peer, frozenset(each.interfaces), each.rtt, each.wanted_since < inf)
            for each in sightings
        ]
        return choose(self._own, candidates, limit, taken, self._order)

    def _order(self, peer: PeerID) -> bytes:
        """An order of our own, which nobody can choose a key by."""
        return blake2s(peer.key, key=self._secret, digest_size=8).digest()

    def _want(self, wanted: list[PeerID], links: Mapping[PeerID, Link], now: float) -> None:
        self._let_go(each for each in self._sightings if each.peer not in wanted)
        for peer in wanted:
            each, link = self._sightings.get(peer), links.get(peer)
            if each is None:
                continue
            if each.wanted_since == inf:
                log.info("found on the LAN: %s on %s", peer, ", ".join(sorted(each.interfaces)))
                each.wanted_since = now
            if not (link and link.peering and link.ours) and now - each.offered >= OFFER_AGAIN:
                each.offered = now
                self._overlay.want(peer)

    def _let_go(self, sightings: Iterable[Sighting]) -> None:
        for each in sightings:
            if each.wanted_since < inf:
                each.wanted_since = inf
                self._overlay.release(each.peer)

    def _try(self, each: Sighting, now: float) -> None:
        if each.meeting or not each.endpoints or now < each.due:
            return
        if not self._bucket.take(now):
            self.counts["attempts put off"] += 1
            self.nudge()
            return
        each.meeting, each.tried = True, now
        each.attempts += 1
        self.counts["attempts"] += 1
        self._spawn(self._meet(each))

    async def _meet(self, each: Sighting) -> None:
        try:
            await self._overlay.meet(each.peer, each.newest_first(), MEETING)
        except RovyError as error:
            log.debug("%s was heard but not met: %s", each.peer, error)
            self.counts["attempts failed"] += 1
            each.failed(self._now())
        else:
            each.met(None)
        finally:
            each.meeting = False
            self.nudge()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("discovery failed", exc_info=error)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _taken(each: Sighting, links: Mapping[PeerID, Link]) -> bool:
    """Whether it is a peer though we did not choose it."""
    link = links.get(each.peer)
    return link is not None and link.peering and each.wanted_since == inf
