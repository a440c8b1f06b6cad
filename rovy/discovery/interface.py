"""Interfaces of this machine: which of them lead to a LAN, and what is near on them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

from rovy.address.multiaddr import Endpoint
from rovy.errors import Malformed


@dataclass(frozen=True, slots=True)
class Address:
    """An address of an interface, and the bits that are alike for all on its link."""

    host: str
    prefix: int

    @property
    def is_v6(self) -> bool:
        """Whether it is an IPv6 address."""
        return ":" in self.host

    @property
    def is_link_local(self) -> bool:
        """Whether it is an IPv6 address that every interface has one of."""
        return self.is_v6 and ip_address(self.host).is_link_local


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface that is up."""

    name: str
    index: int
    addresses: tuple[Address, ...]
    multicast: bool = True
    loopback: bool = False
    point_to_point: bool = False

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses, without their prefixes."""
        return tuple(each.host for each in self.addresses)

    def near(self, host: str, port: int) -> Endpoint | None:
        """A host that was named on this interface, if it can be on its link at all.

        Others are left alone: whoever announces must not make us send to far strangers.
        """
        try:
            address = ip_address(host)
            zone = self.name if address.version == 6 and address.is_link_local else ""
            endpoint = Endpoint(host, port, zone)
        except (ValueError, Malformed):
            return None
        if address.is_multicast or address.is_unspecified or endpoint.in_overlay:
            return None
        if zone:
            return endpoint if any(own.is_link_local for own in self.addresses) else None
        return endpoint if any(_holds(own, host) for own in self.addresses) else None

    def announced(self, bound: Iterable[Endpoint]) -> tuple[int, tuple[str, ...]]:
        """The port, and the addresses here at which one of our sockets has it; none: 0, ()."""
        for port in dict.fromkeys(endpoint.port for endpoint in bound):
            hosts = {endpoint.host for endpoint in bound if endpoint.port == port}
            found = [host for host in self.hosts if host in hosts or _any(host) in hosts]
            if found:
                return port, tuple(found)
        return 0, ()


def objection(interface: Interface, patterns: Sequence[str], own: str) -> str:
    """Why an interface is left out, or empty. `own`: the name of rovy's.

    Without patterns tunnels are left out: who is at their other end is no neighbour.
    """
    if interface.name == own:
        return "rovy's own"
    if interface.loopback or not interface.multicast:
        return "no multicast"
    if patterns and not any(fnmatchcase(interface.name, pattern) for pattern in patterns):
        return "not in discovery_interfaces"
    if interface.point_to_point and not patterns:
        return "a tunnel; name it in discovery_interfaces to use it"
    return "" if interface.addresses else "no address"


def _holds(own: Address, host: str) -> bool:
    if own.is_v6 != (":" in host) or own.is_link_local:
        return False
    return ip_address(host) in ip_network(f"{own.host}/{own.prefix}", strict=False)


def _any(host: str) -> str:
    return "::" if ":" in host else "0.0.0.0"
