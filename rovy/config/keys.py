"""Key files on disk: made once, never overwritten, refused where others can read them."""

import os
import stat
from pathlib import Path

from rovy.address.keyfile import MAX_TEXT, KeyFile
from rovy.address.keys import PrivateKey
from rovy.config.files import create_file
from rovy.errors import Malformed, UsageError

_OTHERS = 0o037
"""Read by the group is allowed, for secrets that are mounted; nothing more."""


def load_or_create_key(path: Path) -> tuple[PrivateKey, bool]:
    """The key in a file, and whether it had to be made. Raises `Malformed` or `UsageError`."""
    try:
        return load_key(path), False
    except FileNotFoundError:
        pass
    private = PrivateKey.generate(os.urandom)
    try:
        create_key(path, private)
    except FileExistsError:
        return load_key(path), False  # another process was faster
    return private, True


def load_key(path: Path) -> PrivateKey:
    """The key in a file. Raises `FileNotFoundError`, `Malformed` or `UsageError`."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_TEXT + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; check its owner") from None
    if mode & _OTHERS:
        raise UsageError(f"{path}: open to other users (mode {mode:04o}): chmod 600 {path}")
    try:
        return KeyFile.parse(data.decode("utf-8", "replace")).private
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from None


def create_key(path: Path, private: PrivateKey) -> None:
    """Write a new key file. Raises `FileExistsError`, or `UsageError` where it cannot be."""
    try:
        create_file(path, KeyFile(private).emit().encode())
    except FileExistsError:
        raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be created: {error.strerror}") from None
