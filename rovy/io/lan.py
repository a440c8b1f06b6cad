"""Interfaces of this machine as discovery wants them: their flags, and addresses that work."""

import fcntl
import socket
from contextlib import suppress
from pathlib import Path
from struct import Struct

from rovy.discovery.interface import Address, Interface
from rovy.io.interfaces import hosts_of

_SIOCGIFFLAGS = 0x8913
_UP, _LOOPBACK, _POINT_TO_POINT, _RUNNING, _MULTICAST = 0x1, 0x8, 0x10, 0x40, 0x1000
_REQUEST = Struct("=16sH22x")
_IF_INET6 = Path("/proc/net/if_inet6")
_TENTATIVE, _OPTIMISTIC = 0x40, 0x04


def lan_interfaces() -> list[Interface]:
    """All that are up and have a carrier, without addresses in fc00::/8."""
    import ifaddr

    unproved = _tentative()
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for adapter in ifaddr.get_adapters():
            flags = _flags(sock, adapter.name)
            addresses = [
                Address(host, prefix)
                for host, prefix in hosts_of(adapter)
                if (adapter.name, host) not in unproved
            ]
            if flags & _UP and flags & _RUNNING:
                found.append(
                    Interface(
                        adapter.name,
                        adapter.index or 0,
                        tuple(sorted(addresses, key=lambda each: (each.is_v6, each.host))),
                        multicast=bool(flags & _MULTICAST),
                        loopback=bool(flags & _LOOPBACK),
                        point_to_point=bool(flags & _POINT_TO_POINT),
                    )
                )
    return found


def _flags(sock: socket.socket, name: str) -> int:
    """Of netdevice(7); 0 where the interface is gone, or is none of the kernel's."""
    with suppress(OSError):
        answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, _REQUEST.pack(name.encode()[:15], 0))
        return int(_REQUEST.unpack(answer)[1])
    return 0


def _tentative() -> set[tuple[str, str]]:
    """IPv6 addresses that nothing can be bound to yet, as the kernel asks whether others have
    them; netlink tells when that is over."""
    found = set()
    with suppress(OSError, ValueError):
        for line in _IF_INET6.read_text().splitlines():
            packed, _, _, _, flags, name = line.split()
            if int(flags, 16) & _TENTATIVE and not int(flags, 16) & _OPTIMISTIC:
                found.add((name, socket.inet_ntop(socket.AF_INET6, bytes.fromhex(packed))))
    return found
