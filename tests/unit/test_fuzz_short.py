"""A short cut of `make fuzz`, with seeds that never change."""

import pytest

from tests.fuzz.run import one_round

INPUTS = {"parsers": 400, "plane": 6000, "strangers": 2000, "insiders": 700}


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("target", INPUTS)
def test_hostile_input(target, number):
    one_round("short", target, number, INPUTS[target])
