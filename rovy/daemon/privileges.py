"""What the daemon gives up once it is set up: capabilities(7), by capset(2) and prctl(2).

Capabilities belong to threads: this is called while there is one, and later ones inherit.
"""

import ctypes
import logging
import os
import pwd
from collections.abc import Iterable
from typing import Any, Final

NET_ADMIN: Final = "net_admin"
NET_BIND_SERVICE: Final = "net_bind_service"
DAC_OVERRIDE: Final = "dac_override"
NAMES: Final = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid"),
    *("setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw"),
    *("ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct"),
    *("sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod"),
    *("lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog"),
    *("wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore"),
)
"""By their numbers in linux/capability.h."""

_VERSION: Final = 0x20080522
_CAPBSET_READ, _CAPBSET_DROP, _NO_NEW_PRIVS, _AMBIENT = 23, 24, 38, 47
_AMBIENT_RAISE, _AMBIENT_CLEAR = 2, 4
log = logging.getLogger(__name__)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def drop_privileges(keep: Iterable[str]) -> None:
    """Give up every capability but these, for this process and the programs it starts.

    Those kept are ambient, so that such programs have them too. Where there is nothing to give
    up, or on a system without capabilities, nothing happens.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "capset"):
        log.debug("this system has no capabilities to give up")
        return
    _prctl(libc, _NO_NEW_PRIVS, 1)
    held = _permitted(libc)
    if not held:
        log.debug("there are no capabilities to give up")
        return
    kept = held & {NAMES.index(name) for name in keep}
    number = 0
    while _prctl(libc, _CAPBSET_READ, number) is not None:
        if number not in kept:
            _prctl(libc, _CAPBSET_DROP, number)  # only with setpcap; the rest holds without
        number += 1
    _prctl(libc, _AMBIENT, _AMBIENT_CLEAR)
    _capset(libc, kept)
    for number in kept:
        _prctl(libc, _AMBIENT, _AMBIENT_RAISE, number)
    log.debug("capabilities kept: %s", ", ".join(capabilities()) or "none")


def capabilities() -> list[str]:
    """Names of the capabilities in effect."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            line = next(line for line in status if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return []
    bits = int(line.split()[1], 16)
    known = [name for number, name in enumerate(NAMES) if bits >> number & 1]
    return known + [f"cap_{n}" for n in range(len(NAMES), bits.bit_length()) if bits >> n & 1]


def user() -> str:
    """Name of the user we run as, or the number."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _prctl(libc: Any, option: int, *arguments: int) -> int | None:
    """The result, or None where the kernel refused."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    result: int = libc.prctl(option, *map(ctypes.c_ulong, padded))
    return None if result < 0 else result


def _permitted(libc: Any) -> set[int]:
    sets = (_Sets * 2)()
    if libc.capget(ctypes.byref(_Header(_VERSION, 0)), sets) != 0:
        return set()
    bits = sets[0].permitted | sets[1].permitted << 32
    return {number for number in range(64) if bits >> number & 1}


def _capset(libc: Any, kept: set[int]) -> None:
    bits = sum(1 << number for number in kept)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    sets = (_Sets * 2)(_Sets(low, low, low), _Sets(high, high, high))
    if libc.capset(ctypes.byref(_Header(_VERSION, 0)), sets) != 0:
        log.warning("cannot give up capabilities: %s", os.strerror(ctypes.get_errno()))
