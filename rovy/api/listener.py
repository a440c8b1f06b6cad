"""The Unix socket: who may open it decides who may control the node."""

import contextlib
import errno
import grp
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from rovy.errors import UsageError

MODE = 0o660
GROUP = "rovy"
_ANSWER_TIME = 2.0


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen on the API socket, and remove it in the end; a stale one is replaced.

    Raises `UsageError` with the remedy.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _clear(path)
        sock = _bind(path)
        inode = path.lstat().st_ino
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{path}: cannot listen there: {reason}; choose another place with --socket"
        ) from None
    try:
        yield sock
    finally:
        sock.close()
        with contextlib.suppress(OSError):
            if path.lstat().st_ino == inode:  # else somebody else's by now
                path.unlink()


def _clear(path: Path) -> None:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_ANSWER_TIME)
            probe.connect(os.fspath(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        if not path.is_socket():
            raise OSError(errno.EEXIST, "something else is there") from None
        path.unlink()
        return
    except TimeoutError:
        pass
    raise UsageError(
        f"another rovyd answers on {path}: stop it with `rovyctl stop`, or give this one a socket"
        " and a directory of its own with --socket and --state-dir"
    )


def _bind(path: Path) -> socket.socket:
    """The mode is set before the socket has its name, so that it is never more open."""
    sock = socket.socket(socket.AF_UNIX)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        before = os.umask(0o777 & ~MODE)
        try:
            sock.bind(os.fspath(fresh))
        finally:
            os.umask(before)
        _give_to_group(fresh)
        sock.listen(64)
        os.rename(fresh, path)
    except BaseException:
        sock.close()
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    sock.setblocking(False)
    return sock


def _give_to_group(path: Path) -> None:
    """A system service lets the members of its group in, where there is such a group."""
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
