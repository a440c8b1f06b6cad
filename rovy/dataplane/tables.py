"""What the pure data plane keeps of a session, a key and a path."""

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from rovy.address.path import Direct, Path
from rovy.dataplane.replay import ReplayWindow
from rovy.dataplane.types import PathTraffic

Cipher = Callable[[bytes, Any, Any, Any], int]
"""(nonce, data, associated data, buffer to write to) -> bytes written."""


MARK_EVERY = 2.0
RECENT = 5.0


class PathCounts:
    """Counts of one path of one session."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "packets_received",
        "packets_sent",
        "received_at",
        "sent_at",
    )

    def __init__(self) -> None:
        self.sent_at = self.received_at = 0.0
        self.packets_sent = self.packets_received = self.bytes_sent = self.bytes_received = 0

    def add(self, other: "PathCounts") -> None:
        """Add up two paths' counts."""
        self.sent_at = max(self.sent_at, other.sent_at)
        self.received_at = max(self.received_at, other.received_at)
        self.packets_sent += other.packets_sent
        self.packets_received += other.packets_received
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received

    def frozen(self) -> PathTraffic:
        """A copy that does not change."""
        return PathTraffic(
            self.sent_at,
            self.received_at,
            self.packets_sent,
            self.packets_received,
            self.bytes_sent,
            self.bytes_received,
        )


class Tunnel:
    """One session: its sealing key, its paths, its slot."""

    __slots__ = (
        "address",
        "between",
        "counter",
        "counts",
        "direct",
        "direct_counts",
        "direct_mtu",
        "encrypt_into",
        "former",
        "forward_codec",
        "id",
        "ip6_codec",
        "marks",
        "mtu",
        "openers",
        "path",
        "paths",
        "receiver",
        "slot",
        "waiting",
        "watched",
    )

    def __init__(self, session: int, address: bytes) -> None:
        self.id, self.address = session, address
        self.marks: list[tuple[float, int]] = []
        self.openers: list[Opener] = []
        self.encrypt_into: Cipher | None = None
        self.receiver = self.counter = self.forward_codec = self.slot = self.direct_mtu = 0
        self.ip6_codec = self.mtu = 0
        self.between = 0
        """Nodes on the active path between both ends."""
        self.path: Path | None = None
        self.counts = PathCounts()
        self.direct: Direct | None = None
        self.direct_counts = PathCounts()
        self.paths: dict[Path, PathCounts] = {}
        self.former = PathCounts()
        """Of all paths that were removed."""
        self.waiting = 0.0
        self.watched = False

    def mark(self, now: float) -> None:
        """Note which counter comes next, at most every 2 s; four marks cover the last 5 s."""
        marks = self.marks
        if not marks or now - marks[-1][0] >= MARK_EVERY or marks[-1][1] > self.counter:
            marks.append((now, self.counter))
            del marks[:-4]

    def first_recent(self, now: float) -> int:
        """The first counter that may have been used in the last 5 s.

        What follows a mark was used within 2 s of it, or has a mark of its own.
        """
        young = (counter for at, counter in self.marks if now - at < RECENT + MARK_EVERY)
        return next(young, self.counter)


class Opener:
    """One receiving key."""

    __slots__ = (
        "confirmed",
        "decrypt_into",
        "index",
        "source",
        "source_counts",
        "tunnel",
        "window",
    )

    def __init__(self, tunnel: Tunnel, index: int, key: bytearray, confirmed: bool) -> None:
        self.tunnel = tunnel
        tunnel.openers.append(self)
        self.index = index
        self.decrypt_into: Cipher = ChaCha20Poly1305(key).decrypt_into
        self.window = ReplayWindow()
        self.confirmed = confirmed
        self.source: Path | None = None
        self.source_counts: PathCounts | None = None


def wipe(key: bytearray) -> None:
    """Overwrite a key's bytes."""
    key[:] = bytes(len(key))
