"""Rules of the firewall: what others may begin. All else is closed.

tcp/22                      one port
udp/5000-5010               a range of ports
tcp                         every port of a protocol
any                         whatever there is
tcp/22 from <peer id>       the same for one node only
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from rovy.address.keys import PeerID, excerpt
from rovy.errors import Malformed, UsageError

MOST: Final = 256
"""Rules a node holds; further ones are refused."""
MAX_PORT: Final = 65535
REMEDY: Final = "write one such as tcp/22, udp/5000-5010, tcp, any, or tcp/22 from <peer id>"
FROM: Final = " from "


class Protocol(StrEnum):
    """What a rule lets in; `any` includes protocols that have no name here."""

    TCP = "tcp"
    UDP = "udp"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Rule:
    """Lets one kind of packet in."""

    protocol: Protocol
    ports: range | None = None
    """Destination ports; None for all of them. Never set with `any`."""
    peer: PeerID | None = None
    """The only node it holds for; None for every node."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rule as `str` writes it. Raises `Malformed` with the remedy."""
        what, separator, who = text.partition(FROM)
        name, slash, ports = what.strip().partition("/")
        if name not in _NAMES:
            raise Malformed(f"not a rule: {excerpt(text)}; {REMEDY}")
        protocol = Protocol(name)
        if slash and protocol is Protocol.ANY:
            raise Malformed("any has no ports: write tcp/… or udp/…, or any alone")
        peer = _peer(who.strip()) if separator else None
        return cls(protocol, _ports(ports) if slash else None, peer)

    def __str__(self) -> str:
        ports = f"/{port_text(self.ports)}" if self.ports else ""
        return f"{self.protocol}{ports}" + (f"{FROM}{self.peer}" if self.peer else "")


class Rules:
    """The rules of a node, in the order in which they were made: at most 256, none twice."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules: dict[Rule, None] = {}
        for rule in rules:
            self.allow(rule)

    def allow(self, rule: Rule) -> bool:
        """Add a rule; False where it is there already. Raises `UsageError` on one too many."""
        if rule in self._rules:
            return False
        if len(self._rules) >= MOST:
            raise UsageError(f"there are {MOST} rules already: deny one, or allow a range of ports")
        self._rules[rule] = None
        return True

    def deny(self, rule: Rule) -> None:
        """Take a rule away. Raises `UsageError` where there is none such."""
        if rule not in self._rules:
            there = ", ".join(map(str, self._rules)) or "none, all is closed"
            raise UsageError(f"no rule {rule}; there are: {there}")
        del self._rules[rule]

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)


def port_text(ports: range) -> str:
    """`22` or `5000-5010`."""
    return str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"


_NAMES: Final = frozenset(map(str, Protocol))


def _ports(text: str) -> range:
    first, dash, last = text.partition("-")
    low, high = _port(first), _port(last if dash else first)
    if low > high:
        raise Malformed(f"ports {excerpt(text)}: write the lower one first")
    return range(low, high + 1)


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    if not 0 < number <= MAX_PORT:
        raise Malformed(f"not a port: {excerpt(text)}; ports are 1 to {MAX_PORT}")
    return number


def _peer(text: str) -> PeerID:
    try:
        return PeerID.parse(text)
    except Malformed as error:
        raise Malformed(f"{error}; write a peer id after from, 59 characters") from None
