"""Bounds on what strangers can make a node do. docs/protocol/handshake.md §5"""

from collections import OrderedDict

from rovy.address.path import Direct, Path
from rovy.buckets import TokenBucket


class SourceBuckets:
    """A bucket a source; when full the source unheard for longest is forgotten."""

    def __init__(self, rate: float, burst: float, most: int = 4096) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: OrderedDict[bytes, TokenBucket] = OrderedDict()

    def limit(self, rate: float, burst: float) -> None:
        """Other numbers from now on."""
        self._rate, self._burst = rate, burst
        for bucket in self._buckets.values():
            bucket.limit(rate, burst)

    def take(self, source: bytes, now: float) -> bool:
        """Take one of the source's tokens; False where none is left."""
        bucket = self._buckets.get(source)
        if bucket is None:
            if len(self._buckets) >= self._most:
                self._buckets.popitem(last=False)
            bucket = self._buckets[source] = TokenBucket(self._rate, self._burst, now)
        self._buckets.move_to_end(source)
        return bucket.take(now)

    def __len__(self) -> int:
        return len(self._buckets)


def source_group(path: Path) -> bytes:
    """What one limit counts together: an IPv4 address, an IPv6 /64, or the start of a label.

    Of a label: the slot it arrives by and the first two entries behind it, since whoever sits
    there can invent the rest.
    """
    if isinstance(path, Direct):
        packed = path.remote.packed
        return b"4" + packed if len(packed) == 4 else b"6" + packed[:8]
    return b"r" + b"".join(path.label.entries[:3])


def source_exact(path: Path) -> bytes:
    """What a cookie binds: address and port, or the whole label."""
    if isinstance(path, Direct):
        return b"d" + path.remote.packed + path.remote.port.to_bytes(2, "big")
    return b"r" + path.label.data
