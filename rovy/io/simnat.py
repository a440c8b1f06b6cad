"""Simulated NATs: who may answer through which mapping, and for how long. RFC 4787 §4, §5

nat = net.nat("198.51.100.1", "symmetric")
host = net.host("10.0.0.2", behind=nat)
"""

from dataclasses import dataclass, field
from typing import Literal

from rovy.address.multiaddr import Endpoint

Kind = Literal["full cone", "restricted cone", "port restricted", "symmetric"]
"""The first three keep one mapping for all destinations and differ in who may answer: anyone,
hosts that were sent to, or endpoints that were. The last has a mapping for each destination."""
FIRST_PORT, PORTS = 20000, 40000


@dataclass(slots=True)
class Mapping:
    """One public port and whom it stands for."""

    inner: Endpoint
    port: int
    used: float
    """When something last went out by it, which alone keeps it alive."""
    asked: dict[str, float] = field(default_factory=dict)
    """Hosts, or hosts and ports, that something was sent to, and when; what may answer."""


class Nat:
    """One NAT with one public address."""

    def __init__(self, address: str, kind: Kind, timeout: float = 60.0) -> None:
        self.address, self.kind, self.timeout = address, kind, timeout
        self._by_port: dict[int, Mapping] = {}
        self._by_source: dict[tuple[object, ...], Mapping] = {}
        self._next = 0

    def out(self, source: Endpoint, destination: Endpoint, now: float) -> Endpoint | None:
        """The endpoint a datagram gets as its source; None where no port is left."""
        key = self._key(source, destination)
        mapping = self._by_source.get(key)
        if mapping is None or self._over(mapping.used, now):
            mapping = self._map(key, source, now)
            if mapping is None:
                return None
        mapping.used = now
        mapping.asked[self._filter(destination)] = now
        return Endpoint(self.address, mapping.port)

    def into(self, source: Endpoint, destination: Endpoint, now: float) -> Endpoint | None:
        """The endpoint inside that a datagram from outside is for; None where it may not enter."""
        mapping = self._by_port.get(destination.port)
        if mapping is None or self._over(mapping.used, now):
            return None
        asked = mapping.asked.get(self._filter(source))
        if asked is None or self._over(asked, now):
            return None
        return mapping.inner

    def rebind(self) -> None:
        """Forget every mapping and choose other ports from now on, as a router that restarts."""
        self._by_port.clear()
        self._by_source.clear()
        self._next += 1000

    def _map(self, key: tuple[object, ...], source: Endpoint, now: float) -> Mapping | None:
        if len(self._by_port) >= PORTS:
            self._expire(now)
        if len(self._by_port) >= PORTS:
            return None
        while FIRST_PORT + self._next % PORTS in self._by_port:
            self._next += 1
        port = FIRST_PORT + self._next % PORTS
        self._next += 1
        former = self._by_source.pop(key, None)
        if former:
            del self._by_port[former.port]
        mapping = self._by_port[port] = self._by_source[key] = Mapping(source, port, now)
        return mapping

    def _expire(self, now: float) -> None:
        for key, mapping in list(self._by_source.items()):
            if self._over(mapping.used, now):
                del self._by_source[key], self._by_port[mapping.port]

    def _over(self, since: float, now: float) -> bool:
        return now - since > self.timeout

    def _key(self, source: Endpoint, destination: Endpoint) -> tuple[object, ...]:
        inner = source.host, source.port
        return (*inner, destination.host, destination.port) if self.kind == "symmetric" else inner

    def _filter(self, other: Endpoint) -> str:
        """What of another endpoint decides whether it may answer."""
        if self.kind == "full cone":
            return ""
        return other.host if self.kind == "restricted cone" else str(other)
