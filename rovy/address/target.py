"""What a person may type for a destination, read into the value it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from rovy.address.keys import (
    ADDRESS_BYTES,
    ADDRESS_PREFIX,
    PeerID,
    address_text,
    excerpt,
    parse_address,
)
from rovy.address.label import PATH_PREFIX as LABEL_PREFIX
from rovy.address.label import Label
from rovy.address.multiaddr import MAX_BYTES, MAX_TEXT, ROVY, Multiaddr
from rovy.address.varint import decode_varint, emit_part, take_value
from rovy.errors import Malformed

ROVYRT: Final = 0x1A7


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node known by its fc00::/8 address alone, 16 bytes: the key has yet to be found."""

    packed: bytes

    def __post_init__(self) -> None:
        if len(self.packed) != ADDRESS_BYTES or self.packed[0] != ADDRESS_PREFIX:
            raise Malformed("not an address in fc00::/8")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `fc…` or `/ip6/fc…`."""
        return cls(parse_address(text.removeprefix("/ip6/")))

    @property
    def id_prefix(self) -> bytes:
        """The first 15 bytes (120 bits) of the node id in the DHT."""
        return self.packed[1:]

    def __str__(self) -> str:
        return address_text(self.packed)


@dataclass(frozen=True, slots=True)
class RoutedAddr:
    """A peer and a route to it, `/rovyrt/<label>/rovy/<cid>`."""

    label: Label
    peer: PeerID

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; `Malformed` if one of the two parts is missing."""
        label, found, cid = text.partition("/rovy/")
        if len(text) > MAX_TEXT or not found:
            raise Malformed(f"not a route with a peer: {excerpt(text)}")
        return cls(Label.parse(label), PeerID.parse(cid))

    def __str__(self) -> str:
        return f"{self.label}{self.peer.path}"

    def to_bytes(self) -> bytes:
        """The binary form, as of a multiaddr."""
        label = emit_part(ROVYRT, self.label.data, counted=True)
        return label + emit_part(ROVY, self.peer.cid_bytes, counted=True)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the binary form, to its end."""
        if len(data) > MAX_BYTES:
            raise Malformed(f"route: {len(data)} bytes")
        first, at = decode_varint(data, 0)
        label, at = take_value(data, at)
        second, at = decode_varint(data, at)
        cid, at = take_value(data, at)
        if (first, second) != (ROVYRT, ROVY) or at != len(data):
            raise Malformed("route: not a label and a peer")
        return cls(Label(label), PeerID.from_cid_bytes(cid))


Target = PeerID | NodeAddress | Label | RoutedAddr | Multiaddr
"""Whatever names a destination."""


def parse_target(text: str) -> Target:
    """Read a destination; `Malformed` says what is accepted.

    `<cid>`, `/rovy/<cid>`; `fc…`, `/ip6/fc…`; `/rovyrt/<label>`, `/rovyrt/<label>/rovy/<cid>`;
    a multiaddr such as `/ip4/192.0.2.1/udp/1312`, with or without `/rovy/<cid>`.
    """
    text = text.strip()
    if text.startswith(LABEL_PREFIX):
        return RoutedAddr.parse(text) if "/rovy/" in text else Label.parse(text)
    if text.startswith("/rovy/"):
        return PeerID.parse(text)
    if text.startswith("/"):
        alone = text.startswith("/ip6/") and text.count("/") == 2
        return NodeAddress.parse(text) if alone else Multiaddr.parse(text)
    return NodeAddress.parse(text) if ":" in text else _parse_bare(text)


def _parse_bare(text: str) -> PeerID:
    try:
        return PeerID.parse(text)
    except Malformed as error:
        raise Malformed(
            f"{error}; a destination is a peer id, an fc00::/8 address, /rovyrt/<label>"
            " or a multiaddr such as /ip4/192.0.2.1/udp/1312"
        ) from None
