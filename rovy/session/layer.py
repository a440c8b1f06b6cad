"""The sessions of one node: what the node sees of them.

Inputs are methods; what comes of them is appended to `out` and pulled by the node. Keys and
paths go straight into the tables (the data plane). docs/protocol/sessions.md
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.path import Direct, Path
from rovy.errors import Malformed, UsageError
from rovy.noise.handshake import NO_PSK
from rovy.session.answering import Answering, EarlyHandler
from rovy.session.asking import Asking
from rovy.session.core import Core
from rovy.session.events import Action, CameIntoUse, Send, Tables, Tell
from rovy.session.guard import Guard, Limits
from rovy.session.mtu import floor
from rovy.session.session import NEVER, Session
from rovy.session.stamps import StampClock
from rovy.session.upkeep import Upkeep, is_own_peering
from rovy.wire.control import Bye, Codecs, Control, Probe, ProbeAnswer
from rovy.wire.datagram import CookieReply, Hello, Response, Type
from rovy.wire.payload import IP6, Early


class SessionLayer:
    """All sessions of a node. `now` is the caller's clock, seconds, larger than 0."""

    def __init__(
        self,
        private: PrivateKey,
        tables: Tables,
        codecs: Sequence[str],
        *,
        now: float,
        wall: Callable[[], float],
        random: Callable[[int], bytes],
        psks: Sequence[bytes] = (NO_PSK,),
        limits: Limits | None = None,
        stamp_bound: int = 0,
        early: EarlyHandler = lambda peer, codec, body: None,
        accept: Callable[[PeerID], bool] = lambda peer: True,
    ) -> None:
        self._psk = psks[0]
        guard = Guard(private, psks, random, limits or Limits(), now)
        self._core = Core(private, tables, guard, StampClock(wall, stamp_bound), random, codecs)
        self._asking = Asking(self._core)
        self._answering = Answering(self._core, self._asking, early, accept)
        self._upkeep = Upkeep(self._core, self._asking, self._answering)

    @property
    def stamp_bound(self) -> int:
        """What has to be written down before more hellos go out; nanoseconds."""
        return self._core.stamps.bound

    @property
    def refused(self) -> dict[str, int]:
        """Handshakes turned away, by reason."""
        return dict(self._core.guard.refused)

    def limit(self, limits: Limits) -> None:
        """Other limits for handshakes from now on."""
        self._core.guard.limit(limits)

    def pull(self) -> list[Action]:
        """What has to be done now, in order; each is given once."""
        out, self._core.out = self._core.out, []
        return out

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._core.sessions.values()))

    def __len__(self) -> int:
        return len(self._core.sessions)

    def get(self, session: int) -> Session | None:
        """A session by number."""
        return self._core.sessions.get(session)

    def with_peer(self, peer: PeerID) -> Session | None:
        """The session with a peer."""
        return self._core.by_peer.get(peer)

    def connect(
        self,
        peer: PeerID,
        paths: Sequence[Path],
        now: float,
        *,
        psk: bytes | None = None,
        kept: bool = False,
        request: Early | None = None,
    ) -> Session:
        """Open a session, or add paths to the one there is. Raises `UsageError` when full.

        `psk` None: in the first of the node's networks.
        """
        if peer == self._core.private.peer_id:
            raise UsageError("a node has no session with itself")
        session = self._core.by_peer.get(peer) or self._core.add(peer, psk or self._psk, now)
        if session is None:
            raise UsageError("too many sessions are open")
        session.kept = session.kept or kept
        self._core.strangers.discard(session.id)
        paths = [path for path in paths if not is_own_peering(path)]
        for path in paths:
            session.hint(path)
        if session.sending:
            if not session.paths.states and session.hints:
                self._asking.open(session, now, request)
            for path in paths:
                self._core.ask(session, session.paths.challenge(path, now))
        elif session.opening:
            for path in paths:
                self._asking.send_on(session, path, now)
        elif session.reach():
            self._asking.open(session, now, request)
        self._core.sync(session, now)
        return session

    def uses(self, path: Path) -> bool:
        """Whether a session has that path."""
        return bool(self._core.by_path(path))

    def try_path(self, session: Session, path: Path, now: float, *, mtu: int = 0) -> None:
        """Ask on a path whether it leads to the session's peer; it then joins the others.

        `mtu`: bytes of the largest datagram it should carry, where somebody says so.
        """
        if session.sending:
            self._core.ask(session, session.paths.challenge(path, now))
            state = session.paths.states.get(path)
            if state and mtu and not state.search.began:
                state.search.expected = mtu
            self._core.sync(session, now)

    def drop_path(self, session: Session, path: Path, now: float) -> None:
        """Use a path no longer, nor try it again."""
        session.hints.pop(path, None)
        session.paths.forget(path)
        self._core.sync(session, now)

    def probe(self, session: Session, path: Path, now: float) -> None:
        """Measure a path now."""
        state = session.paths.states.get(path)
        if state:
            self._core.ask(session, [session.paths.probe(state, now)])
            self._core.schedule(session, now)

    def limit_mtu(self, session: Session, path: Path, mtu: int, now: float) -> None:
        """A path turned out to carry no more than `mtu` bytes."""
        state = session.paths.states.get(path)
        if state and mtu < state.mtu:
            state.search.limit(mtu, now)
            self._core.sync(session, now)

    def close(self, session: Session, now: float) -> None:
        """Tell the peer and forget the session."""
        self._core.closing(session, "closed")

    def finish(self, session: int, reason: str) -> None:
        """The node has sealed what was to be told before: forget the session."""
        found = self.get(session)
        if found:
            self._core.close(found, reason)

    def used(self, session: Session, now: float) -> None:
        """It carried a payload of its user's: it stays open for a while longer."""
        if session.sending and not session.paths.states:
            self._asking.open(session, now)
        fresh = now - session.used_at > 1.0
        if session.sending and not session.in_use(now):
            self._core.out.append(CameIntoUse(session.id))
        session.used_at = now
        if fresh:
            self._core.schedule(session, now)

    def announce(self, codecs: Sequence[str], now: float) -> None:
        """The table of codecs has grown at its end: tell every open session."""
        self._core.codecs = tuple(codecs)
        for session in self:
            if session.sending:
                session.announced = 0
                self._core.announce(session, now)
                self._core.schedule(session, now)

    # From the network

    def on_handshake(self, datagram: bytes, path: Path, now: float) -> None:
        """A hello, response or cookie reply arrived."""
        core = self._core
        try:
            if datagram[0] == Type.HELLO:
                self._answering.on_hello(Hello.parse(datagram), path, now)
            elif datagram[0] == Type.RESPONSE:
                self._on_response(Response.parse(datagram), path, now)
            else:
                self._asking.on_cookie(CookieReply.parse(datagram), path, now)
        except Malformed:
            core.guard.refused["malformed"] += 1

    def on_confirmed(self, session: int, index: int, path: Path, now: float) -> None:
        """The first packet under unconfirmed keys authenticated."""
        found = self.get(session)
        if found and found.fresh and found.fresh.index == index:
            self._answering.confirmed(found, path, now)

    def on_path_seen(self, session: int, path: Path, size: int, now: float) -> None:
        """The newest packet of a session came by a path it does not have."""
        found = self.get(session)
        if found:
            self._upkeep.path_seen(found, path, size, now)

    def on_watch(self, session: int, now: float) -> None:
        """A session sent something that waits for an answer."""
        found = self.get(session)
        if found:
            self._upkeep.watch(found, now)

    def on_path_down(self, session: int, path: Path, now: float) -> None:
        """Sending on a session's path failed."""
        found = self.get(session)
        if found:
            self._upkeep.path_down(found, path, now)

    def on_socket_error(self, path: Direct, now: float) -> None:
        """The kernel refused to send on a direct path: every session that uses it leaves it."""
        for session in self._core.by_path(path):
            self._upkeep.path_down(session, path, now)

    def on_too_big(self, path: Direct, size: int, now: float) -> None:
        """The kernel refused a datagram of a size we thought would pass: look for what does."""
        for session in self._core.by_path(path):
            state = session.paths.states.get(path)
            if state and floor(path) < size <= state.mtu:
                self.limit_mtu(session, path, floor(path), now)

    def on_exhausted(self, session: int, now: float) -> None:
        """A key has no counters left: open anew."""
        found = self.get(session)
        if found:
            self._asking.open(found, now)
            self._core.schedule(found, now)

    def on_control(
        self, session: Session, index: int, message: Control, path: Path, now: float
    ) -> None:
        """A control message that is the session layer's own; others are the node's."""
        if isinstance(message, Probe):
            self._core.out.append(Tell(session.id, ProbeAnswer(message.token), path))
        elif isinstance(message, ProbeAnswer):
            self._upkeep.probe_answered(session, path, message.token, now)
        elif isinstance(message, Bye):
            if session.current and session.current.index == index:
                self._core.close(session, "bye")
        elif isinstance(message, Codecs):
            self._learn_codecs(session, index, message.names)

    # Time

    def next_timer(self) -> float:
        """When `handle_timer` wants to be called; infinity where never."""
        heap, sessions = self._core.heap, self._core.sessions
        while heap:
            at, number = heap[0]
            session = sessions.get(number)
            if session and session.wake == at:
                return at
            heappop(heap)
        return NEVER

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        while self.next_timer() <= now:
            _, number = heappop(self._core.heap)
            self._upkeep.run(self._core.sessions[number], now)

    def _on_response(self, message: Response, path: Path, now: float) -> None:
        """Responses take the same door as hellos, as far as they cost Diffie-Hellman."""
        guard = self._core.guard
        if message.receiver not in self._core.pending:
            guard.refused["response: not asked"] += 1
            return
        if guard.network_of(message) is None:
            return
        demand = guard.demand(message, path, now, known=True)
        if demand is True:
            self._asking.on_response(message, path, now)
        elif demand:
            self._core.out.append(Send(path, demand.emit()))

    def _learn_codecs(self, session: Session, index: int, names: tuple[str, ...]) -> None:
        """Take a longer table of the keys it came under; it may only grow."""
        keys = session.current
        if keys and keys.index == index and names[: len(keys.peer.codecs)] == keys.peer.codecs:
            keys.learn(names)
            self._core.tables.set_ip6(session.id, keys.codec(IP6) or 0)
