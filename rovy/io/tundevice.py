"""A TUN descriptor, and why there is none, with the remedy (Documentation/networking/tuntap)."""

import errno
import os
import socket
from fcntl import ioctl
from struct import Struct

from rovy.errors import UsageError

DEVICE = "/dev/net/tun"
_SET_INTERFACE = 0x400454CA  # TUNSETIFF
_TUN, _PLAIN_PACKETS, _VNET_HEADER = 0x0001, 0x1000, 0x4000
_REQUEST = Struct("=16sH22x")


class TunDevice:
    """An open TUN device: each read and each write on its descriptor is one packet with a header.

    Attaches to a device of that name if there is one, else makes one, which goes with the
    descriptor. Raises `UsageError` where it may or can not; `prepared` are the commands by which
    root could make one for us.
    """

    def __init__(self, name: str, prepared: str) -> None:
        try:
            self.fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(_not_open(error)) from None
        try:
            flags = _TUN | _PLAIN_PACKETS | _VNET_HEADER
            ioctl(self.fd, _SET_INTERFACE, _REQUEST.pack(name.encode(), flags))
            self.index = socket.if_nametoindex(name)
        except OSError as error:
            os.close(self.fd)
            raise UsageError(_not_made(name, error, prepared)) from None

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)


def _not_open(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return f"{DEVICE} is missing: `modprobe tun`; a container needs the device passed in"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"{DEVICE} may not be opened by this user: run as root, or `chmod 0666 {DEVICE}`, which"
            " alone lets nobody make interfaces"
        )
    return f"{DEVICE} cannot be opened: {error.strerror}"


def _not_made(name: str, error: OSError, prepared: str) -> str:
    if error.errno == errno.EINVAL:
        return (
            f"{name} exists and is another kind of interface: choose another name, or"
            f" `ip link delete {name}`"
        )
    if error.errno == errno.EBUSY:
        return f"{name} is used by another process: stop that, or choose another name"
    if error.errno == errno.EPERM:
        if _exists(name):  # somebody else's
            prepared = f"ip tuntap delete {name} mode tun && {prepared}"
        return (
            f"no permission for {name}: run as root or with CAP_NET_ADMIN (systemd:"
            f" AmbientCapabilities=CAP_NET_ADMIN), or prepare it as root: `{prepared}`"
        )
    return f"{name} cannot be made: {error.strerror}"


def _exists(name: str) -> bool:
    try:
        return socket.if_nametoindex(name) > 0
    except OSError:
        return False
