"""The replay window against a set of all counters ever taken."""

from hypothesis import given
from hypothesis import strategies as st

from rovy.dataplane.replay import WINDOW, ReplayWindow

STEPS = st.one_of(
    st.integers(-20, 20),
    st.integers(-WINDOW - 70, -WINDOW + 70),
    st.integers(-2 * WINDOW, 3 * WINDOW),
    st.sampled_from([1, 1, 1, 7, 8, 9, WINDOW, 2 * WINDOW - 8, 2 * WINDOW, 1 << 40]),
)


class Model:
    """The rule, as docs/protocol/sessions.md states it."""

    def __init__(self):
        self.seen = set()
        self.last = -1

    def accept(self, counter):
        if counter in self.seen or counter + WINDOW <= self.last:
            return False
        self.seen.add(counter)
        self.last = max(self.last, counter)
        return True


@given(st.lists(STEPS, max_size=200), st.integers(0, 1 << 56))
def test_agrees_with_a_set(steps, start):
    window, model = ReplayWindow(), Model()
    for step in steps:
        counter = max(0, start + step if model.last < 0 else model.last + step)
        assert window.accept(counter) == model.accept(counter), counter
        assert window.last == model.last


def test_the_window_is_as_wide_as_promised():
    window = ReplayWindow()
    newest = 5 * WINDOW + 3
    assert window.accept(newest)
    assert not window.accept(newest - WINDOW)
    for counter in range(newest - WINDOW + 1, newest):
        assert window.accept(counter)
    for counter in range(newest - WINDOW, newest + 1):
        assert not window.accept(counter)


def test_counters_in_order_and_each_twice():
    window = ReplayWindow()
    for counter in range(3 * WINDOW):
        assert window.accept(counter)
        assert not window.accept(counter)
    assert WINDOW >= 8192
