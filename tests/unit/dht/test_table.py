"""The routing table: who is in, who is out, who is nearest."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.dht.const import CACHED, LEAVES, MISS_APART, MISSES, SPACE, K
from tests.unit.dht.peers import Placed, Ways, numbers, table

IDS = st.sets(st.integers(1, SPACE - 1), max_size=120)
FAR = SPACE // 2  # in the farther half of the space, where nothing is split


def filled(ids, ways=None, own=0):
    found = table(ways, own)
    for number in ids:
        found.proved(Placed(number), None, 1.0)
    return found


def far(count, start=0):
    return [FAR + start + number for number in range(count)]


def with_leaves(ways=None):
    """A table whose leaves are all near, so that nobody in the far bucket is one."""
    return filled(range(1, LEAVES + 1), ways)


def misses(found, number, count, start=10.0, apart=MISS_APART):
    return [found.missed(Placed(number), start + n * apart) for n in range(count)]


def test_starts_empty():
    found = table()
    assert len(found) == 0
    assert found.nearest(5, K) == []
    assert found.leaves() == frozenset()


def test_the_own_id_does_not_get_in():
    assert len(filled([0])) == 0


def test_proved_says_what_is_new():
    found = table()
    assert found.proved(Placed(1), None, 1.0)
    assert not found.proved(Placed(1), None, 2.0)
    assert found.contact(Placed(1)).seen == 2.0
    assert found.contact(Placed(2)) is None


@given(IDS, st.integers(0, SPACE - 1), st.integers(1, 20))
def test_nearest_is_exact(ids, target, count):
    found = filled(ids)
    everybody = numbers(found)
    assert numbers(found.nearest(target, count)) == sorted(everybody, key=target.__xor__)[:count]


@given(IDS, st.integers(0, SPACE - 1))
def test_buckets_and_contacts_agree(ids, own):
    found = filled(ids - {own}, own=own)
    ranges = [bucket.range for bucket in found.buckets]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == SPACE - 1
    assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(ranges))
    placed = [contact for bucket in found.buckets for contact in bucket.contacts]
    assert sorted(numbers(placed)) == sorted(numbers(found))
    for index, bucket in enumerate(found.buckets):
        assert all(bucket.holds(contact.number) for contact in bucket.contacts)
        assert all(found.get_bucket_for(contact) == index for contact in bucket.contacts)
        assert len(bucket.replacement_nodes) <= CACHED


@given(IDS, st.integers(0, SPACE - 1))
def test_the_nearest_are_all_there(ids, own):
    found = filled(ids - {own}, own=own)
    nearest = sorted(ids - {own}, key=own.__xor__)[:LEAVES]
    assert set(nearest) <= set(numbers(found))


@given(IDS)
def test_others_are_at_most_k_a_bucket(ids):
    found = filled(ids)
    leaves = found.leaves()
    for bucket in found.buckets:
        assert len([c for c in bucket.contacts if c.id not in leaves]) <= K


def test_ids_in_the_middle_have_one_bucket():
    middle = SPACE // 2 - 1  # the last one of the lower half
    found = filled([*range(1, 20), middle, middle + 1])
    for number in (middle, middle + 1):
        contact = found.contact(Placed(number))
        assert contact in found.buckets[found.get_bucket_for(contact)].contacts


def test_find_neighbors_is_exact_and_leaves_out_who_asks():
    found = filled(range(1, 60))
    node = found.contact(Placed(20))
    known = set(numbers(found)) - {20, 21}
    exclude = found.contact(Placed(21))
    assert (
        numbers(found.find_neighbors(node, exclude=exclude)) == sorted(known, key=(20).__xor__)[:K]
    )


def test_a_full_bucket_keeps_the_cheap():
    ways = Ways({number: 1.0 + n for n, number in enumerate(far(K))})
    found = with_leaves(ways)
    for number in far(K):
        found.proved(Placed(number), None, 1.0)
    dear, cheap = FAR + 100, FAR + 101
    ways.costs |= {dear: 9.0, cheap: 0.5}
    assert not found.proved(Placed(dear), None, 1.0)
    assert found.proved(Placed(cheap), None, 1.0)
    assert found.contact(Placed(far(K)[-1])) is None
    assert len(found) == LEAVES + K


def test_a_newcomer_hardly_cheaper_does_not_get_in():
    ways = Ways({FAR + 100: 0.81, FAR + 101: 0.79})
    found = with_leaves(ways)
    for number in (*far(K), FAR + 100):
        found.proved(Placed(number), None, 1.0)
    assert found.contact(Placed(FAR + 100)) is None
    assert found.proved(Placed(FAR + 101), None, 1.0)


def test_leaves_stay_whatever_they_cost():
    ways = Ways(dict.fromkeys(range(1, LEAVES + 1), 100.0))
    found = filled([*range(1, LEAVES + 1), *range(LEAVES + 1, 200)], ways)
    assert set(range(1, LEAVES + 1)) <= set(numbers(found))


def test_a_near_newcomer_gets_in_and_a_former_leaf_goes():
    spread = [FAR + (number << 20) for number in range(1, LEAVES + 1)]
    found = filled(spread)
    assert len(found) == LEAVES  # all are leaves, though all are in one bucket
    for number in range(1, K + 1):
        assert found.proved(Placed(FAR + number), None, 1.0)
    assert len(found) == LEAVES
    assert set(numbers(found)) == {*range(FAR + 1, FAR + K + 1), *spread[: LEAVES - K]}


def test_a_crowd_gives_way_to_others():
    ways = Ways(dict.fromkeys(far(K), 0.1), dict.fromkeys(far(K), b"crowd"))
    found = with_leaves(ways)
    for number in far(K):
        found.proved(Placed(number), None, 1.0)
    for number in far(K, start=100):
        found.proved(Placed(number), None, 1.0)
    inside = [n for n in numbers(found) if n >= FAR]
    assert len(inside) == K
    assert sum(number in ways.groups for number in inside) == K // 2


def test_a_crowd_does_not_push_others_out():
    ways = Ways(dict.fromkeys(far(50, 100), 0.1), dict.fromkeys(far(50, 100), b"crowd"))
    found = with_leaves(ways)
    for number in (*far(K), *far(50, 100)):
        found.proved(Placed(number), None, 1.0)
    inside = [n for n in numbers(found) if n >= FAR]
    assert sum(number in ways.groups for number in inside) == K // 2


def test_a_crowd_fills_what_nobody_else_wants():
    ways = Ways(groups=dict.fromkeys(far(K), b"crowd"))
    found = with_leaves(ways)
    for number in far(K):
        found.proved(Placed(number), None, 1.0)
    assert len(found) == LEAVES + K


def test_three_misses_and_out():
    found = filled([1, 2])
    found.proved(Placed(2), None, 20.0)
    assert misses(found, 1, MISSES - 1) == [False, False]
    found.proved(Placed(2), None, 30.0)
    assert found.missed(Placed(1), 40.0)
    assert numbers(found) == [2]
    assert found.leaves() == {Placed(2).node_id}


def test_an_answer_makes_up_for_misses():
    found = filled([1, 2])
    misses(found, 1, MISSES - 1)
    found.proved(Placed(1), None, 25.0)
    assert misses(found, 1, MISSES - 1, start=30.0) == [False, False]
    assert len(found) == 2


def test_misses_of_one_moment_are_one():
    found = filled([1, 2])
    assert misses(found, 1, 20, apart=0.1) == [False] * 20
    assert found.contact(Placed(1)).misses == 1


def test_where_nobody_answers_nobody_is_to_blame():
    found = filled(range(1, 9))
    for at in range(10, 100, 10):
        for number in range(1, 9):
            assert not found.missed(Placed(number), float(at))
    assert len(found) == 8


def test_strangers_cannot_miss():
    assert not table().missed(Placed(1), 1.0)


def test_who_goes_is_replaced():
    found = with_leaves()
    for number in (*far(K), FAR + 100, FAR + 101):
        found.proved(Placed(number), None, 1.0)
    assert found.contact(Placed(FAR + 101)) is None
    found.remove_contact(found.contact(Placed(FAR)))
    assert found.contact(Placed(FAR)) is None
    assert found.contact(Placed(FAR + 101)) is not None
    assert len(found) == LEAVES + K


def test_a_replacement_comes_back_as_it_was():
    found = with_leaves()
    for number in (*far(K), FAR + 100):
        found.proved(Placed(number), None, 1.0)
    waiting = found.buckets[-1].replacement_nodes[Placed(FAR + 100).node_id]
    found.remove_contact(found.contact(Placed(FAR)))
    assert found.contact(Placed(FAR + 100)) is waiting


def test_caches_are_bounded():
    found = filled(range(FAR, FAR + 1000))
    assert len(found.buckets[-1].replacement_nodes) == CACHED


def test_bounded_whatever_comes():
    random = Random(5)
    found = filled(random.getrandbits(160) | 1 for _ in range(3000))
    assert len(found) <= LEAVES + K * len(found.buckets)
    assert len(found.buckets) < 20


def test_flush():
    found = filled(range(1, 100))
    found.flush()
    assert len(found) == 0
    assert len(found.buckets) == 1
    assert found.proved(Placed(1), None, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_events_keeps_the_books(seed):
    random = Random(seed)
    found, now = table(), 0.0
    for _ in range(1500):
        now += random.random() * 10
        number = random.choice((random.getrandbits(160), random.randrange(1, 300)))
        if random.random() < 0.6:
            found.proved(Placed(number), None, now)
        elif len(found):
            found.missed(Placed(random.choice(numbers(found))), now)
    placed = [contact for bucket in found.buckets for contact in bucket.contacts]
    assert sorted(numbers(placed)) == sorted(numbers(found))
    assert found._distances == sorted(number ^ 0 for number in numbers(found))
