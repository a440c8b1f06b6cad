"""Joins data plane, sessions and underlay: packets in, packets out, timers. No waiting here.

Every input ends in `_pump`, which carries out what the layers below gave back until nothing is
left, and sets the timer. Higher services hook in through `on_payload`, `on_control`, `on_event`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.path import Direct, Path
from rovy.dataplane import load
from rovy.dataplane.types import (
    Confirmed,
    Event,
    Exhausted,
    Handshake,
    NoticeReceived,
    Output,
    PacketHeld,
    PathDown,
    PathSeen,
    Received,
    Refused,
    Watch,
)
from rovy.errors import Malformed, UsageError
from rovy.io.base import Underlay
from rovy.node.config import NodeConfig
from rovy.session.answering import EarlyHandler
from rovy.session.events import Action, Closing, Send, Tell
from rovy.session.layer import SessionLayer
from rovy.session.session import NEVER, Session
from rovy.wire import control, piece
from rovy.wire.control import Control
from rovy.wire.datagram import DATA_FIXED
from rovy.wire.notice import Notice
from rovy.wire.payload import FORWARD, IP6, MAX_CODECS, PIECE

CONTROL = 0
IP6_CODEC = 3
"""Index of `ip6` in the own table, where IPv6 is taken."""
TICK = 0.001
"""Shortest wait, seconds: what timers resolve."""
log = logging.getLogger(__name__)


class Hooks:
    """What the node's services take from the engine."""

    def on_payload(self, session: Session, codec: str, payload: bytes, path: Path) -> None:
        """A payload of one of the node's codecs."""

    def on_control(self, session: Session, message: Control, path: Path, index: int) -> bool:
        """A control message; False leaves it to the session layer."""
        return False

    def on_action(self, action: Action) -> None:
        """Something happened to a session."""

    def on_notice(self, notice: Notice, path: Path) -> None:
        """A notice arrived."""

    def on_refused(self, refused: Refused) -> None:
        """A packet of somebody was refused here."""

    def on_addresses(self) -> None:
        """This machine's addresses changed."""

    def on_packets(self, packets: list[bytes]) -> None:
        """IPv6 packets for this machine."""

    def on_held(self, held: PacketHeld) -> None:
        """An IPv6 packet of this machine did not leave."""


class Engine:
    """The synchronous heart of one node. All methods belong to the event loop's thread."""

    def __init__(
        self,
        private: PrivateKey,
        config: NodeConfig,
        underlay: Underlay,
        hooks: Hooks,
        *,
        wall: Callable[[], float],
        random: Callable[[int], bytes],
        early: EarlyHandler,
        accept: Callable[[PeerID], bool],
        stamp_bound: int = 0,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.underlay, self.hooks = underlay, hooks
        self.random, self.wall = random, wall
        self.dataplane = load()
        self.dataplane.set_own(private.peer_id.address, IP6_CODEC if config.ip6 else 0)
        self.codecs: list[str] = [FORWARD, PIECE, IP6] if config.ip6 else [FORWARD, PIECE]
        self.counts: Counter[str] = Counter()
        self.sessions = SessionLayer(
            private,
            self.dataplane,
            self.codecs,
            now=self.now(),
            wall=wall,
            random=random,
            psks=config.psks,
            limits=config.limits,
            stamp_bound=stamp_bound,
            early=early,
            accept=accept,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._piece = int.from_bytes(random(4), "big")
        self.closed = False

    def now(self) -> float:
        """The underlay's clock, seconds."""
        return self.underlay.now()

    # Inputs

    def receive(self, buffer: bytearray, length: int, size: int, source: Direct) -> None:
        """See `rovy.io.base.Receiver`."""
        if self.closed:
            return
        if source.remote.in_overlay:
            self.counts["came over the overlay"] += 1
            return
        now = self.now()
        self._take(self.dataplane.receive(buffer, length, size, source, now), now)
        self._pump(now)

    def knows(self, source: Direct) -> bool:
        """See `rovy.io.base.Receiver`."""
        return self.sessions.uses(source)

    def send_failed(self, path: Direct, reason: str, size: int) -> None:
        """See `rovy.io.base.Receiver`."""
        self.counts[f"send failed: {reason}"] += 1
        if self.closed:
            return
        if reason == "too big":
            self.sessions.on_too_big(path, size, self.now())
        else:
            self.sessions.on_socket_error(path, self.now())
        self.pump()

    def addresses_changed(self) -> None:
        """See `rovy.io.base.Receiver`."""
        if not self.closed:
            self.hooks.on_addresses()
            self.pump()

    def pump(self) -> None:
        """Carry out what a call into the session layer gave back."""
        self._pump(self.now())

    def learn_codec(self, name: str) -> None:
        """Add a codec to the table and tell the peers; its handler is the hooks' business."""
        if name not in self.codecs:
            if len(self.codecs) >= MAX_CODECS:
                raise UsageError(f"a node has at most {MAX_CODECS} codecs, its own two included")
            self.codecs.append(name)
            self.sessions.announce(self.codecs, self.now())
            self.pump()

    # Outputs

    def send(
        self, session: Session, codec: str, payloads: Sequence[bytes], path: Path | None = None
    ) -> None:
        """Seal and send payloads. Raises `UsageError` for a codec the peer does not know, or a
        payload that is too long even in pieces."""
        keys = session.current
        index = keys.codec(codec) if keys else None
        if index is None:
            raise UsageError(f"{session.peer} does not know the codec {codec}")
        now = self.now()
        self.sessions.used(session, now)
        self._seal(session, index, payloads, path, now)
        self._pump(now)

    def tell(
        self, session: Session, message: Control, path: Path | None = None, *, quiet: bool = False
    ) -> None:
        """Send a control message; `quiet`: nobody minds if it stays without an answer."""
        now = self.now()
        self._control_out(session, message, path, now, quiet=quiet)
        self._pump(now)

    def ping(self, session: Session, probe: control.Probe, path: Path | None) -> None:
        """Send a user's probe: unlike the session's own it counts as traffic."""
        now = self.now()
        self.sessions.used(session, now)
        self._probe_out(session, probe, path, now, expects=True)
        self._pump(now)

    def carry(self, path: Path, datagram: bytes) -> None:
        """Send a notice."""
        now = self.now()
        self._take(self.dataplane.carry(path, datagram, now), now)
        self._pump(now)

    def transmit(self, packets: Sequence[bytes]) -> None:
        """Send IPv6 packets of this machine."""
        now = self.now()
        self._take(self.dataplane.transmit(packets, now), now)
        self._pump(now)

    def send_in_pieces(self, session: Session, payload: bytes) -> None:
        """Send what a path does not take whole: an IPv6 packet as it is carried."""
        codec = session.current.codec(IP6) if session.current else None
        if codec is None:
            raise UsageError(f"{session.peer} takes no IPv6")
        now = self.now()
        self._take(self._pieces(session, codec, payload, None, self.room(session), now), now)
        self._pump(now)

    def room(self, session: Session, path: Path | None = None) -> int:
        """Longest payload that fits in one datagram of a path, bytes."""
        state = session.paths.states.get(path) if path else session.paths.active
        return (state.mtu if state else 1131) - DATA_FIXED

    def close(self) -> None:
        """Stop the timer and drop all sessions without a word."""
        self.closed = True
        if self._timer:
            self._timer.cancel()

    # Inside

    def _seal(
        self,
        session: Session,
        index: int,
        payloads: Sequence[bytes],
        path: Path | None,
        now: float,
        *,
        expects: bool = True,
    ) -> None:
        room = self.room(session, path)
        short: list[bytes] = []
        for payload in payloads:
            if len(payload) <= room:
                short.append(payload)
            else:
                pieces = self._pieces(session, index, payload, path, room, now, expects=expects)
                self._take(pieces, now)
        if short:
            sealed = self.dataplane.seal(session.id, index, short, now, path, expects=expects)
            self._take(sealed, now)

    def _control_out(
        self,
        session: Session,
        message: Control,
        path: Path | None,
        now: float,
        *,
        quiet: bool = False,
    ) -> None:
        """Only requests and replies count as traffic: probes have their own repetition."""
        if isinstance(message, control.Probe):
            self._probe_out(session, message, path, now, expects=False)
            return
        expects = isinstance(message, control.Request | control.Reply) and not quiet
        self._seal(session, CONTROL, [message.emit()], path, now, expects=expects)

    def _probe_out(
        self,
        session: Session,
        probe: control.Probe,
        path: Path | None,
        now: float,
        *,
        expects: bool,
    ) -> None:
        """A probe goes out whole whatever its size, which it may be there to find out."""
        plain = [probe.emit()]
        sealed = self.dataplane.seal(session.id, CONTROL, plain, now, path, expects=expects)
        self._take(sealed, now)

    def _tell_if_fits(
        self, session: Session, message: Control, path: Path | None, now: float
    ) -> None:
        """Only a long table of codecs can fail here, told to a peer that takes no pieces."""
        try:
            self._control_out(session, message, path, now)
        except UsageError:
            self.counts["control too long"] += 1

    def _pieces(
        self,
        session: Session,
        index: int,
        payload: bytes,
        path: Path | None,
        room: int,
        now: float,
        *,
        expects: bool = True,
    ) -> Output:
        codec = session.current.codec(PIECE) if session.current else None
        if codec is None:
            raise UsageError(f"{len(payload)} bytes are too long, and the peer takes no pieces")
        self._piece = (self._piece + 1) & 0xFFFFFFFF
        try:
            pieces = piece.cut(self._piece, bytes((index,)) + payload, room)
        except ValueError as error:
            raise UsageError(str(error)) from error
        plain = [each.emit() for each in pieces]
        return self.dataplane.seal(session.id, codec, plain, now, path, expects=expects)

    def _take(self, output: Output, now: float) -> None:
        for run in output.runs:
            self.underlay.send(run)
        for number in output.used:
            session = self.sessions.get(number)
            if session:
                self.sessions.used(session, now)
        if output.packets:
            self.hooks.on_packets(output.packets)
        for event in output.events:
            self._event(event, now)

    def _event(self, event: Event, now: float) -> None:
        sessions = self.sessions
        match event:
            case Received():
                self._received(event, now)
            case Handshake(datagram, path):
                sessions.on_handshake(datagram, path, now)
            case Confirmed(session, index, path):
                sessions.on_confirmed(session, index, path, now)
            case PathSeen(session, path, size):
                sessions.on_path_seen(session, path, size, now)
            case Watch(session):
                sessions.on_watch(session, now)
            case PathDown(session, path):
                sessions.on_path_down(session, path, now)
            case Exhausted(session):
                sessions.on_exhausted(session, now)
            case Refused():
                self.hooks.on_refused(event)
            case NoticeReceived(datagram, path):
                self._notice(datagram, path)
            case PacketHeld():
                self.hooks.on_held(event)

    def _received(self, event: Received, now: float) -> None:
        session = self.sessions.get(event.session)
        if session is None:
            return
        try:
            if event.codec == CONTROL:
                self._control(session, event.payload, event.path, event.index, now)
            else:
                self._payload(session, event.codec, event.payload, event.path, now)
        except Malformed:
            self.counts["malformed payload"] += 1

    def _control(self, session: Session, raw: bytes, path: Path, index: int, now: float) -> None:
        message = control.parse(raw)
        if message is None:
            self.counts["unknown control"] += 1
        elif not self.hooks.on_control(session, message, path, index):
            self.sessions.on_control(session, index, message, path, now)

    def _payload(
        self, session: Session, codec: int, payload: bytes, path: Path, now: float
    ) -> None:
        if codec > len(self.codecs):
            self.counts["unknown codec"] += 1
        elif self.codecs[codec - 1] == IP6:
            self._take(self.dataplane.expand(session.id, payload), now)
        elif self.codecs[codec - 1] == PIECE:
            whole = session.pieces.add(piece.Piece.parse(payload), now)
            if whole:
                self._whole(session, whole, path, now)
        else:
            self.sessions.used(session, now)
            self.hooks.on_payload(session, self.codecs[codec - 1], payload, path)

    def _whole(self, session: Session, whole: bytes, path: Path, now: float) -> None:
        """A payload put together from pieces; pieces inside pieces are refused."""
        if whole[0] == CONTROL:
            index = session.current.index if session.current else 0
            self._control(session, whole[1:], path, index, now)
        elif whole[0] > len(self.codecs) or self.codecs[whole[0] - 1] in (FORWARD, PIECE):
            self.counts["malformed payload"] += 1
        else:
            self.sessions.used(session, now)
            self._payload(session, whole[0], whole[1:], path, now)

    def _notice(self, datagram: bytes, path: Path) -> None:
        try:
            self.hooks.on_notice(Notice.parse(datagram), path)
        except Malformed:
            self.counts["malformed notice"] += 1

    def _pump(self, now: float) -> None:
        while actions := self.sessions.pull():
            for action in actions:
                self._act(action, now)
        self._arm()

    def _act(self, action: Action, now: float) -> None:
        match action:
            case Send(path, datagram):
                self._take(self.dataplane.carry(path, datagram, now), now)
            case Tell(number, message, path):
                session = self.sessions.get(number)
                if session and session.sending:
                    self._tell_if_fits(session, message, path, now)
            case Closing(number, reason):
                self.sessions.finish(number, reason)
            case _:
                self.hooks.on_action(action)

    def _arm(self) -> None:
        at = NEVER if self.closed else self.sessions.next_timer()
        if at == self._timer_at and self._timer:
            return
        if self._timer:
            self._timer.cancel()
        self._timer_at = at
        wait = max(at - self.now(), TICK)
        self._timer = self._loop.call_later(wait, self._on_timer) if at < NEVER else None

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, NEVER
        now = self.now()
        self.sessions.handle_timer(now)
        self._pump(now)
