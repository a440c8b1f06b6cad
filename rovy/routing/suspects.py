"""Links and nodes that failed of late and are kept out of routes. docs/protocol/routing.md §3"""

from dataclasses import dataclass
from typing import Final

from rovy.routing.graph import Element, pair

FIRST: Final = 30.0
"""Seconds a suspicion lasts the first time; each repetition doubles it."""
LONGEST: Final = 600.0
QUIET: Final = 600.0
"""Seconds after its end when a suspicion is forgotten: the next one is a first."""
MOST: Final = 256
"""Suspicions at most, ended ones included; the one that ends first gives way."""


@dataclass(frozen=True, slots=True)
class _Suspicion:
    until: float
    span: float


class Suspects:
    """What is under suspicion. `now` is a steady clock, seconds."""

    def __init__(self) -> None:
        self._found: dict[Element, _Suspicion] = {}

    def suspect_link(self, a: bytes, b: bytes, now: float) -> None:
        """The link between two nodes failed, in either direction."""
        self._suspect(pair(a, b), now)

    def suspect_node(self, node: bytes, now: float) -> None:
        """A node failed, or no link of it in particular."""
        self._suspect(node, now)

    def clear_link(self, a: bytes, b: bytes) -> None:
        """The link works."""
        self._found.pop(pair(a, b), None)

    def active(self, now: float) -> frozenset[Element]:
        """What is suspect now; links smaller short first."""
        return frozenset(each for each, found in self._found.items() if found.until > now)

    def next_expiry(self, now: float) -> float | None:
        """When the next of them ceases to be suspect; None if there is none."""
        return min(
            (found.until for found in self._found.values() if found.until > now), default=None
        )

    def _suspect(self, element: Element, now: float) -> None:
        """What is suspect stays so as long as it was: many packets may tell of one failure."""
        for each in [each for each, found in self._found.items() if found.until + QUIET <= now]:
            del self._found[each]
        found = self._found.get(element)
        if found and found.until > now:
            return
        if not found and len(self._found) >= MOST:
            del self._found[min(self._found, key=lambda each: self._found[each].until)]
        span = min(2 * found.span, LONGEST) if found else FIRST
        self._found[element] = _Suspicion(now + span, span)
