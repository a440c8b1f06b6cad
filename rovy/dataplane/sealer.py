"""Sealing and sending: the outward half of the pure data plane."""

from collections.abc import Sequence
from itertools import groupby

from rovy.address.label import SMALL
from rovy.address.path import Direct, Path, Routed
from rovy.dataplane.store import PureTables
from rovy.dataplane.tables import PathCounts, Tunnel
from rovy.dataplane.types import HARD_LIMIT, Drop, Exhausted, Output, PathDown, Run, Watch
from rovy.wire.datagram import DATA, DATA_HEADER, DATA_WORD, NONCE_PREFIX, TAG
from rovy.wire.forward import emit_header

_RUN = 65000  # bytes, below the largest UDP payload
_NOBODY = Tunnel(0, b"")


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
        counts = tunnel.paths.get(way) or PathCounts()
        tunnel.mark(now)
        prefix = self._prefix(way)
        packets = []
        for payload in payloads:
            if tunnel.counter >= HARD_LIMIT:
                self._drops[Drop.EXHAUSTED] += 1
                out.events.append(Exhausted(session))
                break
            packet = bytearray(prefix) + bytes(DATA_HEADER) + bytes((codec,)) + payload + bytes(TAG)
            self._seal_in_place(tunnel, memoryview(packet), len(prefix), len(packet))
            self._sent(tunnel, counts, len(packet) - len(prefix), now, out, expects)
            packets.append(packet)
        self._leave(way, packets, now, out, session)
        return out

    def carry(self, path: Path, datagram: bytes, now: float) -> Output:
        """See `DataPlane`."""
        out = Output()
        self._leave(path, [bytearray(self._prefix(path)) + datagram], now, out, 0)
        return out

    def _prefix(self, path: Path) -> bytes:
        """What stands before the inner datagram, inside the first hop's plaintext."""
        return emit_header(path.label.rest) if isinstance(path, Routed) else b""

    def _leave(
        self, path: Path, packets: list[bytearray], now: float, out: Output, session: int
    ) -> None:
        """Give whole packets to their path: as they are, or sealed for the label's first hop."""
        if isinstance(path, Direct):
            out.runs += _runs(path, packets, 0)
            return
        via = self._slots[path.label.first] if path.label.data else None
        if via is None or self._refusal(via, _NOBODY, 2, 0) is not None or via.direct is None:
            self._drops[Drop.LINK_DOWN] += len(packets)
            out.events.append(PathDown(session, path))
            return
        sealed = []
        for packet in packets:
            plain = bytes((via.forward_codec,)) + packet
            outer = bytearray(DATA_HEADER) + plain + bytes(TAG)
            self._seal_in_place(via, memoryview(outer), 0, len(outer))
            self._sent(via, via.direct_counts, len(outer), now, out)
            sealed.append(outer)
        out.runs += _runs(via.direct, sealed, 0)

    def _seal_in_place(self, tunnel: Tunnel, view: memoryview, at: int, end: int) -> None:
        """Encrypt view[at+12 : end-16] for the tunnel's peer and put header and tag around it."""
        counter = tunnel.counter
        tunnel.counter = counter + 1
        body = at + DATA_HEADER
        DATA.pack_into(view, at, DATA_WORD | counter, tunnel.receiver)
        assert tunnel.encrypt_into is not None
        tunnel.encrypt_into(
            NONCE_PREFIX + counter.to_bytes(8, "little"),
            view[body : end - TAG],
            view[at:body],
            view[body:end],
        )

    def _sent(
        self,
        tunnel: Tunnel,
        counts: PathCounts,
        size: int,
        now: float,
        out: Output,
        expects: bool = True,
    ) -> None:
        counts.sent_at = now
        counts.packets_sent += 1
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


def _runs(path: Direct, packets: list[bytearray], ingress: int) -> list[Run]:
    """Neighbouring packets of one size made one run."""
    runs = []
    for size, group in groupby(packets, len):
        most = max(1, _RUN // size)
        same = list(group)
        for first in range(0, len(same), most):
            runs.append(Run(path, size, b"".join(same[first : first + most]), ingress))
    return runs
