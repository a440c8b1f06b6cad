"""Where a node can be reached: UDP endpoints and their multiaddr notation.

    /ip4/192.0.2.1/udp/1312                     an address
    /ip6zone/eth0/ip6/fe80::1/udp/1312          a link-local one, with its interface
    /dns6/example.org/udp/1312/rovy/<cid>       a host name, and the node expected there

In bytes every part is the protocol's code as an unsigned varint and its value, which carries its
length in front where the protocol does not fix it. `/rovy` has the binary CID as its value, and
`/rovyrt`, in `target`, the bytes of a label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, Self

from rovy.address.keys import PeerID, excerpt
from rovy.address.varint import decode_varint, emit_part, take, take_value
from rovy.errors import Malformed

Kind = Literal["ip4", "ip6", "dns4", "dns6"]
"""How the host of a `Multiaddr` is given."""

IP4: Final = 0x04
IP6: Final = 0x29
IP6ZONE: Final = 0x2A
DNS4: Final = 0x36
DNS6: Final = 0x37
UDP: Final = 0x0111
ROVY: Final = 0x1A6

MAX_TEXT: Final = 1024
"""The longest multiaddr text that is read; a host name has at most 253 characters."""
MAX_BYTES: Final = 512
"""The longest multiaddr in bytes that is read."""

_HOST_CODES: Final[dict[int, Kind]] = {IP4: "ip4", IP6: "ip6", DNS4: "dns4", DNS6: "dns6"}
_CODE_OF: Final = {kind: code for code, kind in _HOST_CODES.items()}
_NAME_PART: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_ZONE: Final = re.compile(r"[!-$&-.0-Z^-~]{1,15}")  # an interface name; no % / [ \ ]
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_ENDPOINT: Final = re.compile(r"(?:\[([^\[\]%]+)(?:%([^\[\]]+))?\]|([^\[\]:]+)):([0-9]+)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and UDP port; `Malformed` if they are not.

    Equal endpoints are the same place: the host is kept in canonical text, and an IPv4 address
    mapped into IPv6 becomes the IPv4 address.
    """

    host: str
    """IP address, without a zone."""
    port: int
    """1 to 65535."""
    zone: str = ""
    """Interface name or index; only for link-local IPv6."""

    def __post_init__(self) -> None:
        address = _parse_ip(self.host)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        _check_port(self.port)
        if self.zone:
            _check_zone(address, self.zone)
        object.__setattr__(self, "host", str(address))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `192.0.2.1:1312` or `[fe80::1%eth0]:1312`."""
        match = _ENDPOINT.fullmatch(text) if len(text) <= MAX_TEXT else None
        if match is None:
            raise Malformed(f"not like 192.0.2.1:1312 or [2001:db8::1]:1312: {excerpt(text)}")
        inside, zone, bare, port = match.groups()
        if inside and ":" not in inside:
            raise Malformed(f"only an IPv6 address goes in brackets: {excerpt(text)}")
        return cls(inside or bare, _parse_port(port), zone or "")

    @classmethod
    def canonical(cls, host: str, port: int, zone: str = "") -> Self:
        """An endpoint of parts the kernel gave, which are canonical; only the port is checked."""
        _check_port(port)
        endpoint = cls.__new__(cls)
        for name, value in (("host", host), ("port", port), ("zone", zone)):
            object.__setattr__(endpoint, name, value)
        return endpoint

    @property
    def is_v6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return ":" in self.host

    @property
    def in_overlay(self) -> bool:
        """Whether the host is in fc00::/8: packets to it would travel inside themselves."""
        return is_overlay(self.host)

    @property
    def is_public(self) -> bool:
        """Whether the whole Internet can send to the host."""
        return ip_address(self.host).is_global and not self.in_overlay

    @property
    def packed(self) -> bytes:
        """The host as 4 or 16 bytes."""
        return ip_address(self.host).packed

    def __str__(self) -> str:
        if not self.is_v6:
            return f"{self.host}:{self.port}"
        zone = f"%{self.zone}" if self.zone else ""
        return f"[{self.host}{zone}]:{self.port}"


def is_overlay(host: str) -> bool:
    """Whether an IP address in canonical text is in fc00::/8."""
    return host.startswith("fc") and host[4:5] == ":"


@dataclass(frozen=True, slots=True)
class Multiaddr:
    """A UDP endpoint or host name, and perhaps the peer expected there; else `Malformed`."""

    kind: Kind
    host: str
    """Canonical IP address, or host name in lower case."""
    port: int
    """1 to 65535."""
    zone: str = ""
    """Interface of a link-local IPv6 address."""
    peer: PeerID | None = None

    def __post_init__(self) -> None:
        if self.kind in ("ip4", "ip6"):
            endpoint = Endpoint(self.host, self.port, self.zone)
            if endpoint.is_v6 != (self.kind == "ip6"):
                raise Malformed(f"multiaddr: {excerpt(self.host)} does not belong in /{self.kind}")
            object.__setattr__(self, "host", endpoint.host)
            return
        if self.kind not in ("dns4", "dns6") or self.zone:
            raise Malformed(f"multiaddr: not a kind of host, or not one with a zone: /{self.kind}")
        _check_port(self.port)
        object.__setattr__(self, "host", _host_name(self.host))

    @classmethod
    def of(cls, endpoint: Endpoint, peer: PeerID | None = None) -> Self:
        """The notation of an endpoint."""
        kind: Kind = "ip6" if endpoint.is_v6 else "ip4"
        return cls(kind, endpoint.host, endpoint.port, endpoint.zone, peer)

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint, or None where a host name has to be looked up first."""
        if self.kind in ("dns4", "dns6"):
            return None
        return Endpoint(self.host, self.port, self.zone)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form, such as `/ip4/192.0.2.1/udp/1312/rovy/<cid>`."""
        if len(text) > MAX_TEXT or not text.startswith("/"):
            raise Malformed(f"not a multiaddr: {excerpt(text)}")
        parts = text[1:].split("/")
        zone = ""
        if parts[0] == "ip6zone" and parts[2:3] == ["ip6"] and parts[1]:
            zone, parts = parts[1], parts[2:]
        match parts:
            case ["ip4" | "ip6" | "dns4" | "dns6" as kind, host, "udp", port]:
                peer = None
            case ["ip4" | "ip6" | "dns4" | "dns6" as kind, host, "udp", port, "rovy", cid]:
                peer = PeerID.parse(cid)
            case _:
                raise Malformed(f"not a multiaddr: {excerpt(text)}")
        return cls(kind, host, _parse_port(port), zone, peer)

    def __str__(self) -> str:
        zone = f"/ip6zone/{self.zone}" if self.zone else ""
        peer = self.peer.path if self.peer else ""
        return f"{zone}/{self.kind}/{self.host}/udp/{self.port}{peer}"

    def to_bytes(self) -> bytes:
        """The binary form."""
        zone = emit_part(IP6ZONE, self.zone.encode(), counted=True) if self.zone else b""
        by_name = self.endpoint is None
        host = self.host.encode() if by_name else ip_address(self.host).packed
        return b"".join(
            (
                zone,
                emit_part(_CODE_OF[self.kind], host, counted=by_name),
                emit_part(UDP, self.port.to_bytes(2, "big")),
                emit_part(ROVY, self.peer.cid_bytes, counted=True) if self.peer else b"",
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the binary form, to its end."""
        if len(data) > MAX_BYTES:
            raise Malformed(f"multiaddr: {len(data)} bytes")
        zone, at = _read_zone(data)
        code, at = decode_varint(data, at)
        kind = _HOST_CODES.get(code)
        if kind is None or (zone and code != IP6):
            raise Malformed(f"multiaddr: no host under code {code:#x}")
        host, at = _read_host(code, data, at)
        port, at = _read_port(data, at)
        return cls(kind, host, port, zone, _read_peer(data, at))


def _parse_ip(text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise Malformed(f"not an IP address: {excerpt(text)}") from None
    if "%" in text:
        raise Malformed(f"an IP address with its zone inside: {excerpt(text)}")
    return address


def _check_port(port: int) -> None:
    if not 1 <= port <= 65535:
        raise Malformed(f"not a UDP port: {port}")


def _parse_port(text: str) -> int:
    if not _PORT.fullmatch(text):
        raise Malformed(f"not a UDP port: {excerpt(text)}")
    return int(text)


def _check_zone(address: IPv4Address | IPv6Address, zone: str) -> None:
    if not (address.version == 6 and address.is_link_local):
        raise Malformed(f"only a link-local IPv6 address has a zone, {address} has {excerpt(zone)}")
    if not _ZONE.fullmatch(zone):
        raise Malformed(f"not an interface: {excerpt(zone)}")


def _host_name(text: str) -> str:
    """The name in lower case; names outside ASCII are to be given in their `xn--` form."""
    name = text.lower() if text.isascii() else ""
    if len(name) > 253 or not all(map(_NAME_PART.fullmatch, name.split("."))):
        raise Malformed(f"not a host name: {excerpt(text)}")
    return name


def _decode_ascii(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("multiaddr: text outside ASCII") from None


def _read_zone(data: bytes) -> tuple[str, int]:
    code, at = decode_varint(data, 0)
    if code != IP6ZONE:
        return "", 0
    value, at = take_value(data, at)
    if not value:
        raise Malformed("multiaddr: empty zone")
    return _decode_ascii(value), at


def _read_host(code: int, data: bytes, at: int) -> tuple[str, int]:
    if code in (DNS4, DNS6):
        value, at = take_value(data, at)
        return _decode_ascii(value), at
    value, at = take(data, at, 4 if code == IP4 else 16)
    return str(ip_address(value)), at


def _read_port(data: bytes, at: int) -> tuple[int, int]:
    code, at = decode_varint(data, at)
    if code != UDP:
        raise Malformed(f"multiaddr: code {code:#x} where udp belongs")
    value, at = take(data, at, 2)
    return int.from_bytes(value, "big"), at


def _read_peer(data: bytes, at: int) -> PeerID | None:
    if at == len(data):
        return None
    code, at = decode_varint(data, at)
    value, at = take_value(data, at)
    if code != ROVY or at != len(data):
        raise Malformed("multiaddr: something else than /rovy at its end")
    return PeerID.from_cid_bytes(value)
