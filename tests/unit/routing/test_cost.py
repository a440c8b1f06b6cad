"""Costs as one byte."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.routing.cost import changed_enough, decode_cost, encode_cost


@pytest.mark.parametrize("q", range(256))
def test_every_byte_round_trips(q):
    assert encode_cost(decode_cost(q)) == q


def test_numbers():
    assert decode_cost(0) == 16e-6
    assert decode_cost(16) == 32e-6
    assert decode_cost(255) == pytest.approx(1.004, abs=0.001)
    assert encode_cost(0.001) == 95
    assert encode_cost(0.1) == 202


@pytest.mark.parametrize(
    ("seconds", "q"), [(-1.0, 0), (0.0, 0), (1e-6, 0), (1.1, 255), (1e9, 255), (inf, 255)]
)
def test_costs_out_of_range_count_as_the_end(seconds, q):
    assert encode_cost(seconds) == q


@given(st.floats(16e-6, 1.0))
def test_no_more_than_half_a_step_is_lost(seconds):
    assert decode_cost(encode_cost(seconds)) == pytest.approx(seconds, rel=2 ** (1 / 32) - 1)


@given(st.floats(16e-6, 1.0), st.floats(16e-6, 1.0))
def test_order_is_kept(a, b):
    low, high = sorted((a, b))
    assert encode_cost(low) <= encode_cost(high)


def test_a_quarter_more_or_less_is_a_change():
    old = decode_cost(160)
    assert [changed_enough(160, old * part) for part in (0.7, 0.76, 1.0, 1.24, 1.3)] == [
        True,
        False,
        False,
        False,
        True,
    ]


def test_less_than_a_millisecond_is_no_change():
    q = encode_cost(0.0012)
    assert [changed_enough(q, cost) for cost in (0.0003, 0.0021, 0.0023)] == [False, False, True]


def test_beyond_the_ends_nothing_changes():
    assert not changed_enough(255, 5.0)
    assert not changed_enough(0, 0.0)
