"""Locators: where a node is in a network larger than any map, signed by it.

`key 32 | sequence 6 | ttl 2 | flags 1 | m 1 | m × path | l 1 | l × link | e 1 | e × endpoint |
signature 64`, big-endian. docs/protocol/locators.md §1
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, Self

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.label import MAX_SLOT
from rovy.address.multiaddr import Multiaddr
from rovy.errors import Malformed, UsageError
from rovy.noise import xeddsa
from rovy.routing.record import MAX_SEQUENCE, SHORT

DOMAIN: Final = b"rovy-loc1"
MAX_ANCHORS: Final = 4
MAX_HOPS: Final = 64
"""Links of a path: no label is longer."""
MAX_LINKS: Final = 8
MAX_ENDPOINTS: Final = 8
MAX_ENDPOINT: Final = 255
"""Bytes of an endpoint."""
MAX_SIZE: Final = 2000
"""Bytes of the longest locator."""
MAX_TTL: Final = 7200
"""Seconds."""
ANCHOR: Final = 1  # flag: the node is an anchor itself

_HEAD: Final = Struct(">32s6sHB")
_LINK: Final = Struct(">8sHHB")
LEAST_SIZE: Final = _HEAD.size + 3 + xeddsa.SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class LocatorLink:
    """One link; of a path, from `node` to the next node on the way to the locator's."""

    node: bytes
    """Short of the near end; of the locator's own links, of the far end."""
    slot: int
    """The near end's slot for the far end."""
    back: int
    """The far end's slot for the near end."""
    cost: int
    """One byte, see cost.py."""

    def __post_init__(self) -> None:
        if len(self.node) != SHORT or not 0 <= self.cost <= 0xFF:
            raise Malformed("locator: link")
        if not (1 <= self.slot <= MAX_SLOT and 1 <= self.back <= MAX_SLOT):
            raise Malformed("locator: slot")

    def emit(self) -> bytes:
        """13 bytes."""
        return _LINK.pack(self.node, self.slot, self.back, self.cost)


AnchorPath = tuple[LocatorLink, ...]
"""From an anchor, the first link's node, to the locator's node; empty where that is the anchor."""


@dataclass(frozen=True, slots=True)
class Locator:
    """Paths to a node from anchors, and its best links. Made by `parse` and `sign`."""

    key: PeerID
    sequence: int
    """Milliseconds of the node's wall clock, strictly rising; 48 bits."""
    ttl: int
    """Seconds that it counts from its sequence on."""
    flags: int
    """ANCHOR, and unknown bits, which mean nothing."""
    anchors: tuple[AnchorPath, ...]
    links: tuple[LocatorLink, ...]
    """The node's own slot first; `node` is the far end."""
    endpoints: tuple[Multiaddr, ...]
    raw: bytes
    """The locator as signed."""
    short: bytes = field(init=False, compare=False, repr=False)
    """The first 8 bytes of the node's id."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "short", self.key.short)

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Self:
        """A whole locator, its form checked but not its signature; `Malformed`."""
        raw = bytes(data)
        if not LEAST_SIZE <= len(raw) <= MAX_SIZE:
            raise Malformed("locator: length")
        key, sequence, ttl, flags = _HEAD.unpack_from(raw)
        reader = _Reader(raw, _HEAD.size, len(raw) - xeddsa.SIGNATURE_BYTES)
        anchors = tuple(reader.links() for _ in range(reader.count(MAX_ANCHORS)))
        links = tuple(reader.links_counted(reader.count(MAX_LINKS)))
        endpoints = tuple(reader.endpoint() for _ in range(reader.count(MAX_ENDPOINTS)))
        if reader.at != reader.end:
            raise Malformed("locator: bytes left over")
        peer = PeerID(key)
        if not 0 < ttl <= MAX_TTL:
            raise Malformed("locator: ttl")
        _check(peer, anchors, links)
        return cls(
            peer, int.from_bytes(sequence, "big"), ttl, flags, anchors, links, endpoints, raw
        )

    @classmethod
    def sign(
        cls,
        private: PrivateKey,
        sequence: int,
        ttl: int,
        flags: int,
        anchors: Iterable[AnchorPath],
        links: Iterable[LocatorLink],
        endpoints: Iterable[Multiaddr],
        nonce: bytes,
    ) -> Self:
        """The locator of a node; `nonce` is 64 random bytes.

        What has no room is left out: endpoints first, then paths of anchors, from the last on; and
        whatever is too long by itself.
        `UsageError` for numbers out of range, `Malformed` for links to the node itself.
        """
        paths = [path for path in anchors if len(path) <= MAX_HOPS][:MAX_ANCHORS]
        ends = [end for end in endpoints if len(end.to_bytes()) <= MAX_ENDPOINT][:MAX_ENDPOINTS]
        near = tuple(links)[:MAX_LINKS]
        if not (0 <= sequence <= MAX_SEQUENCE and 0 < ttl <= MAX_TTL and 0 <= flags <= 0xFF):
            raise UsageError(f"locator: {sequence=}, {ttl=}, {flags=}")
        _check(private.peer_id, paths, near)
        head = _HEAD.pack(private.peer_id.key, sequence.to_bytes(6, "big"), ttl, flags)
        body = head + _emit(paths, near, ends)
        while len(body) + xeddsa.SIGNATURE_BYTES > MAX_SIZE:
            (ends or paths).pop()
            body = head + _emit(paths, near, ends)
        raw = body + xeddsa.sign(private, DOMAIN, body, nonce)
        return cls(private.peer_id, sequence, ttl, flags, tuple(paths), near, tuple(ends), raw)

    def verify(self) -> Self:
        """This locator, once it is certain that its node signed it; `Malformed` otherwise."""
        at = len(self.raw) - xeddsa.SIGNATURE_BYTES
        xeddsa.verify(self.key.key, DOMAIN, self.raw[:at], self.raw[at:])
        return self

    @property
    def hops(self) -> Iterator[tuple[bytes, bytes, LocatorLink]]:
        """All links it names, in one direction: (near short, far short, link).

        One that several paths cross comes several times.
        """
        for path in self.anchors:
            ends = [*(link.node for link in path), self.short]
            yield from zip(ends, ends[1:], path, strict=False)
        for link in self.links:
            yield self.short, link.node, link


class _Reader:
    """Reads counted parts; what is cut short is `Malformed`."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data, self.at, self.end = data, at, end

    def count(self, most: int) -> int:
        """One byte, a number of parts."""
        found = self._take(1)[0]
        if found > most:
            raise Malformed("locator: count")
        return found

    def links(self) -> AnchorPath:
        """A path: its length and its links."""
        return tuple(self.links_counted(self.count(MAX_HOPS)))

    def links_counted(self, count: int) -> Iterator[LocatorLink]:
        """So many links."""
        return (LocatorLink(*found) for found in _LINK.iter_unpack(self._take(count * _LINK.size)))

    def endpoint(self) -> Multiaddr:
        """A multiaddr with its length before it."""
        return Multiaddr.from_bytes(self._take(self._take(1)[0]))

    def _take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > self.end:
            raise Malformed("locator: cut short")
        return self._data[start : self.at]


def _emit(
    anchors: Iterable[AnchorPath], links: tuple[LocatorLink, ...], endpoints: Iterable[Multiaddr]
) -> bytes:
    paths = [bytes((len(path),)) + b"".join(link.emit() for link in path) for path in anchors]
    ends = [endpoint.to_bytes() for endpoint in endpoints]
    parts = [
        bytes((len(paths),)),
        *paths,
        bytes((len(links),)),
        *(link.emit() for link in links),
        bytes((len(ends),)),
        *(bytes((len(end),)) + end for end in ends),
    ]
    return b"".join(parts)


def _check(peer: PeerID, anchors: Iterable[AnchorPath], links: Iterable[LocatorLink]) -> None:
    """No node twice on one path, the locator's own on none, no link twice."""
    for path in anchors:
        nodes = [link.node for link in path]
        if len(set(nodes)) != len(nodes) or peer.short in nodes:
            raise Malformed("locator: path in a circle")
    ends = [link.node for link in links]
    if len(set(ends)) != len(ends) or peer.short in ends:
        raise Malformed("locator: links")
