"""Maps that nodes give each other on request. docs/protocol/locators.md §4

Request: most 2. Answer: `n 1 | n × short 8 | {near 1, far 1, slot 2, back 2, cost 1, mtu 2} …`,
big-endian; near and far count into the shorts. The answering node is the first of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from rovy.address.label import MAX_SLOT
from rovy.errors import Malformed

SHORT: Final = 8
MAX_NODES: Final = 255
MOST: Final = 8192
"""Bytes of the longest answer."""
_MOST: Final = Struct(">H")
_LINK: Final = Struct(">BBHHBH")


@dataclass(frozen=True, slots=True)
class MapLink:
    """A link between two nodes, told once."""

    near: bytes
    """Short, as `far`."""
    far: bytes
    slot: int
    """The near end's for the far end."""
    back: int
    """The far end's for the near end."""
    cost: int
    """One byte, see routing/cost.py."""
    mtu: int
    """Bytes of the largest forward packet."""


@dataclass(frozen=True, slots=True)
class MapAnswer:
    """What a node knows around it, not signed."""

    links: tuple[MapLink, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises `Malformed`, also for nodes named twice and links to nowhere or itself."""
        if not data or not data[0]:
            raise Malformed("map: empty")
        if len(data) > MOST:
            raise Malformed("map: too long")
        start = 1 + SHORT * data[0]
        if len(data) < start or (len(data) - start) % _LINK.size:
            raise Malformed("map: length")
        shorts = [data[at : at + SHORT] for at in range(1, start, SHORT)]
        if len(set(shorts)) != len(shorts):
            raise Malformed("map: node twice")
        links = (_link(shorts, *fields) for fields in _LINK.iter_unpack(data[start:]))
        return cls(tuple(links))


def emit_map(own: bytes, links: Iterable[MapLink], most: int) -> bytes:
    """The answer of the node `own`, with as many links as `most` bytes hold, from the first on."""
    numbers = {own: 0}
    out: list[bytes] = []
    size = 1 + SHORT
    for link in links:
        new = {each for each in (link.near, link.far) if each not in numbers}
        size += _LINK.size + SHORT * len(new)
        if size > min(most, MOST) or len(numbers) + len(new) > MAX_NODES:
            break
        for each in sorted(new):
            numbers[each] = len(numbers)
        ends = numbers[link.near], numbers[link.far]
        out.append(_LINK.pack(*ends, link.slot, link.back, link.cost, link.mtu))
    return bytes((len(numbers),)) + b"".join(numbers) + b"".join(out)


def emit_ask(most: int = MOST) -> bytes:
    """A request for at most so many bytes."""
    return _MOST.pack(most)


def parse_ask(data: bytes) -> int:
    """The bytes asked for at most; `Malformed`."""
    if len(data) != _MOST.size:
        raise Malformed("map request: length")
    return int(_MOST.unpack(data)[0])


def _link(
    shorts: list[bytes], near: int, far: int, slot: int, back: int, cost: int, mtu: int
) -> MapLink:
    if max(near, far) >= len(shorts) or near == far:
        raise Malformed("map: link to nowhere")
    if not (1 <= slot <= MAX_SLOT and 1 <= back <= MAX_SLOT):
        raise Malformed("map: slot")
    return MapLink(shorts[near], shorts[far], slot, back, cost, mtu)
