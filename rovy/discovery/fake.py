"""A LAN in memory: what is announced on it is heard by all who listen, after a moment."""

import asyncio
from collections.abc import Sequence

from rovy.discovery.const import VERSION
from rovy.discovery.interface import Interface
from rovy.discovery.medium import Announcement, Listener, Unusable

DELAY = 0.01
"""Seconds on the way."""


class FakeLan:
    """One link. What is `filtered` is announced to nobody, not even to whoever says it."""

    def __init__(self) -> None:
        self.filtered = False
        self.refused = ""
        """Why nobody can listen, if so."""
        self.said = 0
        self.media: list[FakeMedium] = []

    async def open(self, interface: Interface, listener: Listener) -> "FakeMedium":
        """Listen: an `Opener`."""
        if self.refused:
            raise Unusable(self.refused, "wait for better times")
        medium = FakeMedium(self, listener)
        self.media.append(medium)
        for other in self.media:
            if other.own:
                self._later(medium, other.own)
        return medium

    def tell(self, announcement: Announcement) -> None:
        """Let all hear something."""
        self.said += 1
        for medium in self.media:
            self._later(medium, announcement)

    def forget(self, name: str) -> None:
        """Let all hear a goodbye."""
        for medium in self.media:
            asyncio.get_running_loop().call_later(DELAY, medium.gone, name)

    def _later(self, medium: "FakeMedium", announcement: Announcement) -> None:
        if not self.filtered:
            asyncio.get_running_loop().call_later(DELAY, medium.heard, announcement)


class FakeMedium:
    """Implements `Medium`."""

    def __init__(self, lan: FakeLan, listener: Listener) -> None:
        self._lan, self._listener = lan, listener
        self.own: Announcement | None = None
        self.closed = False

    async def announce(self, name: str, port: int, hosts: Sequence[str]) -> None:
        """See `Medium`."""
        self.own = Announcement(name, port, tuple(hosts), VERSION)
        self._lan.tell(self.own)

    async def close(self, *, goodbye: bool) -> None:
        """See `Medium`."""
        self.closed = True
        self._lan.media.remove(self)
        if self.own and goodbye:
            self._lan.forget(self.own.name)

    def heard(self, announcement: Announcement) -> None:
        """Something arrives."""
        if not self.closed and self._listener.wants(announcement.name):
            self._listener.heard(announcement)

    def gone(self, name: str) -> None:
        """A goodbye arrives."""
        if not self.closed:
            self._listener.gone(name)
