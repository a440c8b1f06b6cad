"""Between paths and what recvmsg(2) and sendmsg(2) have: addresses and PKTINFO (ip(7), ipv6(7))."""

import socket
from struct import Struct

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct

IP_PKTINFO, IPV6_PKTINFO = 8, 50
_PKTINFO4 = Struct("=i4s4s")
_PKTINFO6 = Struct("=16si")
Address = tuple[str, int] | tuple[str, int, int, int]
Ancillary = list[tuple[int, int, bytes]]


def direct(number: int, address: Address, info: bytes, *, v6: bool) -> Direct:
    """The path a datagram came by. Raises `Malformed` for port 0."""
    host, _, zone_text = address[0].partition("%")
    if not v6:
        ifindex, _, local = _PKTINFO4.unpack(info) if info else (0, b"", b"")
        name = socket.inet_ntoa(local) if local else ""
        return Direct(number, Endpoint.canonical(host, address[1]), name, 0 if name else ifindex)
    local, ifindex = _PKTINFO6.unpack(info) if info else (b"", 0)
    scope = address[3] if len(address) > 3 else 0
    zone = zone_text or (socket.if_indextoname(scope) if scope else "")
    remote = Endpoint.canonical(host, address[1], zone if host.startswith("fe80:") else "")
    name = socket.inet_ntop(socket.AF_INET6, local) if local else ""
    return Direct(number, remote, name, ifindex if host.startswith("fe80:") else 0)


def destination(path: Direct, *, v6: bool) -> tuple[Address, Ancillary]:
    """What sendmsg wants for a path: the address, and PKTINFO for its source."""
    remote = path.remote
    if not v6:
        local = socket.inet_aton(path.local) if path.local else bytes(4)
        info = _PKTINFO4.pack(path.ifindex, local, bytes(4))
        ancillary = [(socket.IPPROTO_IP, IP_PKTINFO, info)] if path.local or path.ifindex else []
        return (remote.host, remote.port), ancillary
    scope = 0
    if remote.zone:
        try:
            scope = socket.if_nametoindex(remote.zone)
        except OSError:
            scope = path.ifindex
    packed = socket.inet_pton(socket.AF_INET6, path.local) if path.local else bytes(16)
    info = _PKTINFO6.pack(packed, path.ifindex)
    ancillary = [(socket.IPPROTO_IPV6, IPV6_PKTINFO, info)] if path.local else []
    return (remote.host, remote.port, 0, scope), ancillary
