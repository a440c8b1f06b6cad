"""What the interface needs of the machine: IPv6, its address, and fc00::/8 to itself."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rovy.address.keys import ADDRESS_PREFIX, address_text
from rovy.io.rtmessages import MAIN_TABLE, UNICAST, Kind, Link, Route, beginning, messages
from rovy.io.rtnetlink import Netlink

BITS = 8
PREFIX = bytes((ADDRESS_PREFIX,)).ljust(16, b"\0")
TEXT = f"{address_text(PREFIX)}/{BITS}"
LEAST_MTU = 1280
"""RFC 8200 §5"""

_REFUSING = {6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"}
_INSIDE = beginning(ADDRESS_PREFIX)
_SYSCTL = Path("/proc/sys/net/ipv6")


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be done: the command a person would give, and the same as a call."""

    command: str
    do: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Survey:
    """How an interface stands."""

    link: Link
    has_address: bool
    has_route: bool
    rival: str
    """Another route into fc00::/8, with the way to be rid of it; empty where there is none."""

    @property
    def whole(self) -> bool:
        """Whether it is up and has all it needs."""
        return self.link.up and self.has_address and self.has_route


def survey(netlink: Netlink, index: int, address: bytes) -> Survey | None:
    """How an interface stands; None where it is gone."""
    link = netlink.link(index)
    if link is None:
        return None
    routes = [route for route in netlink.routes(ADDRESS_PREFIX) if is_inside(route)]
    own = (PREFIX, BITS, MAIN_TABLE, UNICAST)
    return Survey(
        link,
        address in netlink.addresses(index),
        any((r.prefix, r.bits, r.table, r.type) == own and index in r.out for r in routes),
        next((_rival(netlink, route) for route in routes if set(route.out) != {index}), ""),
    )


def lacking(netlink: Netlink, found: Survey, address: bytes) -> list[Step]:
    """What an interface lacks, in order."""
    index, commands = found.link.index, _commands(found.link.name, address)
    steps = [
        (found.has_address, lambda: netlink.add_address(index, address)),
        (found.link.up, lambda: netlink.set_up(index)),
        (found.has_route, lambda: netlink.add_route(index, PREFIX, BITS)),
    ]
    return [
        Step(command, do) for command, (has, do) in zip(commands, steps, strict=True) if not has
    ]


def take(steps: Sequence[Step]) -> list[str]:
    """Take steps; the commands of those that we may not. Raises `OSError` for other refusals."""
    refused = []
    for step in steps:
        try:
            step.do()
        except PermissionError:
            refused.append(step.command)
    return refused


def tune(netlink: Netlink, index: int, mtu: int) -> None:
    """Set what an interface can do without: its MTU, and no link-local address."""
    with suppress(OSError):
        netlink.refuse_link_local(index)
    with suppress(OSError):
        netlink.set_mtu(index, mtu)


def hindrance(link: Link) -> str:
    """Why an interface cannot have an IPv6 address, with the remedy; empty where it can."""
    if not _SYSCTL.exists():
        return "this kernel has no IPv6: start it without ipv6.disable=1"
    if link.mtu < LEAST_MTU:
        return (
            f"{link.name} has an MTU of {link.mtu}, and IPv6 needs {LEAST_MTU}:"
            f" `ip link set {link.name} mtu {LEAST_MTU}` or more"
        )
    with suppress(OSError):
        if (_SYSCTL / "conf" / link.name / "disable_ipv6").read_text().strip() != "0":
            setting = f"net.ipv6.conf.{link.name}.disable_ipv6"
            return f"IPv6 is disabled on {link.name}: `sysctl {setting}=0`"
    return ""


def prepared(name: str, mtu: int, address: bytes) -> str:
    """The commands by which root prepares an interface for us."""
    return " && ".join(
        (
            f"ip tuntap add {name} mode tun user {os.geteuid()}",
            f"ip link set {name} mtu {mtu} addrgenmode none",
            *_commands(name, address),
        )
    )


def concerns(data: bytes) -> bool:
    """Whether news from netlink may change how an interface stands."""
    routes = (Kind.NEW_ROUTE, Kind.DELETE_ROUTE)
    return any(each.kind not in routes or _INSIDE in each.body for each in messages(data))


def is_inside(route: Route) -> bool:
    """Whether a route takes packets for fc00::/8 elsewhere, or did so if it were not ours.

    fc00::/7 does where it is a route of some other network. Where it refuses, it is the guard of
    RFC 4193 §4.3, which longer prefixes such as ours pass by.
    """
    if route.prefix[0] != ADDRESS_PREFIX or route.bits < BITS - 1:
        return False
    return route.type == UNICAST or (route.type in _REFUSING and route.bits >= BITS)


def _rival(netlink: Netlink, route: Route) -> str:
    links = [netlink.link(index) for index in route.out]
    name = next((link.name for link in links if link), "")
    over, dev = (f"over {name}", f" dev {name}") if name else ("elsewhere", "")
    kind = f"{_REFUSING[route.type]} " if route.type in _REFUSING else ""
    table = "" if route.table == MAIN_TABLE else f" table {route.table}"
    return (
        f"another route to {route} goes {over}: remove it"
        f" (`ip -6 route delete {kind}{route}{dev}{table}`) or what made it"
    )


def _commands(name: str, address: bytes) -> tuple[str, str, str]:
    return (
        f"ip -6 address add {address_text(address)}/128 dev {name}",
        f"ip link set {name} up",
        f"ip -6 route add {TEXT} dev {name}",
    )
