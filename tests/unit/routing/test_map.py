"""The map: which records are held, for how long, and what they make reachable."""

from math import inf

import pytest

from rovy.routing.cost import decode_cost
from rovy.routing.map import FORGET, NEAREST, WAIT, WAITING, LinkMap
from rovy.routing.record import TRUNC, LinkEntry
from tests.unit.routing.graphs import peer, record

OWN, NEIGHBOUR = 0, 1
COST = decode_cost(95)


def short(number):
    return peer(number).short


def link(a, b, slots=None):
    """One end of a link as its record has it."""
    mine, theirs = slots or (b + 1, a + 1)
    return LinkEntry(short(b), mine, theirs, 95, 1400)


def says(number, *peers, sequence=1, flags=0):
    """A record of a node with links to these."""
    return record(peer(number), [link(number, other) for other in peers], flags, sequence)


def a_map(*records, nearest=NEAREST, source=NEIGHBOUR, now=0.0):
    """A map of node 0 that holds these records."""
    made = LinkMap(short(OWN), nearest)
    take(made, *records, source=source, now=now)
    return made


def take(held, *records, source=NEIGHBOUR, now=0.0):
    for each in records:
        held.add(each, short(source), now)
    return held.refresh(now)


def line(count, sequence=1):
    """Records of nodes in a row."""
    return [
        says(n, *(m for m in (n - 1, n + 1) if 0 <= m < count), sequence=sequence)
        for n in range(count)
    ]


def name(a, b):
    return tuple(sorted((short(a), short(b))))


def test_numbers_are_those_of_the_specification():
    assert (NEAREST, FORGET, WAIT, WAITING) == (128, 7200.0, 60.0, 128)


def test_an_empty_map_holds_its_own_node():
    found = LinkMap(short(OWN))
    assert found.refresh(0.0) is None
    assert found.distance == {short(OWN): 0.0}
    assert (found.radius, found.due, found.links) == (inf, inf, frozenset())
    assert found.sequence(short(OWN)) == -1


def test_distances_rise_from_here():
    found = a_map(*line(6))
    assert [*found.distance] == [short(n) for n in range(6)]
    assert [*found.distance.values()] == pytest.approx([n * COST for n in range(6)])
    assert found.links == {name(n, n + 1) for n in range(5)}


def test_the_links_that_are_gone_are_told_once():
    found = a_map(*line(4))
    assert take(found, says(2, 1, sequence=2)) == {name(2, 3)}
    assert found.links == {name(0, 1), name(1, 2)}
    assert found.refresh(1.0) is None


def test_the_same_links_again_are_no_change():
    found = a_map(*line(4))
    before = found.graph
    assert take(found, *line(4, sequence=2)) is None
    assert found.graph is before
    assert found.sequence(short(3)) == 2


def test_other_costs_are_a_change_without_loss():
    found = a_map(*line(3))
    dear = [LinkEntry(short(1), 2, 3, 120, 1400)]
    assert take(found, record(peer(2), dear, sequence=2)) == frozenset()
    assert found.distance[short(2)] == COST + decode_cost(120)


# Waiting


def test_a_record_waits_for_the_other_end():
    found = a_map(says(0, 1), says(1, 0, 2))
    late = says(3, 2)
    assert take(found, late) is None
    assert found.held[short(3)].waits_since == 0.0
    assert found.due == WAIT
    take(found, says(2, 1, 3), now=WAIT - 1)
    assert found.held[short(3)].waits_since is None
    assert short(3) in found.distance


@pytest.mark.parametrize("slots", [(3, 9), (9, 3), (2, 2)])
def test_ends_that_do_not_agree_on_slots_wait(slots):
    found = a_map(says(0, 1), says(1, 0, 2), record(peer(2), [link(2, 1, slots)]))
    assert [*found.distance] == [short(0), short(1)]
    assert found.held[short(2)].waits_since == 0.0


def test_one_end_is_enough_where_the_others_list_is_cut_short():
    found = a_map(says(0, 1), says(1, 0, flags=TRUNC), says(2, 1))
    assert short(2) in found.distance
    assert found.links == {name(0, 1), name(1, 2)}


def test_nobody_waits_for_longer_than_a_minute():
    found = a_map(says(0, 1), says(1, 0), says(5, 6))
    found.refresh(found.due - 0.001)
    assert short(5) in found.held
    found.refresh(found.due)
    assert short(5) not in found.held
    assert found.due == FORGET


def test_a_node_that_is_cut_off_waits_from_then_on():
    found = a_map(*line(4))
    take(found, says(1, 0, sequence=2), now=1000.0)
    assert {n for n in range(4) if short(n) in found.held} == {0, 1, 2, 3}
    assert found.due == 1000.0 + WAIT
    take(found, says(1, 0, 2, sequence=3), now=1059.0)
    assert len(found.distance) == 4
    take(found, says(1, 0, sequence=4), now=2000.0)
    found.refresh(2060.0)
    assert [*found.held] == [short(0), short(1)]


def test_who_waits_is_counted_by_who_sent_it_and_the_longest_waiting_give_way(monkeypatch):
    monkeypatch.setattr("rovy.routing.map.WAITING", 8)
    found = a_map(says(0, 1), says(1, 0))
    for number in range(10, 18):
        take(found, says(number, 5), now=number)
    take(found, says(30, 5), source=2, now=30.0)
    take(found, *(says(number, 5) for number in range(20, 23)), now=30.0)
    waiting = {n for n in range(2, 40) if short(n) in found.held}
    assert waiting == {13, 14, 15, 16, 17, 20, 21, 22, 30}


def test_what_leads_nowhere_goes_with_the_neighbour_that_sent_it():
    found = a_map(*line(3))
    take(found, says(10, 11))
    take(found, says(20, 21), source=2)
    found.forget_waiting(short(NEIGHBOUR))
    assert {short(0), short(1), short(2), short(20)} == set(found.held)


# Forgetting


def test_a_record_is_forgotten_two_hours_after_its_last_sequence():
    found = a_map(*line(3))
    take(found, says(1, 0, 2, sequence=2), now=3000.0)
    assert found.due == FORGET
    found.refresh(FORGET - 0.001)
    assert len(found.distance) == 3
    assert found.refresh(FORGET) == {name(1, 2)}
    assert short(2) not in found.held
    assert found.due == 3000.0 + FORGET


def test_our_own_record_is_never_forgotten():
    found = a_map(says(0, 1))
    found.refresh(10 * FORGET)
    assert [*found.held] == [short(0)]
    assert found.due == inf


# Radius


def test_the_radius_is_that_of_the_last_node_wanted():
    found = a_map(*line(4), nearest=3)
    assert found.radius == pytest.approx(3 * COST)
    found = a_map(*line(4), nearest=4)
    assert found.radius == inf


def test_no_more_than_twice_as_many_as_wanted_are_held():
    found = a_map(*line(40), nearest=8)
    assert [*found.held] == [short(n) for n in range(16)]
    assert len(found.distance) == 16
    assert found.radius == pytest.approx(8 * COST)
    assert found.links == {name(n, n + 1) for n in range(15)}


# Digests


def test_the_digest_follows_nodes_and_sequences_whatever_the_order():
    found = a_map(*line(4))
    shorts = [short(n) for n in range(4)]
    whole = found.digest(shorts)
    assert len(whole) == 16
    assert found.digest(reversed(shorts)) == whole
    assert found.digest(shorts[:3]) != whole
    take(found, says(3, 2, sequence=2))
    assert found.digest(shorts) != whole
