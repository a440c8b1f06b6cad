"""Token buckets, and what counts as one source."""

from hypothesis import given
from hypothesis import strategies as st

from rovy.address.label import Label
from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct, Routed
from rovy.buckets import TokenBucket
from rovy.session.limits import SourceBuckets, source_exact, source_group


@given(
    st.floats(0, 1000),
    st.floats(1, 1000),
    st.lists(st.floats(0, 2), max_size=300),
)
def test_never_more_than_burst_and_rate_allow(rate, burst, waits):
    bucket, now, taken = TokenBucket(rate, burst, 5.0), 5.0, 0
    for wait in waits:
        now += wait
        taken += bucket.take(now)
    assert taken <= burst + rate * (now - 5.0) + 1e-6


def test_a_bucket_fills_up_to_its_burst():
    bucket = TokenBucket(10.0, 5.0, 0.0)
    assert [bucket.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert not bucket.take(0.09)
    assert bucket.take(0.101)
    assert [bucket.take(100.0) for _ in range(6)] == [True] * 5 + [False]


def test_a_clock_that_steps_back_gives_and_takes_nothing():
    bucket = TokenBucket(10.0, 2.0, 100.0)
    assert bucket.take(50.0)
    assert bucket.take(50.0)
    assert not bucket.take(49.0)


def test_sources_are_limited_apart_and_the_one_unheard_for_longest_is_forgotten():
    buckets = SourceBuckets(0.0, 1.0, most=2)
    assert buckets.take(b"a", 0.0)
    assert buckets.take(b"b", 0.0)
    assert not buckets.take(b"a", 1.0)
    assert buckets.take(b"c", 1.0)
    assert len(buckets) == 2
    assert not buckets.take(b"a", 2.0), "heard after b"
    assert buckets.take(b"b", 2.0)


def test_a_source_is_an_address_a_64_or_the_start_of_a_label():
    def direct(host, port=1):
        return source_group(Direct(0, Endpoint(host, port)))

    def routed(*slots):
        return source_group(Routed(Label.of(*slots)))

    assert direct("192.0.2.1") == direct("192.0.2.1", 99) != direct("192.0.2.2")
    assert direct("2001:db8::1") == direct("2001:db8::ffff:1") != direct("2001:db8:0:1::1")
    assert routed(1, 2, 3, 4) == routed(1, 2, 3, 5, 6) != routed(1, 2, 4, 4)
    assert routed(1, 2) != routed(1, 3)
    kinds = (direct("1.2.3.4"), direct("102:304::"), routed(1, 2, 3), routed(1))
    assert len(set(kinds)) == len(kinds)


def test_a_cookie_binds_more_than_a_limit_counts():
    assert source_exact(Direct(0, Endpoint("192.0.2.1", 1))) != source_exact(
        Direct(0, Endpoint("192.0.2.1", 2))
    )
    assert source_exact(Routed(Label.of(1, 2, 3, 4))) != source_exact(Routed(Label.of(1, 2, 3, 5)))
