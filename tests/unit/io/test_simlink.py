"""What one direction of a simulated link does."""

from random import Random
from statistics import median

import pytest

from rovy.io.simlink import HEADERS, Lognormal, Normal, Quality, Uniform, Way


def arrivals(quality, count=2000, size=100, every=0.0):
    way, random = Way(quality), Random(1)
    return [way.arrivals(size, number * every, random) for number in range(count)]


def delays(quality):
    return [at for found in arrivals(quality) for at in found]


def test_a_plain_link_takes_its_latency_and_needs_no_chance():
    way = Way(Quality(latency=0.02))
    assert way.constant == 0.02
    assert way.arrivals(100, 5.0, Random(1)) == [5.02]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": 0.1},
        {"duplicate": 0.1},
        {"reorder": 0.1},
        {"jitter": 0.1},
        {"rate": 1e6},
        {"up": False},
        {"latency": Uniform(0.0, 1.0)},
    ],
)
def test_all_that_takes_more_than_a_sum_is_seen(changes):
    assert Way(Quality(**changes)).constant is None


def test_latencies_are_spread_as_they_should():
    assert min(delays(Quality(latency=Uniform(0.01, 0.03)))) >= 0.01
    assert max(delays(Quality(latency=Uniform(0.01, 0.03)))) <= 0.03
    assert median(delays(Quality(latency=Normal(0.02, 0.002)))) == pytest.approx(0.02, rel=0.02)
    assert min(delays(Quality(latency=Normal(0.02, 0.02, least=0.015)))) == 0.015
    long_tailed = sorted(delays(Quality(latency=Lognormal(0.02, 0.5))))
    assert median(long_tailed) == pytest.approx(0.02, rel=0.05)
    assert long_tailed[-1] > 0.06
    assert max(delays(Quality(latency=0.01, jitter=0.02))) == pytest.approx(0.03, rel=0.01)


def test_shares_of_datagrams_are_lost_doubled_and_held_back():
    lost = arrivals(Quality(loss=0.25)).count("lost")
    assert lost == pytest.approx(500, rel=0.15)
    doubled = sum(len(found) == 2 for found in arrivals(Quality(duplicate=0.25)))
    assert doubled == pytest.approx(500, rel=0.15)
    late = delays(Quality(latency=0.01, reorder=0.25)).count(0.02)
    assert late == pytest.approx(500, rel=0.15)


def test_a_rate_spaces_datagrams_and_its_queue_is_bounded():
    size = 1000 - HEADERS
    way = Way(Quality(latency=0.0, rate=8e6, queue_bytes=5000))
    found = [way.arrivals(size, 0.0, Random(1)) for _ in range(8)]
    assert [at for one in found[:6] for at in one] == pytest.approx(
        [0.001, 0.002, 0.003, 0.004, 0.005, 0.006]
    )
    assert found[6:] == ["queue full", "queue full"]
    assert way.arrivals(size, 0.006, Random(1)) == pytest.approx([0.007])


def test_what_is_too_long_and_what_is_cut_do_not_arrive():
    assert Way(Quality(mtu=1200)).arrivals(1201, 0.0, Random(1)) == "too big"
    assert Way(Quality(up=False)).arrivals(100, 0.0, Random(1)) == "link down"


def test_a_change_counts_at_once_and_what_a_link_has_not_is_refused():
    way = Way(Quality(latency=0.02))
    way.change(latency=0.05, mtu=1300)
    assert (way.constant, way.mtu) == (0.05, 1300)
    with pytest.raises(TypeError):
        way.change(colour="red")
