"""IPv6 packets between this machine and its sessions: docs/protocol/ip6.md

The header goes without its two addresses, since both follow from the session's keys.
"""

from collections.abc import Sequence

from rovy.address.keys import ADDRESS_PREFIX
from rovy.dataplane.sealer import PureSealer
from rovy.dataplane.tables import Tunnel
from rovy.dataplane.types import Drop, Held, Output, PacketHeld
from rovy.wire.datagram import DATA_FIXED
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
            assert tunnel.path is not None
            out.used.add(tunnel.id)
            payloads = [squeeze(packet, tunnel.between) for packet in batch]
            self._send(tunnel, tunnel.ip6_codec, payloads, tunnel.path, now, out)
        return out

    def expand(self, session: int, payload: bytes) -> Output:
        """See `DataPlane`."""
        out = Output()
        self._expand(self._tunnels[session], memoryview(payload), out)
        return out

    def _expand(self, tunnel: Tunnel, payload: memoryview, out: Output) -> None:
        """Put the addresses back that the sender left out."""
        length = len(payload) - FIXED
        if (
            length < 0
            or payload[0] >> 4 != 6
            or payload[LENGTH] << 8 | payload[LENGTH + 1] != length
        ):
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
        if packet[SOURCE:DESTINATION] != self._own or packet[DESTINATION] != ADDRESS_PREFIX:
            return self._strange(packet)
        length = packet[LENGTH] << 8 | packet[LENGTH + 1]
        return Drop.IP6 if length != len(packet) - HEADER else None

    def _strange(self, packet: bytes) -> Drop:
        """Why not to carry a packet between such addresses."""
        if packet[DESTINATION] == MULTICAST:
            return Drop.IP6_MULTICAST
        if _link_local(packet, SOURCE) or _link_local(packet, DESTINATION):
            return Drop.IP6_LINK_LOCAL
        return Drop.IP6_SOURCE if packet[SOURCE:DESTINATION] != self._own else Drop.IP6_DESTINATION


def _held(packet: bytes, tunnel: Tunnel) -> Held | None:
    if not tunnel.ip6_codec:
        return Held.NO_IP6
    if packet[HOP_LIMIT] <= tunnel.between:
        return Held.EXPIRED
    if len(packet) - SAVED + DATA_FIXED > tunnel.mtu:
        return Held.TOO_BIG if len(packet) > LEAST_MTU else Held.PIECES
    return None


def _link_local(packet: bytes, at: int) -> bool:
    """Whether an address is in fe80::/10."""
    return packet[at] == 0xFE and packet[at + 1] & 0xC0 == 0x80
