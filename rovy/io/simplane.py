"""Hosts that move on a plane: who is near enough has a link, and distance decides its quality.

    plane = Plane(net, within(150.0, Quality(latency=0.001, rate=100e6)))
    plane.place("192.0.2.1", 0.0, 0.0)
    came, went = plane.place("192.0.2.2", 100.0, 0.0)

For networks made with `connected=False`.
"""

from collections.abc import Callable
from dataclasses import replace
from math import hypot

from rovy.io.sim import Quality, SimNet

Rule = Callable[[float], Quality | None]
"""Metres between two hosts -> the quality of their link, or None where they hear nothing."""


def within(reach: float, quality: Quality) -> Rule:
    """The same quality for all who are at most `reach` metres apart."""
    return lambda distance: quality if distance <= reach else None


def fading(reach: float, quality: Quality, loss: float) -> Rule:
    """As `within`, and the loss grows with the square of the distance, up to `loss` at the edge."""

    def rule(distance: float) -> Quality | None:
        if distance > reach:
            return None
        return replace(quality, loss=loss * (distance / reach) ** 2)

    return rule


class Plane:
    """Where everyone is, and hence who is linked."""

    def __init__(self, net: SimNet, rule: Rule) -> None:
        self._net, self._rule = net, rule
        self.places: dict[str, tuple[float, float]] = {}
        """Metres, by address."""
        self._near: dict[str, set[str]] = {}

    def place(self, address: str, x: float, y: float) -> tuple[list[str], list[str]]:
        """Put a host somewhere, for the first time or again: (new neighbours, former ones)."""
        self.places[address] = x, y
        before, near = self._near.setdefault(address, set()), set[str]()
        for other in self.places:
            quality = self._quality(address, other) if other != address else None
            if quality:
                self._net.link(address, other, **{name: getattr(quality, name) for name in _NAMES})
                near.add(other)
        for other in before - near:
            self._net.cut(address, other)
            self._near[other].discard(address)
        for other in near:
            self._near[other].add(address)
        self._near[address] = near
        return sorted(near - before), sorted(before - near)

    def remove(self, address: str) -> None:
        """Take a host away, and its links with it."""
        for other in self._near.pop(address):
            self._net.cut(address, other)
            self._near[other].discard(address)
        del self.places[address]

    def near(self, address: str) -> list[str]:
        """Who is linked with a host now."""
        return sorted(self._near[address])

    def _quality(self, a: str, b: str) -> Quality | None:
        (ax, ay), (bx, by) = self.places[a], self.places[b]
        return self._rule(hypot(ax - bx, ay - by))


_NAMES = tuple(Quality.__dataclass_fields__)
