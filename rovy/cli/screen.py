"""A full screen that is drawn anew again and again, by the usual escape sequences."""

import os
import signal
import sys
from collections.abc import Sequence
from shutil import get_terminal_size
from types import TracebackType
from typing import Any, Self

import click

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # the other screen, no cursor, long lines end at its edge
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """The terminal's other screen; leaving shows the first one again."""

    def __enter__(self) -> Self:
        self._signal: Any = signal.signal(signal.SIGTERM, signal.default_int_handler)
        click.echo(_ENTER, nl=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        click.echo(_LEAVE, nl=False)
        signal.signal(signal.SIGTERM, self._signal)

    def show(self, body: Sequence[str], foot: Sequence[str]) -> None:
        """Draw lines, and others below; the body gives way where there is no room for all."""
        room = get_terminal_size().lines - len(foot)
        if len(body) > room:
            left = len(body) - max(room - 1, 0)
            body = [*body[: max(room - 1, 0)], f"… {left} more lines; enlarge the terminal"]
        lines = (line + _END_OF_LINE for line in (*body, *foot))
        click.echo(_HOME + "\n".join(lines) + _BELOW, nl=False)


def usable() -> bool:
    """Whether there is a terminal that can do it."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
