"""Files that are whole or not there: what survives kill -9 and a full disk at any moment."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rovy.errors import UsageError

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def replace_file(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 in place of the former one: a reader sees either, never a mix.

    One process at a time: it holds the directory's lock. Raises `OSError`; the former file is
    then still there.
    """
    fresh = path.with_name(f".{path.name}.new")
    with _removed_on_error(fresh):
        _write(fresh, data, os.O_TRUNC)
        os.replace(fresh, path)
    _sync_directory(path.parent)


def create_file(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 that was not there: `FileExistsError` where it was.

    It appears under its name only when it is whole. Raises `OSError`.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        _write(fresh, data, os.O_EXCL)
        try:
            os.link(fresh, path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _create_in_place(path, data)
    finally:
        with suppress(FileNotFoundError):
            fresh.unlink()
    _sync_directory(path.parent)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory for this process. Raises `UsageError` where another one holds it."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(handle, directory)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, directory: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"another rovyd uses {directory}: stop it with `rovyctl stop`, or give this one a"
            " directory and a socket of its own with --state-dir and --socket"
        ) from None


def _create_in_place(path: Path, data: bytes) -> None:
    """For file systems without hard links."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(handle)
    with _removed_on_error(path):
        _write(path, data, os.O_TRUNC)


def _write(path: Path, data: bytes, flags: int) -> None:
    flags |= os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
