"""Addresses of this machine, and word of their changes from netlink (rtnetlink(7))."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from rovy.io.base import LocalAddress

_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # links, IPv4 and IPv6 addresses and routes
_SETTLE = 0.05
"""Seconds for a burst of messages to end."""


def local_addresses() -> list[LocalAddress]:
    """Addresses of all interfaces."""
    import ifaddr

    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            found.append(LocalAddress(address, adapter.name, adapter.index or 0))
    return found


class Watcher:
    """Calls back when links, addresses or routes change; does nothing where netlink is missing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        self._loop, self._changed = loop, changed
        self._timer: asyncio.TimerHandle | None = None
        self._sock: socket.socket | None = None
        with suppress(OSError, AttributeError):
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            try:
                sock.setblocking(False)
                sock.bind((0, _GROUPS))
            except OSError:
                sock.close()
                raise
            self._sock = sock
            loop.add_reader(sock.fileno(), self._readable)

    @property
    def hears(self) -> bool:
        """Whether changes are told at all."""
        return self._sock is not None

    def close(self) -> None:
        """Stop watching."""
        if self._timer:
            self._timer.cancel()
        if self._sock:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _readable(self) -> None:
        assert self._sock is not None
        with suppress(BlockingIOError, OSError):
            while self._sock.recv(65536):
                pass
        if self._timer is None:
            self._timer = self._loop.call_later(_SETTLE, self._settled)

    def _settled(self) -> None:
        self._timer = None
        self._changed()
