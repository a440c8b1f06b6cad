"""What asking, answering and upkeep share: the table of sessions and the way out."""

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappush

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.path import Direct, Path
from rovy.errors import UsageError
from rovy.session.const import ANNOUNCE, OVERLAP, SESSIONS
from rovy.session.events import (
    Action,
    Closed,
    Closing,
    DirectChanged,
    EarlyAnswer,
    Established,
    PathChanged,
    Tables,
    Tell,
)
from rovy.session.guard import Admitted, Guard
from rovy.session.keys import Keys
from rovy.session.paths import Asked, PathSet
from rovy.session.session import NEVER, Session
from rovy.session.stamps import StampClock
from rovy.session.state import Event, State
from rovy.wire.control import Bye, Codecs, Probe
from rovy.wire.payload import FORWARD, IP6, Payload

RECEIVE_MTU = 65507
OWN_CODECS = 3
"""`forward`, `piece`, `ip6`, where they are in the table."""
_TICK = 0.001


class Core:
    """State that belongs to no single session."""

    def __init__(
        self,
        private: PrivateKey,
        tables: Tables,
        guard: Guard,
        stamps: StampClock,
        random: Callable[[int], bytes],
        codecs: Sequence[str],
    ) -> None:
        self.private, self.tables, self.guard = private, tables, guard
        self.stamps, self.random = stamps, random
        self.codecs: tuple[str, ...] = tuple(codecs)
        self.sessions: dict[int, Session] = {}
        self.by_peer: dict[PeerID, Session] = {}
        self.pending: dict[int, Session] = {}
        """Sessions by the index of their open hello."""
        self.answered: dict[bytes, Session] = {}
        """Sessions by digest of the hello that their unconfirmed keys answer."""
        self.deferred: dict[bytes, Session] = {}
        """Sessions by digest of the peer's hello that they hold back."""
        self.strangers: set[int] = set()
        """Sessions that others opened and nobody here asked for."""
        self.openers: dict[int, Session] = {}
        self.out: list[Action] = []
        self.heap: list[tuple[float, int]] = []
        self._by_path: dict[Path, set[int]] = {}
        self._last = 0

    def add(self, peer: PeerID, psk: bytes, now: float) -> Session | None:
        """A new session; None where 65,536 are open and none of them is idle."""
        if len(self.sessions) >= SESSIONS and not self._make_room():
            return None
        self._last += 1
        session = Session(self._last, peer, psk, PathSet(self.random), now)
        self.sessions[session.id] = self.by_peer[peer] = session
        self.tables.add_session(session.id, peer.address)
        return session

    def close(self, session: Session, reason: str) -> None:
        """Forget a session and its keys."""
        if session.state is not State.CLOSED:
            session.happened(Event.CLOSED)
        self.drop_opening(session)
        self.drop_fresh(session)
        for keys in [*session.old, *([session.current] if session.current else [])]:
            self.drop_keys(keys)
        session.old.clear()
        session.current = None
        for path in session.known:
            self._unlist(session, path)
        self.strangers.discard(session.id)
        del self.sessions[session.id], self.by_peer[session.peer]
        self.tables.remove_session(session.id)
        self.out.append(Closed(session.id, session.peer, reason))

    def closing(self, session: Session, reason: str) -> None:
        """Tell the peer, then close: sealing the message needs the session's keys."""
        if session.sending:
            self.out.append(Tell(session.id, Bye()))
        self.out.append(Closing(session.id, reason))

    def by_path(self, path: Path) -> list[Session]:
        """The sessions that have a path."""
        return [self.sessions[number] for number in self._by_path.get(path, ())]

    def index(self) -> int:
        """A receiver index not in use, not guessable."""
        while True:
            index = int.from_bytes(self.random(4), "big")
            if index not in self.openers and index not in self.pending:
                return index

    def add_keys(
        self, session: Session, keys: Keys, opening: bytearray, *, confirmed: bool
    ) -> None:
        """Open packets with new keys."""
        self.openers[keys.index] = session
        self.tables.add_opener(session.id, keys.index, opening, confirmed=confirmed)

    def drop_keys(self, keys: Keys) -> None:
        """Open nothing with these any more; their bytes are gone with the tables' copy."""
        self.openers.pop(keys.index, None)
        self.tables.remove_opener(keys.index)
        if keys.sealing:
            keys.sealing[:] = bytes(len(keys.sealing))

    def drop_opening(self, session: Session) -> None:
        """Forget our open hello."""
        if session.opening:
            self.pending.pop(session.opening.index, None)
            if session.opening.request:
                self.out.append(EarlyAnswer(session.id, None))
        session.opening = None
        self.undefer(session)

    def defer(self, session: Session, admitted: Admitted, digest: bytes, path: Path) -> None:
        """Hold the peer's hello back until ours had its chance."""
        self.undefer(session)
        session.deferred = (admitted, digest, path)
        self.deferred[digest] = session

    def undefer(self, session: Session) -> None:
        """Forget the hello we held back."""
        if session.deferred:
            self.deferred.pop(session.deferred[1], None)
        session.deferred = None

    def drop_fresh(self, session: Session) -> None:
        """Forget unconfirmed keys."""
        if session.fresh:
            self.answered.pop(session.fresh.hello, None)
            self.drop_keys(session.fresh)
        session.fresh = None

    def adopt(self, session: Session, keys: Keys, sealing: bytearray, now: float) -> None:
        """Send with these keys from now on; the former ones open for 5 s more."""
        first = session.current is None
        if session.current:
            session.current.expires = now + OVERLAP
            session.old.append(session.current)
        session.current = keys
        session.silent_since = 0.0
        forward = keys.codec(FORWARD) or 0
        self.tables.set_sealer(session.id, keys.receiver, sealing, forward)
        self.tables.set_ip6(session.id, keys.codec(IP6) or 0)
        self.out.append(Established(session.id, session.peer, first))
        session.announced, session.announce_at = 0, NEVER
        if keys.told != self.codecs:
            self.announce(session, now)

    def announce(self, session: Session, now: float) -> None:
        """Tell the peer our table of codecs, since its handshake did not: some times, for loss."""
        self.out.append(Tell(session.id, Codecs(self.codecs)))
        left = ANNOUNCE[session.announced : session.announced + 1]
        session.announce_at = now + left[0] if left else NEVER
        session.announced += 1

    def payload(self, room: int, **parts: object) -> Payload:
        """Our side of a handshake payload, with as much of the table as `room` bytes hold.

        Our own codecs and what else is asked for are always in it.
        """
        names = self.codecs
        while True:
            payload = Payload(names, RECEIVE_MTU, **parts)  # type: ignore[arg-type]
            if len(names) <= OWN_CODECS or len(payload.emit()) <= room:
                return payload
            names = names[:-1]

    def ask(self, session: Session, probes: Iterable[Asked]) -> None:
        """Send probes."""
        for path, token, padding in probes:
            self.out.append(Tell(session.id, Probe(token, padding), path))

    def sync(self, session: Session, now: float) -> None:
        """Bring the tables up to date with the session's paths, and set its timer."""
        session.paths.choose()
        self._sync_known(session)
        active, direct = session.paths.active, session.paths.direct
        path, mtu = (active.path, active.mtu) if active else (None, 0)
        if (path, mtu) != (session.path, session.mtu):
            changed, session.path, session.mtu = path != session.path, path, mtu
            self.tables.set_path(session.id, path, mtu)
            if changed:
                self.out.append(PathChanged(session.id, session.peer, path))
        out = (direct.path, direct.mtu) if direct and isinstance(direct.path, Direct) else None
        if out != session.direct:
            session.direct = out
            self.tables.set_direct(session.id, *(out or (None, 0)))
            self.out.append(DirectChanged(session.id, session.peer))
        self.schedule(session, now)

    def schedule(self, session: Session, now: float) -> None:
        """Wake the session at the earliest of its times."""
        wake = max(session.next_wake(now), now + _TICK)
        if wake == session.wake:
            return
        session.wake = wake
        if wake < NEVER:
            heappush(self.heap, (wake, session.id))
        if len(self.heap) > 64 + 8 * len(self.sessions):
            self.heap = [(s.wake, s.id) for s in self.sessions.values() if s.wake < NEVER]
            heapify(self.heap)

    def of(self, number: int) -> Session:
        """A session by its number. Raises `UsageError` where there is none."""
        session = self.sessions.get(number)
        if session is None:
            raise UsageError(f"no session {number}")
        return session

    def _sync_known(self, session: Session) -> None:
        wanted: set[Path] = set(session.paths.states)
        for path in session.known - wanted:
            self.tables.remove_path(session.id, path)
            self._unlist(session, path)
        for path in wanted - session.known:
            self.tables.add_path(session.id, path)
            self._by_path.setdefault(path, set()).add(session.id)
        session.known = wanted

    def _unlist(self, session: Session, path: Path) -> None:
        users = self._by_path.get(path, set())
        users.discard(session.id)
        if not users:
            self._by_path.pop(path, None)

    def _make_room(self) -> bool:
        """Close the session unused for longest, if it is not kept and carries nothing."""
        idle = [s for s in self.sessions.values() if not s.kept and not s.sending]
        if not idle:
            return False
        self.close(min(idle, key=lambda s: max(s.used_at, s.created)), "displaced")
        return True
