"""The pure data plane's tables, and the methods by which the control plane writes them."""

from collections import Counter
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from rovy.address.label import MAX_SLOT
from rovy.address.path import Direct, Path, Routed
from rovy.dataplane.tables import Opener, PathCounts, Tunnel, wipe
from rovy.dataplane.types import PathTraffic, SessionTraffic


class PureTables:
    """Sessions by number, keys by receiver index, peerings by slot."""

    def __init__(self) -> None:
        self._tunnels: dict[int, Tunnel] = {}
        self._by_address: dict[bytes, Tunnel] = {}
        self._openers: dict[int, Opener] = {}
        self._slots: list[Tunnel | None] = [None] * (MAX_SLOT + 1)
        self._drops: Counter[str] = Counter()
        self._forwarded = [0, 0]
        self._own, self._ip6_codec = b"", 0

    def set_own(self, address: bytes, ip6_codec: int) -> None:
        """See `DataPlane`."""
        self._own, self._ip6_codec = address, ip6_codec

    def add_session(self, session: int, address: bytes) -> None:
        """See `DataPlane`."""
        self._tunnels[session] = self._by_address[address] = Tunnel(session, address)

    def remove_session(self, session: int) -> None:
        """See `DataPlane`."""
        tunnel = self._tunnels.pop(session)
        self._by_address.pop(tunnel.address, None)
        for opener in tunnel.openers:
            del self._openers[opener.index]
        if tunnel.slot:
            self._slots[tunnel.slot] = None

    def add_opener(self, session: int, index: int, key: bytearray, *, confirmed: bool) -> None:
        """See `DataPlane`."""
        self._openers[index] = Opener(self._tunnels[session], index, key, confirmed)
        wipe(key)

    def confirm_opener(self, index: int) -> None:
        """See `DataPlane`."""
        self._openers[index].confirmed = True

    def remove_opener(self, index: int) -> None:
        """See `DataPlane`."""
        opener = self._openers.pop(index, None)
        if opener:
            opener.tunnel.openers.remove(opener)

    def set_sealer(self, session: int, index: int, key: bytearray, forward_codec: int) -> None:
        """See `DataPlane`."""
        tunnel = self._tunnels[session]
        tunnel.encrypt_into = ChaCha20Poly1305(key).encrypt_into
        tunnel.receiver, tunnel.counter = index, 0
        tunnel.marks.clear()
        tunnel.forward_codec = forward_codec
        wipe(key)

    def clear_sealer(self, session: int) -> None:
        """See `DataPlane`."""
        self._tunnels[session].encrypt_into = None

    def set_ip6(self, session: int, codec: int) -> None:
        """See `DataPlane`."""
        self._tunnels[session].ip6_codec = codec

    def set_path(self, session: int, path: Path | None, mtu: int) -> None:
        """See `DataPlane`."""
        tunnel = self._tunnels[session]
        tunnel.mtu = mtu
        if path == tunnel.path:
            return
        tunnel.path = path
        tunnel.between = path.label.hops - 1 if isinstance(path, Routed) else 0
        tunnel.waiting = 0.0
        tunnel.counts = tunnel.paths.get(path, PathCounts()) if path else PathCounts()

    def set_direct(self, session: int, path: Direct | None, mtu: int) -> None:
        """See `DataPlane`."""
        tunnel = self._tunnels[session]
        tunnel.direct, tunnel.direct_mtu = path, mtu
        tunnel.direct_counts = tunnel.paths.get(path, PathCounts()) if path else PathCounts()

    def add_path(self, session: int, path: Path) -> None:
        """See `DataPlane`."""
        self._tunnels[session].paths.setdefault(path, PathCounts())
        self._forget_sources(session)

    def remove_path(self, session: int, path: Path) -> None:
        """See `DataPlane`."""
        tunnel = self._tunnels[session]
        tunnel.former.add(tunnel.paths.pop(path, PathCounts()))
        self._forget_sources(session)

    def set_slot(self, slot: int, session: int | None) -> None:
        """See `DataPlane`."""
        former = self._slots[slot]
        if former:
            former.slot = 0
        tunnel = self._tunnels[session] if session is not None else None
        if tunnel:
            self._slots[tunnel.slot] = None
            tunnel.slot = slot
        self._slots[slot] = tunnel

    def waiting(self, session: int) -> float:
        """See `DataPlane`."""
        return self._tunnels[session].waiting

    def unwatch(self, session: int) -> None:
        """See `DataPlane`."""
        self._tunnels[session].watched = False

    def traffic(self, session: int) -> SessionTraffic:
        """See `DataPlane`."""
        tunnel = self._tunnels[session]
        total = PathCounts()
        for counts in (tunnel.former, *tunnel.paths.values()):
            total.add(counts)
        return SessionTraffic(
            tunnel.counter,
            total.sent_at,
            total.received_at,
            total.packets_sent,
            total.packets_received,
            total.bytes_sent,
            total.bytes_received,
        )

    def path_traffic(self, session: int, path: Path) -> PathTraffic:
        """See `DataPlane`."""
        return self._tunnels[session].paths.get(path, PathCounts()).frozen()

    def recent(self, session: int, now: float) -> tuple[int, int, int]:
        """See `DataPlane`."""
        tunnel = self._tunnels[session]
        return tunnel.receiver, tunnel.first_recent(now), tunnel.counter

    def drops(self) -> Mapping[str, int]:
        """See `DataPlane`."""
        return dict(self._drops)

    def forwarded(self) -> tuple[int, int]:
        """See `DataPlane`."""
        return self._forwarded[0], self._forwarded[1]

    def _forget_sources(self, session: int) -> None:
        for opener in self._tunnels[session].openers:
            opener.source = opener.source_counts = None
