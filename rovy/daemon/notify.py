"""Word to the service manager, sd_notify(3)."""

import contextlib
import socket
import time


class Notifier:
    """Says what the service does; without an address it is silent."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

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
