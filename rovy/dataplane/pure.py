"""The data plane in Python: the readable reference. docs/architecture.md §4

A batch is opened, switched and sealed again inside the buffer it was read into. Nothing here
waits, allocates per packet without need, or knows of time but as a number.
"""

from cryptography.exceptions import InvalidTag

from rovy.address.label import Label, encode_entry
from rovy.address.path import Direct, Path, Routed
from rovy.dataplane.edge import PureEdge
from rovy.dataplane.tables import Opener, Tunnel
from rovy.dataplane.types import (
    FORWARD_CODEC,
    Confirmed,
    Drop,
    Handshake,
    NoticeReceived,
    Output,
    PathSeen,
    Received,
    Refused,
    Run,
)
from rovy.errors import Malformed
from rovy.wire.datagram import (
    COUNTER_MASK,
    DATA,
    DATA_FIXED,
    DATA_HEADER,
    DATA_NONCE,
    TAG,
    Type,
)
from rovy.wire.forward import (
    FORWARD_LIMIT,
    LABEL,
    LEN,
    POS,
    QUOTE,
    entry_slot,
    header_size,
    overwrite,
)
from rovy.wire.notice import Code

_BODY = DATA_HEADER + 1  # after the codec byte
_DATA = int(Type.DATA)  # quicker to compare with
_REFUSALS_A_BATCH = 4
_LABELS = 4096  # interned; all forgotten when full, which costs time only
_CODES = {
    Drop.UNKNOWN_SLOT: Code.UNKNOWN_SLOT,
    Drop.LINK_DOWN: Code.LINK_DOWN,
    Drop.TOO_BIG: Code.TOO_BIG,
    Drop.TOO_NARROW: Code.TOO_NARROW,
    Drop.U_TURN: Code.U_TURN,
}


class PureDataPlane(PureEdge):
    """Implements `DataPlane`."""

    def __init__(self) -> None:
        super().__init__()
        self._labels: dict[bytes, Routed] = {}

    # Packets in

    def receive(
        self, buffer: bytearray, length: int, size: int, source: Direct, now: float
    ) -> Output:
        """See `DataPlane`."""
        out = Output()
        view = memoryview(buffer)
        current: Tunnel | None = None
        ingress = start = 0
        for at in range(0, length, max(size, 1)):
            end = min(at + size, length)
            egress, arrival = self._lower(view, at, end, source, now, out)
            if egress is not current or (egress and arrival != ingress):
                self._finish(current, view[start:at], size, ingress, out)
                current, start, ingress = egress, at, arrival
        self._finish(current, view[start:length], size, ingress, out)
        return out

    def _finish(
        self, egress: Tunnel | None, data: memoryview, size: int, ingress: int, out: Output
    ) -> None:
        if egress is None or egress.direct is None:
            return
        out.runs.append(Run(egress.direct, size, data, ingress))
        self._forwarded[0] += -(-len(data) // size)
        self._forwarded[1] += len(data)

    def _lower(
        self, view: memoryview, at: int, end: int, source: Direct, now: float, out: Output
    ) -> tuple[Tunnel | None, int]:
        """Handle one datagram from a socket: (where it goes on to, the slot it came from)."""
        if view[at] != _DATA:
            if self._is_handshake(view[at:end]):
                out.events.append(Handshake(bytes(view[at:end]), source))
            return None, 0
        opener = self._open(view, at, end, source, now, out)
        if opener is None:
            return None, 0
        if view[at + DATA_HEADER] != FORWARD_CODEC:
            self._received(opener, view, at, end, source, out)
            return None, 0
        return self._forward(view, at, end, opener.tunnel, now, out), opener.tunnel.slot

    def _is_handshake(self, datagram: memoryview) -> bool:
        if Type.HELLO <= datagram[0] <= Type.COOKIE:
            return True
        bare = datagram[0] == Type.NOTICE
        self._drops[Drop.BARE_NOTICE if bare else Drop.TYPE] += 1
        return False

    def _open(
        self,
        view: memoryview,
        at: int,
        end: int,
        source: Path,
        now: float,
        out: Output,
    ) -> Opener | None:
        """Decrypt a data datagram in place; None where it was dropped."""
        if end - at < DATA_FIXED:
            self._drops[Drop.SHORT] += 1
            return None
        word, index = DATA.unpack_from(view, at)
        opener = self._openers.get(index)
        if opener is None:
            self._drops[Drop.INDEX] += 1
            return None
        counter = word & COUNTER_MASK
        body = at + DATA_HEADER
        try:
            opener.decrypt_into(
                DATA_NONCE.pack(counter),
                view[body:end],
                view[at:body],
                view[body : end - TAG],
            )
        except InvalidTag:
            self._drops[Drop.AUTH] += 1
            return None
        newest = counter > opener.window.last
        if not opener.window.accept(counter):
            self._drops[Drop.REPLAY] += 1
            return None
        if not opener.confirmed:
            opener.confirmed = True
            out.events.append(Confirmed(opener.tunnel.id, index, source))
        if not (opener.source is source and opener.source_counts) and not self._known(
            opener, source
        ):
            if newest:
                out.events.append(PathSeen(opener.tunnel.id, source, end - at))
            return opener
        counts = opener.source_counts
        if counts is not None:
            counts.received_at = now
            counts.packets_received += 1
            counts.bytes_received += end - at
            if counts is opener.tunnel.counts:
                opener.tunnel.waiting = 0.0
        return opener

    def _known(self, opener: Opener, source: Path) -> bool:
        """Look the path up among the session's, and remember it for the next packet."""
        counts = opener.tunnel.paths.get(source)
        opener.source, opener.source_counts = source, counts
        return counts is not None

    def _received(
        self, opener: Opener, view: memoryview, at: int, end: int, source: Path, out: Output
    ) -> None:
        codec, body = view[at + DATA_HEADER], view[at + _BODY : end - TAG]
        if codec == self._ip6_codec and codec:
            self._expand(opener.tunnel, body, out)
            return
        event = Received(opener.tunnel.id, opener.index, codec, bytes(body), source, end - at)
        out.events.append(event)

    # Switching

    def _forward(
        self, view: memoryview, at: int, end: int, tunnel: Tunnel, now: float, out: Output
    ) -> Tunnel | None:
        """Switch an opened forward packet in place and seal it for its next hop."""
        base = at + _BODY
        room = end - TAG - base
        if room < LABEL or room < header_size(view[base + LEN]) or view[base] > view[base + LEN]:
            self._drops[Drop.HEADER] += 1
            return None
        pos, length = view[base + POS], view[base + LEN]
        if length > FORWARD_LIMIT or not tunnel.slot:
            self._drops[Drop.LABEL if tunnel.slot else Drop.NO_PEERING] += 1
            return None
        if pos == length:
            back = self._routed(_back(tunnel.slot, view, base, length))
            if back:
                self._upper(view, base + header_size(length), end - TAG, back, now, out)
            return None
        entry = base + LABEL + pos
        slot, width = entry_slot(view, entry, base + LABEL + length)
        egress = self._slots[slot]
        refusal = self._refusal(egress, tunnel, width, end - at)
        if refusal or egress is None:
            self._refuse(refusal or Drop.UNKNOWN_SLOT, egress, tunnel, view[base : end - TAG], out)
            return None
        overwrite(view, entry, width, tunnel.slot)
        view[base + POS] = pos + width
        view[at + DATA_HEADER] = egress.forward_codec
        self._seal_in_place(egress, view, at, end)
        self._sent(egress, egress.direct_counts, 1, end - at, now, out)
        return egress

    def _refuse(
        self, drop: Drop, egress: Tunnel | None, tunnel: Tunnel, packet: memoryview, out: Output
    ) -> None:
        """Count, and say what a notice needs; `packet` starts with the forward header."""
        self._drops[drop] += 1
        inner = bytes(packet[header_size(packet[LEN]) :][:QUOTE])
        told = sum(isinstance(event, Refused) for event in out.events)
        if len(inner) < QUOTE or inner[0] == Type.NOTICE or told >= _REFUSALS_A_BATCH:
            return
        mtu = egress.direct_mtu - DATA_FIXED if drop is Drop.TOO_BIG and egress else 0
        travelled = bytes(packet[LABEL : LABEL + packet[POS]])
        out.events.append(Refused(_CODES[drop], mtu, tunnel.slot, travelled, inner))

    def _upper(
        self, view: memoryview, at: int, end: int, back: Routed, now: float, out: Output
    ) -> None:
        """Handle the inner datagram of a forward packet that ends here."""
        if at >= end:
            self._drops[Drop.SHORT] += 1
        elif view[at] == _DATA:
            opener = self._open(view, at, end, back, now, out)
            if opener and view[at + DATA_HEADER] == FORWARD_CODEC:
                self._drops[Drop.CODEC] += 1
            elif opener:
                self._received(opener, view, at, end, back, out)
        elif view[at] == Type.NOTICE:
            out.events.append(NoticeReceived(bytes(view[at:end]), back))
        elif self._is_handshake(view[at:end]):
            out.events.append(Handshake(bytes(view[at:end]), back))

    def _routed(self, back: bytes) -> Routed | None:
        """The path of a label, one object for all its packets; None where it does not read."""
        path = self._labels.get(back)
        if path is None:
            try:
                path = Routed(Label(back))
            except Malformed:
                self._drops[Drop.HEADER] += 1
                return None
            if len(self._labels) >= _LABELS:
                self._labels.clear()
            self._labels[back] = path
        return path


def _back(slot: int, view: memoryview, base: int, length: int) -> bytes:
    """The label that leads back: own slot, then what was carried, byte by byte backwards."""
    carried = bytes(view[base + LABEL : base + LABEL + length])[::-1]
    return encode_entry(slot) + carried
