"""On which line of a TOML file a setting stands, for error messages.

`tomllib` tells positions only of what does not parse. This finds keys by their looks, which is
enough for people: where a file is written in an unusual way it names the first line.
"""

import re
from typing import Final

_HEADER: Final = re.compile(r"\s*\[")
_PEER: Final = re.compile(r"\s*\[\[\s*[\"']?peer[\"']?\s*\]\]")


class Lines:
    """The lines of one file, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def of(self, key: str, item: object = None) -> int:
        """The line of a key at the top, or of an entry of its list."""
        end = next((n for n, line in enumerate(self._lines) if _is_header(line)), len(self._lines))
        at = self._find(key, 0, end)
        if at is None:
            table = re.compile(rf"\s*\[+\s*[\"']?{re.escape(key)}[\"']?\s*[\].]")
            at = next((n for n, line in enumerate(self._lines) if table.match(line)), 0)
        if isinstance(item, str):
            at = next((n for n in range(at, end) if item in self._lines[n]), at)
        return at + 1

    def of_peer(self, number: int, key: str) -> int:
        """The line of a key of the given `[[peer]]`, counted from 0, or that of the header."""
        headers = [n for n, line in enumerate(self._lines) if _PEER.match(line)]
        if number >= len(headers):
            return self.of("peer")
        start = headers[number]
        rest = range(start + 1, len(self._lines))
        end = next((n for n in rest if _is_header(self._lines[n])), len(self._lines))
        at = self._find(key, start + 1, end)
        return (start if at is None else at) + 1

    def _find(self, key: str, start: int, end: int) -> int | None:
        pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]")
        return next((n for n in range(start, end) if pattern.match(self._lines[n])), None)


def _is_header(line: str) -> bool:
    """Whether a table begins; a list's continuation line that begins with [ looks alike."""
    return bool(_HEADER.match(line)) and "=" not in line.split("#")[0]
