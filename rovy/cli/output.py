"""Tables, numbers and colours for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click

WIDTH: Final = 80
CUT: Final = "…"
NAME: Final = 12
"""Characters of a name that tables show."""
_PREFIX: Final = len("bafzqai")
_LEAST: Final = 4
_NARROWEST: Final = 8
"""Characters that are left of a column, if it has more."""
_UNITS: Final = ("kB", "MB", "GB", "TB")


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, flexible: int | None = None
) -> list[str]:
    """Lines of a table. Where it is wider than the terminal the `flexible` column gives way, then
    the widest of the others; if None, nothing does.
    """
    columns = list(zip(headers, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    if flexible is not None:
        _narrow(widths, [max(_NARROWEST, len(header)) for header in headers], flexible)
    numbers = [_is_numeric(column[1:]) for column in columns]
    lines = []
    for row in (headers, *rows):
        cells = zip(row, widths, numbers, strict=True)
        lines.append("  ".join(_cell(text, width, right) for text, width, right in cells).rstrip())
    return lines


def show_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, flexible: int | None = None
) -> None:
    """Print a table, its header bold on a terminal."""
    first, *rest = table(headers, rows, flexible=flexible)
    click.secho(first, bold=True)
    for line in rest:
        click.echo(line)


def show_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one a line."""
    pairs = list(fields)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {value}")


def show_json(document: Any, *, indent: int | None = 2) -> None:
    """Print a document for programs."""
    click.echo(json.dumps(document, indent=indent, ensure_ascii=False))


def shorten(peers: Iterable[str]) -> dict[str, str]:
    """Each id in the form `bafzqai…llee`, with as much of its end as tells it from the others."""
    every = set(peers)
    length = _LEAST
    while len({peer[-length:] for peer in every}) < len(every):
        length += 1
    return {peer: peer[:_PREFIX] + CUT + peer[-length:] for peer in every}


def who(name: str, peer: str, short: Mapping[str, str]) -> str:
    """How tables call a node: by its name if it has one, else by its shortened id."""
    if not name:
        return short.get(peer, "-")
    return name if len(name) <= NAME else name[: NAME - 1] + CUT


def counted(number: int, noun: str) -> str:
    """So many of something, such as `1 hop` or `3 hops`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def population(size: Mapping[str, Any]) -> str:
    """How many nodes the network has, as far as is known; an estimate has two digits that say
    something.
    """
    nodes = size["nodes"]
    if nodes is None:
        return "of a size not known yet"
    if not size["exact"]:
        number = f"{float(f'{nodes:.2g}'):,.0f}".replace(",", " ")
        return f"about {number} node{'s' * (number != '1')}"
    return f"{counted(round(nodes), 'node')}, all in the map" if nodes > 1 else "this node alone"


def seconds(value: float | None) -> str:
    """A duration in the two largest units that fit."""
    if value is None:
        return "-"
    whole = int(value)
    for unit, size, lower, lower_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // lower_size}{lower}"
    return f"{whole}s"


def milliseconds(value: float | None) -> str:
    """A round trip of so many seconds, as ping(8) writes it."""
    if value is None:
        return "-"
    value *= 1000
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} ms"


def size(value: float) -> str:
    """A number of bytes."""
    if value < 1000:
        return f"{value:.0f} B"
    power = 1
    while value >= 999.5 * 1000**power and power < len(_UNITS):
        power += 1
    value /= 1000**power
    return f"{value:.{1 if value < 99.95 else 0}f} {_UNITS[power - 1]}"


def _narrow(widths: list[int], least: list[int], flexible: int) -> None:
    over = sum(widths) + 2 * (len(widths) - 1) - _terminal_width()
    others = sorted(range(len(widths)), key=lambda column: -widths[column])
    for column in (flexible, *others):
        cut = max(0, min(over, widths[column] - least[column]))
        widths[column] -= cut
        over -= cut


def _cell(text: str, width: int, right: bool) -> str:
    if len(text) > width:  # what tells routes apart is at both ends
        text = text[: width // 2] + CUT + text[len(text) - (width - width // 2 - 1) :]
    return text.rjust(width) if right else text.ljust(width)


def _is_numeric(cells: Iterable[str]) -> bool:
    return all(cell == "-" or (cell[:1].isdigit() and ":" not in cell) for cell in cells)


def _terminal_width() -> int:
    if not sys.stdout.isatty():
        return WIDTH
    from shutil import get_terminal_size

    return max(40, get_terminal_size((WIDTH, 24)).columns)
