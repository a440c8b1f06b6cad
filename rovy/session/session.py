"""One session: its state, keys, paths, and when it next needs attention."""

from dataclasses import dataclass, field

from rovy.address.keys import PeerID
from rovy.address.path import Direct, Path, Routed
from rovy.session.const import HINTS, IDLE, IN_USE, REFUSE_AFTER, REKEY_AFTER, RESPONDER_REKEY
from rovy.session.guard import Admitted
from rovy.session.keys import Keys, Opening
from rovy.session.paths import PathSet
from rovy.session.pieces import Reassembler
from rovy.session.state import ASKING, SENDING, Event, State, advance

NEVER = float("inf")


@dataclass(slots=True, eq=False)
class Session:
    """What a node keeps for one peer."""

    id: int
    peer: PeerID
    psk: bytes
    paths: PathSet
    created: float
    state: State = State.IDLE
    kept: bool = False
    """Whether it is opened again whenever it ends, and its paths probed at rest."""
    idle: float = IDLE
    """Seconds without a payload of its user's after which it ends, unless it is kept."""
    used_at: float = 0.0
    """When it last carried a payload of its user's."""
    hints: dict[Path, None] = field(default_factory=dict)
    """Paths to try a hello on, the newest last; at most 8."""
    cookies: dict[Path, tuple[bytes, float]] = field(default_factory=dict)
    opening: Opening | None = None
    deferred: tuple[Admitted, bytes, Path] | None = None
    """The peer's hello that arrived while ours, of the lower key, was open."""
    current: Keys | None = None
    fresh: Keys | None = None
    """Keys of our response, unconfirmed."""
    old: list[Keys] = field(default_factory=list)
    announced: int = 0
    """How often our grown table of codecs was sent under the current keys."""
    announce_at: float = NEVER
    watch_at: float = NEVER
    silent_since: float = 0.0
    """Since when nothing is heard although something was sent; 0.0: not so."""
    wake: float = NEVER
    pieces: Reassembler = field(default_factory=Reassembler)
    path: Path | None = None
    """The active path as the tables know it."""
    mtu: int = 0
    """Its largest datagram, bytes."""
    direct: tuple[Direct, int] | None = None
    known: set[Path] = field(default_factory=set)
    """The paths the tables know."""

    def happened(self, event: Event) -> None:
        """Move on in the table of states."""
        self.state = advance(self.state, event)

    @property
    def sending(self) -> bool:
        """Whether there are keys to seal with."""
        return self.state in SENDING

    def hint(self, path: Path) -> None:
        """Remember a path to try; the oldest gives way."""
        self.hints.pop(path, None)
        self.hints[path] = None
        while len(self.hints) > HINTS:
            del self.hints[next(iter(self.hints))]

    def cookie(self, path: Path) -> tuple[bytes, float]:
        """The cookie for a path and its time; of a path without local address, the newest."""
        if path in self.cookies:
            return self.cookies[path]
        for other, cookie in reversed(self.cookies.items()):
            if _alike(path, other):
                return cookie
        return b"", 0.0

    def reach(self) -> list[Path]:
        """Paths a hello goes out on: proved ones, then hints, at most 8."""
        paths = [s.path for s in self.paths.states.values() if s.valid]
        taken = [p for p in paths if isinstance(p, Direct)]
        for hint in self.hints:
            same = isinstance(hint, Direct) and any(hint.same_peer_end(p) for p in taken)
            if hint not in paths and not same:
                paths.append(hint)
        return paths[:HINTS]

    def probing(self, now: float) -> bool:
        """Whether its paths are probed though nothing is unanswered."""
        return self.sending and (self.kept or self.in_use(now))

    def in_use(self, now: float) -> bool:
        """Whether it carried a payload of its user's of late."""
        return self.used_at > 0 and now - self.used_at < IN_USE

    def rekey_at(self) -> float:
        """When new keys are due."""
        if self.current is None:
            return NEVER
        return self.current.created + (REKEY_AFTER if self.current.initiator else RESPONDER_REKEY)

    def next_wake(self, now: float) -> float:
        """The earliest of all that it waits for."""
        times = [
            self.watch_at,
            self.announce_at,
            self.pieces.next_expiry,
            *(keys.expires for keys in self.old),
        ]
        if self.opening:
            times.append(self.opening.retry_at)
        if self.fresh:
            times.append(self.fresh.expires)
        if self.current:
            times.append(self.current.created + REFUSE_AFTER)
            if (
                not self.opening
                and not self.fresh
                and (self.kept or self.used_at > self.current.created)
            ):
                times.append(max(self.rekey_at(), now + 0.05))
            times.append(self.paths.next_due(self.probing(now)))
        if not self.kept and self.state not in ASKING:
            times.append(max(self.used_at, self.created) + self.idle)
        return min(times)


def _alike(hint: Path, proved: Path) -> bool:
    """Whether packets for a hint leave as those of a path the peer was heard on do."""
    if isinstance(hint, Direct) and isinstance(proved, Direct):
        return not hint.local and hint.same_peer_end(proved)
    if isinstance(hint, Routed) and isinstance(proved, Routed):
        return hint.label.slots == proved.label.slots
    return False
