"""The border to multicast DNS: one interface's announcements, real (`mdns`) or not (`fake`)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rovy.discovery.interface import Interface
from rovy.errors import RovyError


class Unusable(RovyError):
    """Multicast DNS cannot be had on an interface; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is said of a node: nothing of it is proved."""

    name: str
    """Of the instance: a PeerID, if it is one of ours."""
    port: int
    hosts: tuple[str, ...]
    """Addresses without zones."""
    version: str


class Listener(Protocol):
    """Who is told what is heard on an interface."""

    def wants(self, name: str) -> bool:
        """Whether more should be asked about an instance of that name."""

    def heard(self, announcement: Announcement) -> None:
        """An instance is there, or changed."""

    def gone(self, name: str) -> None:
        """It said goodbye, or was not heard for long."""


class Medium(Protocol):
    """Multicast DNS on one interface, from its opening on."""

    async def announce(self, name: str, port: int, hosts: Sequence[str]) -> None:
        """Say that this node is here, and answer those who ask."""

    async def close(self, *, goodbye: bool) -> None:
        """End; with a goodbye others forget us at once."""


Opener = Callable[[Interface, Listener], Awaitable[Medium]]
"""Listens on an interface. Raises `Unusable`."""
