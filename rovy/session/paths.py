"""The paths of one session: which work, how well, which carries the data. docs/protocol/paths.md

Nothing here sends: methods return the probes to be sent, as (path, token) pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from rovy.address.path import Direct, Path, Routed
from rovy.session.const import (
    ACTIVE_PROBE,
    CANDIDATES,
    DEFAULT_RTT,
    HOP_COST,
    HYSTERESIS,
    HYSTERESIS_FLOOR,
    MISSES,
    OTHER_PROBE,
    PACKET_GAP,
    PATHS,
    SILENCE,
    WARM_PROBE,
)
from rovy.session.mtu import PROBE as CHALLENGE
from rovy.session.mtu import MtuSearch, floor

TOKENS = 32
RECENT = 8
"""Round trips that are remembered."""
LONGEST_RTT = 2.0
"""Seconds that an RTT is assumed to have at most."""
Asked = tuple[Path, bytes, int]
"""A path, and the token and padding (bytes) of the probe to send on it."""


@dataclass(slots=True, eq=False)
class PathState:
    """One path and what is known of it."""

    path: Path
    since: float
    """When it was first heard of."""
    search: MtuSearch
    valid: bool = False
    """Whether a token sent there was answered there."""
    roamed: bool = False
    """Whether it was learned from the peer's own packets."""
    suspect: bool = False
    """Whether it left traffic unanswered since."""
    rtt: float | None = None
    assumed: float = DEFAULT_RTT
    """What stands for `rtt` before it was measured, seconds."""
    spread: float = 0.0
    """How far measured round trips lie from `rtt`, a moving average; seconds."""
    recent: tuple[float, ...] = ()
    """The last round trips, at most 8."""
    jitter: float = 0.0
    """How far they lie from the one before, likewise."""
    answered_at: float = 0.0
    """When a token came back."""
    loss: float = 0.0
    """Share of probes that stayed unanswered, a moving average."""
    misses: int = 0
    next_probe: float = 0.0
    pending: dict[bytes, float] = field(default_factory=dict)
    """Tokens under way and when they were sent; at most 32."""
    spent: int = 0
    """Bytes of challenges that packets from there have paid for."""

    @property
    def proven(self) -> bool:
        """Whether it works, or somebody we believe named it; not only that packets came by it."""
        return self.valid or not self.roamed

    @property
    def mtu(self) -> int:
        """Largest datagram it is known to carry, bytes."""
        return self.search.mtu

    @property
    def round_trip(self) -> float:
        """The RTT, or what stands for it before it was measured."""
        return self.rtt if self.rtt is not None else self.assumed

    @property
    def quickest(self) -> float | None:
        """The least of the last round trips: what the way takes when nobody was busy."""
        return min(self.recent, default=None)

    @property
    def first_doubt(self) -> float:
        """How long traffic may stay unanswered before a probe asks why."""
        return (self._silence - self.round_trip) / 2

    @property
    def patience(self) -> float:
        """How long traffic may stay unanswered before the path counts as silent.

        After a cut half a round trip's worth of packets still arrives, and a packet has to be
        sent to be missed: with these the cut has lasted max(SILENCE, 3 RTT).
        """
        return max(self._silence - PACKET_GAP, 3 * self.round_trip) - self.round_trip / 2

    @property
    def repeat(self) -> float:
        """Wait before an unanswered probe is repeated; doubled each time until one was answered.

        Otherwise a path longer than 4 such waits would be given up before its first answer.
        """
        wait = max(SILENCE, 2 * self.round_trip)
        return wait * 2 ** min(self.misses, MISSES) if self.rtt is None else wait

    @property
    def cost(self) -> float:
        """Seconds; lower is better."""
        hops = self.path.label.hops if isinstance(self.path, Routed) else 1
        return self.round_trip * (1 + 10 * self.loss) + hops * HOP_COST

    @property
    def _silence(self) -> float:
        return max(SILENCE, 3 * self.round_trip, self.round_trip + 4 * self.spread)

    def answered(self, token: bytes, now: float) -> bool:
        """Take a token that came back; False where it is not one of ours."""
        sent = self.pending.pop(token, None)
        if sent is None:
            return False
        for lost in [t for t, at in self.pending.items() if at <= sent]:
            del self.pending[lost]
        self.sample(now - sent)
        self.answered_at = now
        self.loss *= 0.9
        self.misses = 0
        self.valid, self.suspect = True, False
        return True

    def sample(self, rtt: float) -> None:
        """Add a measured round trip, seconds (RFC 6298's smoothing, a plain mean at first)."""
        before = self.recent[-1] if self.recent else rtt
        self.recent = (*self.recent, rtt)[-RECENT:]
        if self.rtt is None:
            self.rtt = rtt
        self.spread += (abs(rtt - self.rtt) - self.spread) / 4
        self.jitter += (abs(rtt - before) - self.jitter) / 4
        self.rtt += (rtt - self.rtt) / len(self.recent)


class PathSet:
    """At most 3 unproved and 8 proved paths, one of them active, one warm."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self.states: dict[Path, PathState] = {}
        self.active: PathState | None = None
        self.warm: PathState | None = None

    @property
    def direct(self) -> PathState | None:
        """The best proved direct path, which carries forward packets."""
        if self.active and isinstance(self.active.path, Direct) and not self.active.suspect:
            return self.active
        direct = [s for s in self._usable() if isinstance(s.path, Direct)]
        return min(direct, key=lambda state: state.cost, default=None)

    def proved(self, path: Path, now: float, took: float) -> PathState:
        """A handshake proved the path, and took so many seconds, repetition included."""
        state = self.states.get(path) or self._insert(path, now)
        state.assumed = max(state.assumed, min(took, LONGEST_RTT))
        state.valid, state.suspect, state.misses = True, False, 0
        return state

    def challenge(self, path: Path, now: float, *, roamed: bool = False) -> list[Asked]:
        """Try a path that is not proved: it carries data once it answered.

        `roamed`: the peer's newest packet came from there, rather than that we had the idea. Of
        routes found so no more are tried at a time than there is room for: two nodes that each
        gave up the oldest for the newest would find them again without end.
        """
        state = self.states.get(path)
        if state is None:
            unproved = [s for s in self.states.values() if not s.valid]
            if len(unproved) >= CANDIDATES and roamed and isinstance(path, Routed):
                return []
            if len(unproved) >= CANDIDATES:
                self.forget(min(unproved, key=lambda s: s.since).path)
            state = self._insert(path, now)
            state.roamed = True
        state.roamed = state.roamed and roamed
        return [] if state.valid or state.pending else [self.probe(state, now)]

    def probe(self, state: PathState, now: float) -> Asked:
        """A new token for a path."""
        if len(state.pending) >= TOKENS:
            del state.pending[next(iter(state.pending))]
        token = self._random(8)
        state.pending[token] = now
        state.next_probe = now + state.repeat
        return state.path, token, 0

    def answered(self, path: Path, token: bytes, now: float, heard: float) -> bool:
        """A token came back on `path`; `heard`: when the active path last brought a packet.

        A direct path the peer was seen on replaces an active one that has been silent since: it
        moved. Over a route it may only try whether that works.
        """
        state = self._asked(path, token)
        if state and state.search.answered(token):
            return True
        first = state is not None and not state.valid
        if state is None or not state.answered(token, now):
            return False
        if first and state.roamed and isinstance(path, Direct) and heard <= state.since:
            if self.active:
                self.active.suspect = True
            self.active = state
        self.choose()
        state.next_probe = now + self._interval(state)
        return True

    def choose(self) -> bool:
        """Pick the active and the warm path; True where the active one changed."""
        ranked = sorted(self._usable(), key=lambda state: state.cost)
        before = self.active
        if before is None or before not in ranked:
            fallback = before if before and before.path in self.states else None
            self.active = ranked[0] if ranked else fallback
        elif self._much_better(ranked[0], before):
            self.active = ranked[0]
        others = [state for state in ranked if state is not self.active]
        self.warm = others[0] if others else None
        return self.active is not before

    def silent(self, state: PathState) -> None:
        """Traffic on a path stayed unanswered."""
        state.suspect = True

    def forget(self, path: Path) -> None:
        """Drop a path."""
        state = self.states.pop(path, None)
        if state and state is self.active:
            self.active = None
        if state and state is self.warm:
            self.warm = None

    def due(
        self, now: float, kept: bool, came: Callable[[Path], int]
    ) -> tuple[list[Asked], list[PathState]]:
        """Probes to send now, and paths that are dead. `came`: bytes that came by a path.

        Who repeats the peer's packets from elsewhere gets no more bytes than those had.
        """
        asked: list[Asked] = []
        dead: list[PathState] = []
        for state in list(self.states.values()):
            if kept and state.valid and now >= state.search.due:
                asked += self._search(state, now, came(state.path))
            if now < state.next_probe or not (kept or state.pending):
                continue
            if state.pending:
                state.misses += 1
                state.loss += (1 - state.loss) * 0.1
            if state.misses >= MISSES:
                dead.append(state)
            elif state.proven or came(state.path) >= state.spent + CHALLENGE:
                state.spent += CHALLENGE
                asked.append(self.probe(state, now))
            else:
                state.next_probe = now + state.repeat
        return asked, dead

    def _search(self, state: PathState, now: float, came: int) -> list[Asked]:
        """Probes for the MTU; beside a repeated one a short one, which tells size from path."""
        repeated = state.search.unconfirmed
        probes = state.search.probes(self._random, now, came, state.answered_at, state.repeat)
        asked = [(state.path, token, padding) for token, padding in probes]
        return [*asked, self.probe(state, now)] if asked and repeated else asked

    def next_due(self, kept: bool) -> float:
        """When `due` has something to do; infinity where it never has."""
        times = [s.next_probe for s in self.states.values() if kept or s.pending]
        times += [s.search.due for s in self.states.values() if kept and s.valid]
        return min(times, default=float("inf"))

    def _asked(self, path: Path, token: bytes) -> PathState | None:
        """The path a token was sent on: the one it came by or, if that is not proved, another.

        So who sends packets on from elsewhere, faster than they come themselves, cannot make the
        path they were meant to come by look dead.
        """
        state = self.states.get(path)
        if state and (state.valid or token in state.pending):
            return state
        proved = (s for s in self.states.values() if s.valid and token in s.pending)
        return next(proved, None)

    def _much_better(self, state: PathState, than: PathState) -> bool:
        """Whether changing is worth it: not for what chance alone may have measured."""
        margin = HYSTERESIS_FLOOR + state.jitter + than.jitter
        return state.cost < than.cost * HYSTERESIS - margin

    def _usable(self) -> list[PathState]:
        return [s for s in self.states.values() if s.valid and not s.suspect]

    def _interval(self, state: PathState) -> float:
        if state is self.active:
            return ACTIVE_PROBE
        return WARM_PROBE if state is self.warm else OTHER_PROBE

    def _insert(self, path: Path, now: float) -> PathState:
        if len(self.states) >= PATHS:
            idle = [s for s in self.states.values() if s is not self.active and s is not self.warm]
            self.forget(max(idle, key=lambda s: (s.suspect, s.cost)).path)
        state = PathState(path, now, MtuSearch(path, floor(path)), next_probe=now)
        self.states[path] = state
        return state
