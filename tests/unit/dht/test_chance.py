"""Random choices from random bytes."""

from random import Random

import pytest

from rovy.dht.chance import fraction, id_at_depth, shuffled, spread


def test_fraction():
    assert fraction(lambda size: bytes(size)) == 0.0
    assert 0.99 < fraction(lambda size: b"\xff" * size) < 1.0


def test_spread():
    assert spread(lambda size: bytes(size), 100.0) == pytest.approx(80.0)
    assert spread(lambda size: b"\xff" * size, 100.0) == pytest.approx(120.0)


def test_shuffled():
    items = list(range(20))
    orders = {tuple(shuffled(Random(seed).randbytes, items)) for seed in range(10)}
    assert len(orders) == 10
    assert all(sorted(order) == items for order in orders)
    assert shuffled(Random(1).randbytes, []) == []


@pytest.mark.parametrize("depth", [0, 1, 7, 8, 100, 159])
def test_ids_at_a_depth(depth):
    random = Random(depth)
    own = random.getrandbits(160)
    for _ in range(20):
        number = int.from_bytes(id_at_depth(random.randbytes, own, depth), "big")
        assert 160 - (own ^ number).bit_length() == depth
