"""Timestamps of hellos: rising whatever the clock does, remembered within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from rovy.session.const import STAMP_AHEAD
from rovy.session.stamps import StampClock, StampMemory

BILLION = 1_000_000_000


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=50))
def test_stamps_rise_whatever_the_clock_says(times):
    clock = iter(times)
    stamps = StampClock(lambda: next(clock))
    made = [stamps.stamp() for _ in times]
    assert made == sorted(set(made))
    assert all(len(stamp) == 12 for stamp in made)


@given(st.lists(st.floats(0, 4e9), min_size=2, max_size=20), st.integers(0, 19))
def test_after_a_restart_no_stamp_falls_below_one_that_was_used(times, restart):
    clock = iter(times)
    stamps = StampClock(lambda: next(clock))
    made = []
    for number, _ in enumerate(times):
        if number == restart:
            stamps = StampClock(lambda: next(clock), stamps.bound)
        made.append(stamps.stamp())
    assert made == sorted(set(made))


def test_a_stamp_is_tai64n():
    stamp = StampClock(lambda: 1_000_000_000.5).stamp()
    assert int.from_bytes(stamp[:8], "big") == 2**62 + 10 + 1_000_000_000
    assert int.from_bytes(stamp[8:], "big") == 500_000_000


def test_the_bound_runs_ahead_and_changes_seldom():
    now = 1e9
    stamps = StampClock(lambda: now)
    bounds = []
    for _ in range(24 * 60):
        stamps.stamp()
        bounds.append(stamps.bound)
        assert stamps.bound > now * BILLION
        now += 60
    assert len(set(bounds)) <= 24 * 2 + 1
    assert max(bounds) <= (now + STAMP_AHEAD) * BILLION


def test_a_stamp_that_is_not_newer_is_refused():
    memory = StampMemory()
    assert memory.newer(b"a", b"\0" * 11 + b"\2")
    for last in (0, 1, 2):
        assert not memory.newer(b"a", b"\0" * 11 + bytes((last,)))
    assert memory.newer(b"b", b"\0" * 11 + b"\1"), "senders do not share stamps"
    assert memory.newer(b"a", b"\0" * 11 + b"\3")


def test_the_sender_unheard_for_longest_is_forgotten_first():
    memory = StampMemory(most=3)
    for sender in (b"a", b"b", b"c"):
        assert memory.newer(sender, b"\1")
    assert memory.newer(b"a", b"\2")
    assert memory.newer(b"d", b"\1")
    assert len(memory) == 3
    for sender in (b"a", b"c", b"d"):
        assert not memory.newer(sender, b"\1")
    assert memory.newer(b"b", b"\1"), "b is forgotten"


def test_refused_stamps_keep_nobody_in_memory():
    """Who repeats old hellos does not push others out, and is not held longer."""
    memory = StampMemory(most=2)
    memory.newer(b"a", b"\5")
    memory.newer(b"b", b"\5")
    for _ in range(10):
        assert not memory.newer(b"a", b"\5")
    memory.newer(b"c", b"\5")
    assert memory.newer(b"a", b"\5")
