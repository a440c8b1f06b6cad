"""What a running node is made of, and how its parts hear of what happens."""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import Label
from rovy.address.multiaddr import Multiaddr
from rovy.address.path import Path, Routed
from rovy.address.target import NodeAddress, RoutedAddr, Target
from rovy.dataplane.types import PacketHeld, Refused
from rovy.errors import Unreachable, UsageError
from rovy.forwarder import SlotTable
from rovy.io.base import Interface, LocalSocket, Underlay
from rovy.node.beyond import Beyond
from rovy.node.config import NodeConfig
from rovy.node.edge import Edge
from rovy.node.engine import Engine, Hooks
from rovy.node.events import MapInfo, NodeEvent, RouteInfo, SessionInfo, Stats, Traced
from rovy.node.finder import Finder
from rovy.node.infos import session_info
from rovy.node.keeper import Keeper
from rovy.node.mapper import Mapper
from rovy.node.neighbours import Neighbours
from rovy.node.notices import Notices
from rovy.node.peerings import Peerings
from rovy.node.ping import Pings, Pong
from rovy.node.requests import Answerer, Requests, unpack
from rovy.node.router import Router
from rovy.node.traceroute import Traceroutes
from rovy.node.waiters import Waiters
from rovy.node.ways import Ways
from rovy.routing.atlas import Atlas
from rovy.routing.map import LinkName
from rovy.session.events import (
    Action,
    CameIntoUse,
    Closed,
    DirectChanged,
    EarlyAnswer,
    Established,
    PathChanged,
    PathFailed,
    VersionMismatch,
)
from rovy.session.session import NEVER, Session
from rovy.wire.beacon import Asked, BeaconMessage, Gone, Offered, Withdrawn
from rovy.wire.control import Control, Peering, ProbeAnswer, Reply, Request
from rovy.wire.flood import Listing, Records, Summary, Wanted
from rovy.wire.notice import Notice

UNREAD = 1000
FINDING = 5.0
"""Seconds that a packet's destination is looked for."""
log = logging.getLogger(__name__)


class Services(Hooks):
    """One running node."""

    def __init__(
        self,
        private: PrivateKey,
        config: NodeConfig,
        underlay: Underlay,
        slots: SlotTable,
        *,
        wall: Callable[[], float],
        random: Callable[[int], bytes],
        stamp_bound: int,
        sequence: int,
        interface: Interface | None,
        dht_state: Mapping[str, Any],
    ) -> None:
        self._own, self._config = private.peer_id, config
        self.engine = Engine(
            private,
            config,
            underlay,
            self,
            wall=wall,
            random=random,
            early=lambda peer, codec, body: self.requests.answer_early(peer, codec, body),
            accept=self._accept,
            stamp_bound=stamp_bound,
        )
        self.requests = Requests(self.engine)
        self.notices = Notices(
            self.engine,
            private,
            config.notice_rate,
            self._tell,
            lambda used, told: self.router.refused(used, told),
        )
        self.peerings = Peerings(self.engine, config, slots, self._tell)
        self.mapper = Mapper(
            self.engine,
            private,
            self.peerings,
            self._map_changed,
            sequence=sequence,
            nearest=config.map_size,
        )
        atlas = Atlas(self._own.short)
        self.router = Router(self.engine, self.mapper, atlas, self.notices)
        self.keeper = Keeper(self.engine, self.peerings)
        self.waiters = Waiters(
            self.engine,
            self.keeper,
            self.router.paths,
            lambda peer, timeout, again: self.beyond.resolver.learn(peer, timeout, again),
        )
        self.beyond = Beyond(
            private,
            config,
            self.engine,
            self.mapper,
            atlas,
            self.router,
            self.requests,
            self.waiters,
            self.keeper,
            self.notices,
            self._whose,
            self._accept,
            sequence=sequence,
            state=dht_state,
        )
        self.neighbours = Neighbours(
            self.engine, self.keeper, self.peerings, self.waiters, self._accept
        )
        self.ways = Ways(self._own, self.engine, self.mapper, self.router, self.peerings)
        self.finder = Finder(private, self.engine, self.mapper, self.beyond)
        self.edge = (
            Edge(
                self._own,
                self.engine,
                interface,
                self.waiters,
                self.notices,
                lambda address: self.beyond.resolver.by_address(address, FINDING, program=True),
                self._interface_changed,
            )
            if interface
            else None
        )
        self.pings = Pings(self.engine)
        self.traceroutes = Traceroutes(
            self._own, self.engine, self.notices, self.pings, self.waiters, self.ways
        )
        self._handlers: dict[str, Callable[[PeerID, bytes], object]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._readers: set[asyncio.Queue[NodeEvent | None]] = set()

    def start(self, sockets: list[LocalSocket]) -> None:
        """The sockets are open: packets can go out."""
        self.keeper.sockets = {socket.is_v6: socket for socket in reversed(sockets)}
        self.beyond.start()
        if self.edge:
            self.edge.interface.open(self._own.address, self.edge)

    async def close(self) -> None:
        """Tell the peers, stop everything."""
        if self.edge:
            await self.edge.close()
        await self.beyond.close()
        await self.router.close()
        self.mapper.close()
        await self.keeper.close()
        self.peerings.close()
        now = self.engine.now()
        for session in self.engine.sessions:
            self.engine.sessions.close(session, now)
        self.engine.pump()
        self.engine.close()
        await self.requests.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for queue in self._readers:
            _put(queue, None)

    # Codecs

    def handle(self, codec: str, handler: Callable[[PeerID, bytes], object]) -> None:
        """Give payloads of a codec to a handler."""
        self._handlers[codec] = handler
        self.engine.learn_codec(codec)

    def answer(self, codec: str, answerer: Answerer, *, early: bool) -> None:
        """Answer requests of a codec."""
        if early and inspect.iscoroutinefunction(answerer):
            raise UsageError("an early answer has to be a plain function")
        self.requests.answerers[codec] = answerer
        if early:
            self.requests.early[codec] = answerer  # type: ignore[assignment]

    def deliver_own(self, codec: str, payload: bytes) -> None:
        """Hand a payload to ourselves."""
        self._deliver(self._own, codec, payload)

    # Reaching others

    async def paths_to(self, target: Target, timeout: float) -> tuple[PeerID, list[Path]]:
        """The peer a target names and what it says about the way. Traces bare labels."""
        if isinstance(target, Label):
            peer = await self.notices.trace(target, timeout)
            return peer, [Routed(target)] if target.data else []
        if isinstance(target, NodeAddress):
            return await self.beyond.resolver.by_address(target.packed, timeout), []
        if isinstance(target, PeerID):
            return target, []
        if target.peer is None:
            raise UsageError(f"{target} does not say whom to expect there: add /rovy/<peer id>")
        return target.peer, await self.keeper.paths(target)

    async def request(self, peer: PeerID, codec: str, payload: bytes, timeout: float) -> bytes:
        """See `Node.request`."""
        if peer == self._own:
            answer = self.requests.answer_early(peer, codec, payload)
            if answer is None:
                raise Unreachable("unknown codec", f"nothing here answers {codec} at once")
            return unpack(answer[0], answer[1:], peer)
        deadline = self.engine.now() + timeout
        early = await self.waiters.ask_early(peer, codec, payload, timeout)
        if early is not None:
            return unpack(early[0], early[1:], peer)
        session = await self.waiters.open(peer, [], deadline - self.engine.now())
        return await self.requests.request(session, codec, payload, deadline - self.engine.now())

    async def ping(self, target: Target, size: int, timeout: float) -> Pong:
        """See `Node.ping`."""
        peer, paths = await self.paths_to(target, timeout)
        if peer == self._own:
            return Pong(peer, 0.0, None, size)
        session = await self.waiters.open(peer, paths, timeout)
        way = paths[0] if isinstance(target, Label) and target.hops > 1 else None
        return await self.pings.ping(session, way, size, timeout)

    def keep(self, target: Target, name: str) -> PeerID:
        """See `Node.keep`."""
        if not isinstance(target, Multiaddr | RoutedAddr) or target.peer is None:
            raise UsageError(
                "a peer needs its address and id, such as /ip4/192.0.2.1/udp/1312/rovy/bafz…"
            )
        if target.peer == self._own:
            raise UsageError("that is this node itself")
        self.keeper.keep(target.peer, target, name)
        return target.peer

    def forget(self, peer: PeerID) -> None:
        """See `Node.forget`."""
        self.keeper.forget(peer)
        self._close(peer, "removed")

    def configure(self, config: NodeConfig) -> None:
        """See `Node.reconfigure`."""
        self._config = config
        for peer in config.deny & self.peerings.kept.keys():
            self.keeper.forget(peer)
        for session in self.engine.sessions:
            if not self._accept(session.peer):
                self._close(session.peer, "not accepted")
        self.peerings.configure(config)
        self.notices.limit(config.notice_rate)
        self.engine.sessions.limit(config.limits)

    # Looking

    def session_infos(self) -> list[SessionInfo]:
        """See `Node.sessions`."""
        return [session_info(self.engine, self.peerings, s) for s in self.engine.sessions]

    def stats(self) -> Stats:
        """See `Node.stats`."""
        packets, size = self.engine.dataplane.forwarded()
        return Stats(
            dict(self.engine.dataplane.drops()),
            self.engine.sessions.refused,
            dict(self.notices.sent),
            dict(self.notices.believed),
            dict(self.notices.ignored),
            self.engine.underlay.counters(),
            dict(self.engine.counts),
            packets,
            size,
            dict(self.mapper.flood.counts),
            self.edge.counters() if self.edge else {},
            len(self.engine.sessions),
            len(self.peerings.by_peer),
        )

    def map_info(self) -> MapInfo:
        """See `Node.map`."""
        found = self.mapper.map
        return MapInfo(
            len(found.distance),
            sum(near in found.distance for near, _ in found.links),
            len(found.held),
            sum(held.waits_since is not None for held in found.held.values()),
            found.radius if found.radius < NEVER else None,
        )

    async def resolve(self, target: Target, timeout: float) -> list[RouteInfo]:
        """See `Node.resolve`."""
        peer, paths = await self.paths_to(target, timeout)
        if peer == self._own:
            return []
        await self.waiters.open(peer, paths, timeout)
        return self.ways.to(peer)

    async def traceroute(self, target: Target, timeout: float) -> Traced:
        """See `Node.traceroute`."""
        if isinstance(target, Label):
            return await self.traceroutes.along(target, None, timeout)
        peer, paths = await self.paths_to(target, timeout)
        return await self.traceroutes.to(peer, paths, timeout)

    def own_addresses(self) -> list[Multiaddr]:
        """See `Node.addresses`."""
        return self.keeper.own_addresses(self._own)

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[NodeEvent | None]]:
        """A queue of events; None ends it."""
        queue: asyncio.Queue[NodeEvent | None] = asyncio.Queue(UNREAD)
        self._readers.add(queue)
        try:
            yield queue
        finally:
            self._readers.discard(queue)

    # Hooks

    def on_payload(self, session: Session, codec: str, payload: bytes, path: Path) -> None:
        """See `Hooks`."""
        self._deliver(session.peer, codec, payload)

    def on_control(self, session: Session, message: Control, path: Path, index: int) -> bool:
        """See `Hooks`."""
        match message:
            case ProbeAnswer(token):
                return self.pings.answered(token)
            case Peering():
                self.peerings.on_message(session, message)
                self.mapper.refresh(session.peer)
            case Records() | Summary() | Listing() | Wanted():
                self.mapper.on_message(session, message)
            case BeaconMessage() | Withdrawn() | Gone() | Offered() | Asked():
                self.beyond.anchoring.on_message(session, message)
            case Request():
                self.requests.on_request(session, message)
            case Reply():
                self.requests.on_reply(session, message)
            case _:
                return False
        return True

    def on_action(self, action: Action) -> None:
        """See `Hooks`."""
        match action:
            case Established(number, peer, first):
                self._established(number, peer, first)
            case Closed(number, peer, reason):
                self._closed(number, peer, reason)
            case PathChanged(number, peer, path):
                self._tell("path_changed", peer, str(path) if path else "none")
                session = self.engine.sessions.get(number)
                if session and peer not in self.peerings.by_peer:
                    self.peerings.refresh(session)
                if session and path:
                    self.waiters.opened(session)
            case DirectChanged(number, peer):
                self.mapper.refresh(peer)
                self.keeper.direct_changed(peer)
            case CameIntoUse(number):
                session = self.engine.sessions.get(number)
                if session:
                    self.router.supply(session)
                    self.beyond.exchange.came_into_use(session)
            case PathFailed(number, peer, path, silent):
                session = self.engine.sessions.get(number)
                if session:
                    self.router.failed(session, path, silent=silent)
                    self.beyond.relocator.failed(session)
            case EarlyAnswer(number, answer):
                self.waiters.answered(number, answer)
            case VersionMismatch(peer, version):
                log.warning("%s speaks protocol version %d, we speak 1", peer, version)
                self._tell("version_mismatch", peer, str(version))

    def on_notice(self, notice: Notice, path: Path) -> None:
        """See `Hooks`."""
        self.notices.on_notice(notice, path)

    def on_refused(self, refused: Refused) -> None:
        """See `Hooks`."""
        self.notices.on_refused(refused)

    def on_addresses(self) -> None:
        """See `Hooks`."""
        for session in self.engine.sessions:
            self.keeper.leave_lost_addresses(session)
            self.keeper.spread(session)
        self.neighbours.on_addresses()

    def on_packets(self, packets: list[bytes]) -> None:
        """See `Hooks`."""
        if self.edge:
            self.edge.deliver(packets)

    def on_held(self, held: PacketHeld) -> None:
        """See `Hooks`."""
        if self.edge:
            self.edge.held(held)

    @property
    def sequence(self) -> int:
        """The highest one that records, beacons and locators of this node have used."""
        return max(self.mapper.flood.sequence, self.beyond.sequence)

    # Inside

    def _interface_changed(self, problem: str) -> None:
        self._tell("interface", self._own, problem or "up")

    def _accept(self, peer: PeerID) -> bool:
        if peer in self._config.deny:
            return False
        allow = self._config.allow
        return not allow or peer in allow or peer in self.peerings.kept

    def _close(self, peer: PeerID, reason: str) -> None:
        self.peerings.drop(peer, reason)
        session = self.engine.sessions.with_peer(peer)
        if session:
            self.engine.sessions.close(session, self.engine.now())
            self.engine.pump()

    def _map_changed(self, gone: frozenset[LinkName]) -> None:
        self.router.changed(gone)
        self.beyond.map_changed()

    def _whose(self, address: bytes) -> PeerID | None:
        """The node of an address, 16 bytes, where it is known here."""
        if self._own.address == address:
            return self._own
        known = self.mapper.by_address(address) or self.router.by_address(address)
        peers = (session.peer for session in self.engine.sessions)
        return known or next((peer for peer in peers if peer.address == address), None)

    def _established(self, number: int, peer: PeerID, first: bool) -> None:
        session = self.engine.sessions.get(number)
        if session is None:
            return
        self.keeper.reached(session)
        self.beyond.dht.contact_proved(peer, None)
        if first:
            self._tell("session_established", peer, str(session.path or ""))
        self.peerings.refresh(session)
        self.keeper.spread(session)
        self.waiters.opened(session)

    def _closed(self, number: int, peer: PeerID, reason: str) -> None:
        self.requests.forget(number)
        self.peerings.drop(peer, reason)
        self.router.closed(number)
        self.beyond.exchange.closed(number)
        self._tell("session_closed", peer, reason)
        self.waiters.closed(number, peer, reason)
        self.keeper.lost(peer, reason)

    def _deliver(self, peer: PeerID, codec: str, payload: bytes) -> None:
        handler = self._handlers.get(codec)
        if handler is None:
            self.engine.counts["no handler"] += 1
            return
        try:
            result = handler(peer, payload)
        except Exception:
            log.exception("the handler of %s failed", codec)
            return
        if inspect.isawaitable(result):
            self._spawn(codec, result)

    def _spawn(self, codec: str, work: Awaitable[object]) -> None:
        if len(self._tasks) >= UNREAD:
            self.engine.counts["handlers busy"] += 1
            if inspect.iscoroutine(work):
                work.close()
            return
        task = asyncio.create_task(_run(codec, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self, kind: str, peer: PeerID, detail: str) -> None:
        if kind in ("peering_up", "peering_down"):
            self.mapper.refresh(peer)
        event = NodeEvent(kind, peer, detail)  # type: ignore[arg-type]
        log.info("%s %s %s", kind, peer, detail)
        for queue in self._readers:
            _put(queue, event)


async def _run(codec: str, work: Awaitable[object]) -> None:
    try:
        await work
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("the handler of %s failed", codec)


def _put(queue: asyncio.Queue[NodeEvent | None], event: NodeEvent | None) -> None:
    """Add an event; the oldest gives way."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)
