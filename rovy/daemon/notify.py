"""Word to the service manager, sd_notify(3)."""

import asyncio
import contextlib
import socket
import time
from collections.abc import MutableMapping

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Says what the service does; without an address it is silent."""

    def __init__(self, address: str, watchdog: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = watchdog
        """Seconds after which the manager takes silence for a hang; 0: it does not."""

    @classmethod
    def take(cls, environment: MutableMapping[str, str], pid: int) -> "Notifier":
        """As the environment says; what was said is taken out of it, as it is ours alone."""
        address, period, watched = (environment.pop(name, "") for name in VARIABLES)
        ours = period.isdecimal() and watched in ("", str(pid))
        return cls(address, int(period) / 1e6 if ours else 0.0)

    async def keep_alive(self) -> None:
        """Tell that the event loop turns, twice as often as has to be, until cancelled."""
        while self.watchdog:
            self._say("WATCHDOG=1")
            await asyncio.sleep(self.watchdog / 2)

    def ready(self, status: str) -> None:
        """The service does its work."""
        self._say(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The configuration is read again; `ready` follows."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service ends."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if self._address:
            with contextlib.suppress(OSError), _datagrams() as sock:
                sock.sendto(text.encode(), self._address)


def _datagrams() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.settimeout(1.0)
    return sock
