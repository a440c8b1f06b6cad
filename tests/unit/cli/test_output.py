"""Tables and numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.cli.output import milliseconds, population, seconds, shorten, size, table


def test_columns_line_up_and_numbers_stand_right():
    assert table(("NAME", "COUNT"), [("a", "5"), ("bcdef", "1000")]) == [
        "NAME   COUNT",
        "a          5",
        "bcdef   1000",
    ]


def test_flexible_column_gives_way_in_its_middle():
    lines = table(("A", "ROUTE"), [("x" * 60, "123456789012345678901234567890")], flexible=1)
    assert max(map(len, lines)) == 80
    assert lines[1].endswith("  123456789…34567890")


@given(st.lists(st.text("ab", min_size=3, max_size=12), unique=True, max_size=20))
def test_short_ids_stay_apart(ends):
    peers = ["bafzqai" + end.rjust(52, "c") for end in ends]
    short = shorten(peers)
    assert len(set(short.values())) == len(peers)
    assert all(len(text) >= 12 for text in short.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.4, "0s"), (75, "1m 15s"), (3600, "1h 0m"), (200_000, "2d 7h")],
)
def test_seconds(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.00012, "0.120 ms"),
        (0.0012, "1.20 ms"),
        (0.0123, "12.3 ms"),
        (1.5, "1500 ms"),
    ],
)
def test_milliseconds(value, text):
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_960, "100 kB"),
        (999_600, "1.0 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_size(value, text):
    assert size(value) == text


@pytest.mark.parametrize(
    ("nodes", "exact", "text"),
    [
        (None, False, "of a size not known yet"),
        (1.0, True, "this node alone"),
        (6.0, True, "6 nodes, all in the map"),
        (1.2, False, "about 1 node"),
        (23.4, False, "about 23 nodes"),
        (999.9, False, "about 1 000 nodes"),
        (1187.3, False, "about 1 200 nodes"),
        (7654321.0, False, "about 7 700 000 nodes"),
    ],
)
def test_population(nodes, exact, text):
    assert population({"nodes": nodes, "exact": exact}) == text
