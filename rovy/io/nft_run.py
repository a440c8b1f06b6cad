"""Runs nft(8) for `rovy.fcnet.nft`."""

import os
import subprocess
from collections.abc import Sequence
from typing import Final

from rovy.fcnet.nft import Done

TIMEOUT: Final = 5.0
"""Seconds until a command is ended; it takes about 10 ms."""
TIMED_OUT: Final = 124
_PLACES: Final = "/usr/sbin:/sbin"


def run(argv: Sequence[str], stdin: str) -> Done:
    """Run a command to its end, blocking. Raises `FileNotFoundError` where it is missing."""
    path = f"{os.environ.get('PATH', os.defpath)}:{_PLACES}"
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
            env={**os.environ, "PATH": path, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return Done(TIMED_OUT, error=f"no end after {TIMEOUT:g} s")
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        return Done(error.errno or 1, error=str(error))
    return Done(done.returncode, done.stdout, done.stderr)
