"""Who is seated, and when somebody else is."""

from hashlib import blake2s
from itertools import pairwise
from math import inf
from random import Random

import pytest

from rovy.routing import anchor_seats, anchor_self
from rovy.routing.anchor_seats import (
    BEHIND,
    CANDIDATES,
    PROBATION,
    SEATS,
    Contender,
    Seats,
    rank,
)
from rovy.routing.anchor_self import (
    EACH,
    FIRST_SPREAD,
    GRACE,
    PATIENCE,
    WILLING_AFTER,
    WILLING_SPREAD,
    Candidacy,
)
from tests.unit.routing.beacons import peer

OLD = -PROBATION
"""When those were first seen that are established at second 0."""


def of(number, first_seen=OLD, *, entry=None, willing=False, pinned=False):
    """A contender; the lower the number the better it is ranked."""
    short = number.to_bytes(8, "big")
    return Contender(short, (not pinned, not willing, short), first_seen, entry)


def numbers(contenders):
    return [int.from_bytes(contender.short, "big") for contender in contenders]


def chosen(contenders, now=0.0, seats=None):
    seats = seats or Seats()
    seats.choose(contenders, now)
    return seats


def test_numbers_are_those_of_the_specification():
    assert (SEATS, CANDIDATES, BEHIND, PROBATION) == (8, 8, 2, 1200.0)
    assert anchor_seats.MAX_PINS == 4
    assert (WILLING_AFTER, anchor_self.WILLING_PEERINGS) == (3600.0, 2)


def test_the_rank_is_a_hash_of_the_node_id():
    assert rank(peer(1)) == blake2s(b"rovy-lm" + peer(1).node_id).digest()


def test_the_best_ranked_are_seated_at_first():
    new = [of(number, 0.0) for number in range(30)]
    Random(1).shuffle(new)
    seats = chosen(new)
    assert numbers(seats.seated) == list(range(8))
    assert seats.candidates == []
    assert not seats.wants(of(8, 0.0))
    assert seats.due == inf


def test_pinned_come_before_willing_and_these_before_others():
    each = [of(number) for number in range(8)]
    each += [of(number, willing=True) for number in range(10, 15)]
    each += [of(number, pinned=True) for number in range(20, 22)]
    seats = chosen(each)
    assert numbers(seats.seated) == [20, 21, 10, 11, 12, 13, 14, 0]


def test_new_ones_give_way_at_once():
    seats = chosen([of(number, 0.0) for number in range(10, 20)])
    chosen([of(number, 1.0) for number in range(5, 20)], 1.0, seats)
    assert numbers(seats.seated) == list(range(5, 13))


def test_established_ones_stay_until_a_better_one_is_established_too():
    old = [of(number) for number in range(10, 18)]
    seats = chosen(old)
    better = of(1, 0.0)
    assert seats.wants(better)
    for now in (0.0, 600.0, PROBATION - 1):
        chosen([*old, better], now, seats)
        assert numbers(seats.seated) == list(range(10, 18))
        assert numbers(seats.candidates) == [1]
        assert seats.due == PROBATION
    chosen([*old, better], PROBATION, seats)
    assert numbers(seats.seated) == [1, *range(10, 17)]
    assert seats.candidates == []


def test_established_ones_change_one_by_one():
    old = [of(number) for number in range(10, 18)]
    better = [of(number, 0.0) for number in range(3)]
    seats = chosen(old)
    found = []
    for minute in range(100):
        chosen(old + better, minute * 60.0, seats)
        found.append((minute, numbers(seats.seated)[:3]))
    changes = [
        (m, top) for (m, top), (_, before) in zip(found[1:], found, strict=False) if top != before
    ]
    assert changes == [(20, [0, 10, 11]), (40, [0, 1, 10]), (60, [0, 1, 2])]
    assert seats.due == inf


def test_a_free_seat_is_taken_at_once():
    old = [of(number) for number in range(10, 18)]
    seats = chosen(old)
    better = [of(1, 0.0), of(2, 0.0)]
    chosen(old[1:] + better, 1.0, seats)
    assert numbers(seats.seated) == [1, *range(11, 18)]
    assert numbers(seats.candidates) == [2]


def test_a_new_one_in_the_seat_of_an_old_one_gives_way_at_once():
    seats = chosen([of(number) for number in range(10, 18)])
    rest = [of(number) for number in range(11, 18)]
    chosen([*rest, of(30, 1.0)], 1.0, seats)
    assert 30 in numbers(seats.seated)
    chosen([*rest, of(30, 1.0), of(10)], 2.0, seats)
    assert numbers(seats.seated) == list(range(10, 18))


def test_worse_ones_are_no_candidates():
    old = [of(number) for number in range(10, 18)]
    seats = chosen([*old, of(20), of(21, 0.0)])
    assert seats.candidates == []
    assert not seats.wants(of(18, 0.0))
    assert seats.wants(of(16, 0.0)) is True


def test_candidates_are_bounded():
    old = [of(number) for number in range(100, 108)]
    seats = chosen(old)
    new = [of(number, 0.0) for number in range(30)]
    chosen(old + new, 0.0, seats)
    assert numbers(seats.candidates) == list(range(8))
    assert not seats.wants(of(9, 0.0))
    assert seats.has(new[7].short)
    assert not seats.has(new[8].short)


def test_two_behind_one_neighbour():
    hub = [of(number, 0.0, entry=b"hub") for number in range(6)]
    others = [of(number, 0.0, entry=bytes((number,))) for number in range(10, 14)]
    seats = chosen(hub + others)
    assert numbers(seats.seated) == [0, 1, 10, 11, 12, 13]
    assert seats.candidates == []
    assert not seats.wants(of(5, 0.0, entry=b"hub"))
    assert seats.wants(of(90, 0.0, entry=b"other"))


def test_where_we_are_their_neighbour_it_does_not_count():
    seats = chosen([of(number, 0.0) for number in range(8)])
    assert len(seats.seated) == 8


def test_a_better_one_behind_the_same_neighbour_takes_the_worse_ones_place():
    hub = [of(number, entry=b"hub") for number in (10, 11)]
    others = [of(number) for number in range(20, 26)]
    seats = chosen(hub + others)
    better = of(1, 0.0, entry=b"hub")
    chosen([*hub, *others, better], 0.0, seats)
    assert numbers(seats.candidates) == [1]
    chosen([*hub, *others, better], PROBATION, seats)
    assert numbers(seats.seated) == [1, 10, *range(20, 26)]


def test_candidates_behind_one_neighbour_are_two():
    """Whoever makes up keys of a low rank holds two seats and two more places in the end."""
    old = [of(number, entry=bytes((number,))) for number in range(100, 108)]
    seats = chosen(old)
    made_up = [of(number, 0.0, entry=b"hub") for number in range(20)]
    chosen(old + made_up, 0.0, seats)
    assert numbers(seats.candidates) == [0, 1]
    for now in range(0, 100 * 3600, 600):
        chosen(old + made_up, float(now), seats)
    assert numbers(seats.seated) == [0, 1, *range(100, 106)]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes_the_rules_hold(seed):
    random, now, seats, known = Random(seed), 0.0, Seats(), {}
    swaps = []
    for _ in range(300):
        now += random.choice((0.1, 5.0, 700.0))
        for number in random.sample(range(40), 2):
            if known.pop(number, None) is None:
                entry = random.choice((None, b"a", b"b", b"c"))
                known[number] = of(number, now, entry=entry, willing=random.random() < 0.3)
        before = {c.short for c in seats.seated}
        alive = {c.short for c in known.values()}
        chosen(known.values(), now, seats)
        after = {c.short for c in seats.seated}
        assert len(seats.seated) <= SEATS
        assert len(seats.candidates) <= CANDIDATES
        for group in (seats.seated, seats.candidates):
            for entry in (b"a", b"b", b"c"):
                assert sum(c.entry == entry for c in group) <= BEHIND
        out = [c for c in known.values() if c.short in (before & alive) - after]
        swaps += [now for c in out if c.established(now)]
        # The best of all is seated or on probation.
        top = min(known.values(), key=lambda c: c.order, default=None)
        assert top is None or seats.has(top.short)
    assert all(b - a >= PROBATION for a, b in pairwise(swaps))


# This node


def candidacy(number=0, *, pinned=False):
    return Candidacy(peer(number), pinned=pinned)


def place(number):
    """The part of all nodes that are better ranked."""
    return int.from_bytes(rank(peer(number))[:8]) / 2**64


def test_it_stands_soon_where_there_are_seats():
    for number in range(20):
        own, seats = candidacy(number), Seats()
        own.review(seats, 5.0)
        at = 5.0 + FIRST_SPREAD * place(number)
        assert own.due == pytest.approx(at)
        own.review(seats, own.due - 0.001)
        assert not own.standing
        own.review(seats, own.due)
        assert own.standing


def test_it_does_not_stand_against_better_ones():
    own = candidacy()
    seats = chosen([of(number) for number in range(8)])
    own.review(seats, 0.0)
    assert own.due == inf
    assert not own.standing


def test_it_ceases_to_stand_when_it_is_not_seated():
    own, seats = candidacy(), Seats()
    own.review(seats, 0.0)
    own.review(seats, own.due)
    chosen([own.contender(2.0), *(of(number, 2.0) for number in range(7))], 2.0, seats)
    own.review(seats, 2.0)
    assert own.standing
    chosen([own.contender(3.0), *(of(number, 2.0) for number in range(8))], 3.0, seats)
    own.review(seats, 3.0)
    assert not own.standing


def test_a_free_seat_is_left_to_better_ones_first():
    """The next best stands after about half a second, those behind it later and later."""
    order = sorted(range(400), key=lambda number: rank(peer(number)))
    seats = chosen(
        [Contender(peer(n).short, (True, True, rank(peer(n))), OLD, None) for n in order[:8]]
    )
    chosen(seats.seated[1:], 0.0, seats)
    waits = []
    for number in order[8:]:
        own = candidacy(number)
        own.review(seats, 0.0)
        waits.append(own.due)
    assert waits == sorted(waits)
    assert waits[0] < 8 * EACH
    assert sum(wait < waits[0] + 2.0 for wait in waits) < 20
    assert max(waits) == PATIENCE


def test_a_pinned_one_stands_at_once():
    own = candidacy(pinned=True)
    own.review(chosen([of(number) for number in range(8)]), 0.0)
    assert own.standing
    assert own.contender(0.0).order[0] is False


def test_it_is_willing_after_an_hour_with_two_peerings():
    own, seats = candidacy(), Seats()
    own.count(1, 0.0)
    own.review(seats, 9000.0)
    assert not own.willing
    own.count(2, 9000.0)
    assert own._turn_at == pytest.approx(9000.0 + WILLING_AFTER + WILLING_SPREAD * place(0))
    own.review(seats, own._turn_at)
    assert own.willing
    assert own.flags == 1


def test_a_peering_lost_for_a_moment_does_no_harm():
    own, seats = candidacy(), Seats()
    own.count(2, 0.0)
    own.review(seats, 4000.0)
    own.count(1, 5000.0)
    own.count(3, 5000.0 + GRACE - 1)
    own.review(seats, 9000.0)
    assert own.willing
    own.count(1, 9000.0)
    own.review(seats, 9000.0 + GRACE)
    assert not own.willing
    assert own.flags == 0
