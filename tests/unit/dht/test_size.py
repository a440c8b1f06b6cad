"""How many nodes there are, and whether too many are in one place."""

from random import Random

import pytest

from rovy.dht.const import SPACE, K
from rovy.dht.size import Size


def distances(random, count, crowd=()):
    """Of the k nearest of so many nodes to a random target."""
    return sorted([*(random.randrange(SPACE) for _ in range(count)), *crowd])[:K]


def taught(random, count, lookups=8):
    size = Size()
    for _ in range(lookups):
        assert not size.saw(distances(random, count))
    return size


def test_nothing_is_known_at_first():
    size = Size()
    assert size.estimate is None
    assert size.radius(16) == SPACE
    assert not size.crowded([1] * K)


@pytest.mark.parametrize("others", range(K))
def test_small_networks_are_counted(others):
    size = Size()
    size.saw([SPACE // 2] * others)
    assert size.estimate == others + 1


@pytest.mark.parametrize("count", [10, 100, 1000, 10_000])
def test_estimates_are_about_right(count):
    estimate = taught(Random(count), count).estimate
    assert 0.6 * count < estimate < 1.6 * count


def test_the_median_does_not_follow_a_liar():
    random = Random(1)
    size = taught(random, 1000)
    for _ in range(3):
        size.saw([1] * K)
    assert 600 < size.estimate < 2500


def test_a_crowd_is_noticed():
    random = Random(2)
    size = taught(random, 1000)
    near = [random.randrange(SPACE >> 18) for _ in range(K)]
    assert size.crowded(distances(random, 1000, near))
    assert size.saw(distances(random, 1000, near))


def test_chance_is_no_crowd():
    random = Random(3)
    size = taught(random, 1000)
    assert sum(size.crowded(distances(random, 1000)) for _ in range(200)) <= 1


def test_a_network_that_grew_is_no_crowd_for_ever():
    random = Random(4)
    size = taught(random, 20)
    for _ in range(8):
        size.saw(distances(random, 2000))
    assert size.estimate > 1000
    assert not size.saw(distances(random, 2000))


def test_radius():
    size = taught(Random(5), 1000)
    assert size.radius(10**9) == SPACE
    assert SPACE // 160 < size.radius(16) < SPACE // 30
