"""IPv6 packets between this machine and its sessions: docs/protocol/ip6.md

The header goes without its two addresses, since both follow from the session's keys.
"""

from collections.abc import Sequence

from rovy.address.keys import ADDRESS_PREFIX
from rovy.dataplane.sealer import PureSealer
from rovy.dataplane.tables import PathCounts, Tunnel
from rovy.dataplane.types import HARD_LIMIT, Drop, Held, Output, PacketHeld
from rovy.wire.datagram import DATA_FIXED, DATA_HEADER, TAG
from rovy.wire.ip6 import (
    DESTINATION,
    FIXED,
    HEADER,
    HOP_LIMIT,
    LEAST_MTU,
    LENGTH,
    MULTICAST,
    SAVED,
    SOURCE,
    squeeze,
)

_ROOM = bytes(DATA_HEADER)
_TAG = bytes(TAG)


class PureEdge(PureSealer):
    """The side of the data plane that faces the interface."""

    def transmit(self, packets: Sequence[bytes], now: float) -> Output:
        """See `DataPlane`."""
        out = Output()
        batches: dict[Tunnel, list[bytes]] = {}
        for packet in packets:
            tunnel = self._bound_for(packet, out)
            if tunnel:
                batches.setdefault(tunnel, []).append(packet)
        for tunnel, batch in batches.items():
            self._transmit(tunnel, batch, now, out)
        return out

    def expand(self, session: int, payload: bytes) -> Output:
        """See `DataPlane`."""
        out = Output()
        self._expand(self._tunnels[session], memoryview(payload), out)
        return out

    def _expand(self, tunnel: Tunnel, payload: memoryview, out: Output) -> None:
        """Put the addresses back that the sender left out."""
        length = len(payload) - FIXED
        if length < 0 or payload[0] >> 4 != 6 or payload[4] << 8 | payload[5] != length:
            self._drops[Drop.IP6] += 1
            return
        out.packets.append(b"".join((payload[:FIXED], tunnel.address, self._own, payload[FIXED:])))
        out.used.add(tunnel.id)

    def _bound_for(self, packet: bytes, out: Output) -> Tunnel | None:
        """The session that takes a packet as it is; None where it is dropped or held."""
        drop = self._bad(packet)
        if drop:
            self._drops[drop] += 1
            return None
        tunnel = self._by_address.get(packet[DESTINATION:HEADER])
        if tunnel is None or tunnel.encrypt_into is None or tunnel.path is None:
            out.events.append(PacketHeld(Held.NO_SESSION, 0, packet))
            return None
        why = _held(packet, tunnel)
        if why:
            mtu = tunnel.mtu - DATA_FIXED + SAVED
            out.events.append(PacketHeld(why, tunnel.id, packet, max(mtu, LEAST_MTU)))
            return None
        return tunnel

    def _bad(self, packet: bytes) -> Drop | None:
        if len(packet) < HEADER or packet[0] >> 4 != 6:
            return Drop.IP6
        if packet[DESTINATION] == MULTICAST:
            return Drop.IP6_MULTICAST
        if _link_local(packet, SOURCE) or _link_local(packet, DESTINATION):
            return Drop.IP6_LINK_LOCAL
        if packet[SOURCE:DESTINATION] != self._own:
            return Drop.IP6_SOURCE
        if packet[DESTINATION] != ADDRESS_PREFIX:
            return Drop.IP6_DESTINATION
        length = packet[LENGTH] << 8 | packet[LENGTH + 1]
        return Drop.IP6 if length != len(packet) - HEADER else None

    def _transmit(self, tunnel: Tunnel, batch: list[bytes], now: float, out: Output) -> None:
        path = tunnel.path
        assert path is not None
        tunnel.mark(now)
        out.used.add(tunnel.id)
        counts = tunnel.paths.get(path) or PathCounts()
        before = self._prefix(path) + _ROOM + bytes((tunnel.ip6_codec,))
        start = len(before) - DATA_HEADER - 1
        packets = []
        for packet in batch:
            sealed = bytearray().join((before, squeeze(packet, tunnel.between), _TAG))
            self._seal_in_place(tunnel, memoryview(sealed), start, len(sealed))
            self._sent(tunnel, counts, len(sealed) - start, now, out)
            packets.append(sealed)
        self._leave(path, packets, now, out, tunnel.id)


def _held(packet: bytes, tunnel: Tunnel) -> Held | None:
    if not tunnel.ip6_codec:
        return Held.NO_IP6
    if packet[HOP_LIMIT] <= tunnel.between:
        return Held.EXPIRED
    if len(packet) - SAVED + DATA_FIXED > tunnel.mtu:
        return Held.TOO_BIG if len(packet) > LEAST_MTU else Held.PIECES
    return Held.NO_SESSION if tunnel.counter >= HARD_LIMIT else None


def _link_local(packet: bytes, at: int) -> bool:
    """Whether an address is in fe80::/10."""
    return packet[at] == 0xFE and packet[at + 1] & 0xC0 == 0x80
