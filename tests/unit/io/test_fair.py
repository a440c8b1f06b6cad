"""Deficit round robin: order within a key, fair turns between keys, bounds."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rovy.io.fair import QUANTUM, FairQueue

PUTS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3 * QUANTUM)), max_size=60)


def drained(queue):
    taken = []
    while (item := queue.take()) is not None:
        taken.append(item)
    return taken


@given(PUTS)
def test_everything_comes_out_once_and_in_order(puts):
    queue = FairQueue(most=1 << 30)
    for number, (key, size) in enumerate(puts):
        assert queue.put(key, number, size)
    assert len(queue) == len(puts)
    assert bool(queue) == bool(puts)
    taken = drained(queue)
    assert sorted(number for _, number in taken) == list(range(len(puts)))
    for key in range(4):
        numbers = [number for k, number in taken if k == key]
        assert numbers == sorted(numbers)
    assert not queue


@given(st.integers(1, 8), st.integers(1000, 2 * QUANTUM), st.integers(1000, 2 * QUANTUM))
def test_busy_keys_share_by_bytes(rounds, one, other):
    """Whatever their packet sizes, two full queues differ by two turns and a packet at most."""
    queue = FairQueue(most=1 << 30)
    for key, size in (("a", one), ("b", other)):
        for _ in range(rounds * 2 * QUANTUM // size + 2):
            queue.put(key, size, size)
    given = Counter()
    while {key for key, _ in _peek(queue)} == {"a", "b"}:
        key, size = queue.take()
        given[key] += size
        assert abs(given["a"] - given["b"]) <= 2 * QUANTUM + max(one, other)


def _peek(queue):
    return [(key, None) for key in queue._queues]


def test_a_flood_waits_behind_whoever_sends_little():
    queue = FairQueue()
    for number in range(600):
        queue.put("flood", number, 1500)
    queue.put("ping", 0, 100)
    turn = [key for key, _ in drained(queue)].index("ping")
    assert turn <= QUANTUM // 1500 + 1


def test_bounds():
    queue = FairQueue(most=1000, keys=2)
    assert queue.put("a", 1, 600)
    assert not queue.put("a", 2, 401)
    assert queue.put("a", 3, 400)
    assert not queue.put("b", 1, 1001)
    assert queue.put("b", 1, 1000)
    assert not queue.put("c", 1, 1)
    assert len(drained(queue)) == 3
    assert queue.put("c", 1, 1)


def test_an_item_too_big_for_one_key_takes_no_room_from_others():
    queue = FairQueue(most=1000, keys=1)
    assert not queue.put("a", 1, 1001)
    assert queue.put("b", 1, 1000)


def test_what_is_put_back_comes_first_again():
    queue = FairQueue()
    for number in range(3):
        queue.put("a", number, 100)
    key, item = queue.take()
    queue.put_back(key, item, 60)
    assert [item for _, item in drained(queue)] == [0, 1, 2]
    queue.put("a", 7, 100)
    key, item = queue.take()
    assert not queue
    queue.put_back(key, item, 60)
    assert drained(queue) == [("a", 7)]
    assert drained(queue) == []


def test_an_empty_queue_gives_nothing():
    queue = FairQueue()
    assert queue.take() is None
    assert len(queue) == 0
