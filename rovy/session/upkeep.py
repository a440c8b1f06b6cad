"""What happens to open sessions: probes, failover, roaming, rekeying, expiry.

docs/protocol/paths.md, docs/protocol/sessions.md
"""

from rovy.address.path import Path, Routed
from rovy.session.answering import Answering
from rovy.session.asking import Asking
from rovy.session.const import REFUSE_AFTER, REKEY_AFTER_MESSAGES, RESTART
from rovy.session.core import Core
from rovy.session.events import PathFailed
from rovy.session.mtu import PROBE as CHALLENGE
from rovy.session.session import NEVER, Session
from rovy.session.state import ASKING, Event, State


def is_own_peering(path: Path) -> bool:
    """A label of one hop leads over the peering with that very node: its session does without."""
    return isinstance(path, Routed) and path.label.hops <= 1


class Upkeep:
    """Keeps sessions alive. One instance a node; state lives in the sessions."""

    def __init__(self, core: Core, asking: Asking, answering: Answering) -> None:
        self._core, self._asking, self._answering = core, asking, answering

    def path_seen(self, session: Session, path: Path, size: int, now: float) -> None:
        """The newest packet came by an unknown path: ask there whether it is the peer."""
        if size < CHALLENGE or not session.sending or is_own_peering(path):
            return
        self._core.ask(session, session.paths.challenge(path, now, roamed=True))
        self._core.sync(session, now)

    def probe_answered(self, session: Session, path: Path, token: bytes, now: float) -> None:
        """A token came back."""
        active = session.paths.active
        heard = self._heard(session, active.path) if active else 0.0
        if session.paths.answered(path, token, now, heard):
            session.silent_since = 0.0
            self._core.sync(session, now)

    def watch(self, session: Session, now: float) -> None:
        """A packet went out that waits for an answer."""
        active = session.paths.active
        session.watch_at = now + (active.first_doubt if active else RESTART)
        self._core.schedule(session, now)

    def path_down(self, session: Session, path: Path, now: float) -> None:
        """Sending on a path failed at once: use another, and look whether it comes back."""
        state = session.paths.states.get(path)
        if state is None or state.suspect:
            return
        session.paths.silent(state)
        self._core.out.append(PathFailed(session.id, session.peer, path, silent=False))
        self._core.ask(session, [session.paths.probe(state, now)])
        self._probe_all(session, now)
        self._core.sync(session, now)

    def run(self, session: Session, now: float) -> None:
        """Do all that is due."""
        session.wake = NEVER
        session.pieces.expire(now)
        if not self._handshakes(session, now) or not self._keys(session, now):
            return
        if now >= session.watch_at:
            self._check_watch(session, now)
        if now >= session.announce_at:
            self._core.announce(session, now)
        tables = self._core.tables
        asked, dead = session.paths.due(
            now,
            session.probing(now),
            lambda path: tables.path_traffic(session.id, path).bytes_received,
        )
        self._core.ask(session, asked)
        for state in dead:
            session.paths.forget(state.path)
            if state.proven:
                session.hint(state.path)
            if state.valid and not state.suspect:
                self._core.out.append(PathFailed(session.id, session.peer, state.path, silent=True))
        if dead and not session.paths.states and session.probing(now):
            self._asking.open(session, now)
        self._core.sync(session, now)

    def _handshakes(self, session: Session, now: float) -> bool:
        """Retries and their end; False where the session is over."""
        core, opening = self._core, session.opening
        if session.fresh and now >= session.fresh.expires:
            core.drop_fresh(session)
            session.happened(Event.GAVE_UP)
            if opening:
                session.happened(Event.ASKED)
        if opening and now >= opening.retry_at:
            if self._answering.answer_deferred(session, now):
                return True
            if not self._asking.retry(session, now):
                return self._give_up(session, now)
        idle = now - max(session.used_at, session.created) >= session.idle
        unasked = not session.kept and session.state not in ASKING
        if (idle and unasked) or (session.state is State.IDLE and not session.kept):
            if session.sending:
                core.closing(session, "idle")
            else:
                core.close(session, "timeout")
            return False
        if session.state is State.IDLE and session.kept:
            self._asking.open(session, now)
        return True

    def _give_up(self, session: Session, now: float) -> bool:
        self._core.drop_opening(session)
        if session.state in ASKING:
            session.happened(Event.GAVE_UP)
        if session.state is State.CLOSED:
            self._core.close(session, "timeout")
        return session.state is not State.CLOSED

    def _keys(self, session: Session, now: float) -> bool:
        """Rekey and expiry; False where the session is over."""
        core = self._core
        for keys in [keys for keys in session.old if now >= keys.expires]:
            session.old.remove(keys)
            core.drop_keys(keys)
        current = session.current
        if current is None:
            return True
        if now >= current.created + REFUSE_AFTER:
            core.drop_keys(current)
            core.tables.clear_sealer(session.id)
            session.current = None
            session.happened(Event.EXPIRED)
            if session.state is State.IDLE and not session.kept:
                core.close(session, "expired")
                return False
            if session.state is State.IDLE:
                self._asking.open(session, now)
        elif self._rekey_due(session, now):
            self._asking.open(session, now)
        return True

    def _rekey_due(self, session: Session, now: float) -> bool:
        current = session.current
        if current is None or session.opening or session.fresh:
            return False
        if self._core.tables.traffic(session.id).counter >= REKEY_AFTER_MESSAGES:
            return True
        in_use = session.kept or session.used_at > current.created
        return in_use and now >= session.rekey_at()

    def _check_watch(self, session: Session, now: float) -> None:
        """Look whether the active path answered; probe it, then leave it."""
        core, active = self._core, session.paths.active
        since = core.tables.waiting(session.id)
        session.watch_at = NEVER
        if active is None or not since or not session.sending:
            core.tables.unwatch(session.id)
            session.silent_since = 0.0
            return
        since = max(since, active.answered_at)
        doubt, end = since + active.first_doubt, since + active.patience
        spare = end - doubt - active.round_trip
        if now < doubt:
            session.watch_at = doubt
        elif now < end:
            active.search.doubt(now)
            if now + active.round_trip < end:
                core.ask(session, [session.paths.probe(active, now)])
            session.watch_at = min(end, now + 0.4 * spare)
        else:
            self._silent(session, now)

    def _silent(self, session: Session, now: float) -> None:
        """The active path is silent: fail over, and after 3 s on all paths start anew."""
        core, active = self._core, session.paths.active
        assert active is not None
        session.silent_since = session.silent_since or now
        if not active.suspect:
            self._core.out.append(PathFailed(session.id, session.peer, active.path, silent=True))
        session.paths.silent(active)
        self._probe_all(session, now)
        core.sync(session, now)
        core.tables.unwatch(session.id)
        if session.paths.active is active:
            restart = session.silent_since + RESTART - active.patience
            session.watch_at = now + active.repeat
            if now >= restart:
                self._asking.open(session, now)
            else:
                session.watch_at = min(session.watch_at, restart)

    def _probe_all(self, session: Session, now: float) -> None:
        paths = session.paths
        for state in list(paths.states.values()):
            if state.proven and len(state.pending) < 2:
                self._core.ask(session, [paths.probe(state, now)])

    def _heard(self, session: Session, path: Path) -> float:
        return self._core.tables.path_traffic(session.id, path).received_at
