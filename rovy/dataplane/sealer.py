"""Sealing and sending: the outward half of the pure data plane."""

from collections.abc import Sequence
from itertools import groupby

from rovy.address.label import SMALL
from rovy.address.path import Direct, Path
from rovy.dataplane.store import PureTables
from rovy.dataplane.tables import PathCounts, Tunnel
from rovy.dataplane.types import HARD_LIMIT, Drop, Exhausted, Output, PathDown, Run, Watch
from rovy.wire.datagram import DATA, DATA_FIXED, DATA_HEADER, DATA_NONCE, DATA_WORD, TAG
from rovy.wire.forward import emit_header

_RUN = 65000  # bytes, below the largest UDP payload
_NOBODY = Tunnel(0, b"")
_HEADER = bytes(DATA_HEADER)
_TAG = bytes(TAG)


class PureSealer(PureTables):
    """Packets of our own, and what all packets do last."""

    def seal(
        self,
        session: int,
        codec: int,
        payloads: Sequence[bytes],
        now: float,
        path: Path | None = None,
        *,
        expects: bool = True,
    ) -> Output:
        """See `DataPlane`."""
        out = Output()
        tunnel = self._tunnels[session]
        way = path or tunnel.path
        if way is None or tunnel.encrypt_into is None:
            self._drops[Drop.NO_PATH if tunnel.encrypt_into else Drop.NO_KEY] += len(payloads)
            return out
        self._send(tunnel, codec, payloads, way, now, out, expects)
        return out

    def carry(self, path: Path, datagram: bytes, now: float) -> Output:
        """See `DataPlane`."""
        out = Output()
        before, after = _room(path)
        data = _joined(before, [datagram], after)
        self._leave(path, data, len(data), now, out, 0)
        return out

    def _send(
        self,
        tunnel: Tunnel,
        codec: int,
        payloads: Sequence[bytes],
        path: Path,
        now: float,
        out: Output,
        expects: bool = True,
    ) -> None:
        """Seal payloads for a session's peer; neighbours of one size share a buffer."""
        left = max(0, HARD_LIMIT - tunnel.counter)
        if len(payloads) > left:
            self._drops[Drop.EXHAUSTED] += len(payloads) - left
            out.events.append(Exhausted(tunnel.id))
            payloads = payloads[:left]
        tunnel.mark(now)
        counts = tunnel.paths.get(path) or PathCounts()
        outer, outer_tag = _room(path)
        before, after = outer + _HEADER + bytes((codec,)), _TAG + outer_tag
        for length, group in groupby(payloads, len):
            same, size = list(group), len(before) + length + len(after)
            most = max(1, _RUN // size)
            for first in range(0, len(same), most):
                data = _joined(before, same[first : first + most], after)
                for at in range(0, len(data), size):
                    self._seal_in_place(tunnel, data, at + len(outer), at + size - len(outer_tag))
                packets = len(data) // size
                self._sent(
                    tunnel, counts, packets, packets * (length + DATA_FIXED), now, out, expects
                )
                self._leave(path, data, size, now, out, tunnel.id)

    def _leave(
        self, path: Path, data: memoryview, size: int, now: float, out: Output, session: int
    ) -> None:
        """Give packets to their path: as they are, or sealed in place for the label's first hop."""
        if isinstance(path, Direct):
            out.runs.append(Run(path, size, data))
            return
        packets = len(data) // size
        via = self._slots[path.label.first] if path.label.data else None
        if via is None or self._refusal(via, _NOBODY, 2, 0) is not None or via.direct is None:
            self._drops[Drop.LINK_DOWN] += packets
            out.events.append(PathDown(session, path))
            return
        for at in range(0, len(data), size):
            data[at + DATA_HEADER] = via.forward_codec
            self._seal_in_place(via, data, at, at + size)
        self._sent(via, via.direct_counts, packets, len(data), now, out)
        out.runs.append(Run(via.direct, size, data))

    def _seal_in_place(self, tunnel: Tunnel, view: memoryview, at: int, end: int) -> None:
        """Encrypt view[at+12 : end-16] for the tunnel's peer and put header and tag around it."""
        counter = tunnel.counter
        tunnel.counter = counter + 1
        body = at + DATA_HEADER
        DATA.pack_into(view, at, DATA_WORD | counter, tunnel.receiver)
        assert tunnel.encrypt_into is not None
        tunnel.encrypt_into(
            DATA_NONCE.pack(counter),
            view[body : end - TAG],
            view[at:body],
            view[body:end],
        )

    def _sent(
        self,
        tunnel: Tunnel,
        counts: PathCounts,
        packets: int,
        size: int,
        now: float,
        out: Output,
        expects: bool = True,
    ) -> None:
        counts.sent_at = now
        counts.packets_sent += packets
        counts.bytes_sent += size
        if expects and not tunnel.waiting and counts is tunnel.counts:
            tunnel.waiting = now
            if not tunnel.watched:
                tunnel.watched = True
                out.events.append(Watch(tunnel.id))

    def _refusal(
        self, egress: Tunnel | None, arrival: Tunnel, width: int, size: int
    ) -> Drop | None:
        if egress is None:
            return Drop.UNKNOWN_SLOT
        if egress is arrival:
            return Drop.U_TURN
        if width == 1 and arrival.slot > SMALL:
            return Drop.TOO_NARROW
        if egress.direct is None or egress.encrypt_into is None or not egress.forward_codec:
            return Drop.LINK_DOWN
        if egress.counter >= HARD_LIMIT:
            return Drop.LINK_DOWN
        return Drop.TOO_BIG if size > egress.direct_mtu else None


def _room(path: Path) -> tuple[bytes, bytes]:
    """What stands before and after a datagram on its path, for `_leave` to fill in."""
    if isinstance(path, Direct):
        return b"", b""
    return _HEADER + b"\0" + emit_header(path.label.rest), _TAG


def _joined(before: bytes, bodies: Sequence[bytes], after: bytes) -> memoryview:
    """Each body with what stands before and after it, end to end, in one buffer of its own."""
    whole = bytearray(after + before).join((b"", *bodies, b""))
    return memoryview(whole)[len(after) : len(whole) - len(before)]
