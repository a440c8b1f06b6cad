"""Whom a lookup still has to ask."""

from math import inf

from kademlia.node import Node

from rovy.dht.const import SHORTLIST, K
from rovy.dht.contact import Contact
from rovy.dht.shortlist import Candidate, Shortlist
from tests.unit.dht.peers import Placed

TARGET = Node(bytes(20))


def candidate(number, **said):
    return Candidate(Contact(Placed(number)), number, **said)


def listed(*candidates):
    found = Shortlist(TARGET)
    for one in candidates:
        found.add(one)
    return found


def order(found):
    return [one.distance for one in found.candidates()]


def width(found):
    return [(one.distance, counts) for one, counts in found.width()]


def test_in_order_of_distance():
    found = listed(candidate(7), candidate(3), candidate(5))
    assert order(found) == [3, 5, 7]
    assert [contact.number for contact in found] == [3, 5, 7]
    assert found.candidate(Contact(Placed(5))).distance == 5
    assert Contact(Placed(5)) in found
    assert Contact(Placed(6)) not in found


def test_each_one_once():
    found = listed(candidate(7), candidate(7))
    assert order(found) == [7]


def test_who_failed_stays_away():
    found = listed(one := candidate(7), candidate(3))
    found.fail(one)
    found.add(candidate(7))
    assert order(found) == [3]


def test_bound_is_the_kth():
    found = listed(*map(candidate, range(1, K)))
    assert found.bound() == inf
    found.add(candidate(100))
    assert found.bound() == 100


def test_a_long_list_loses_the_farthest_that_was_not_asked():
    found = listed(*map(candidate, range(1, SHORTLIST + 1)))
    found.candidate(Contact(Placed(SHORTLIST))).asked = True
    found.add(candidate(SHORTLIST + 7))
    assert order(found) == [*range(1, SHORTLIST + 1)]
    found.add(candidate(0))
    assert order(found) == [*range(SHORTLIST - 1), SHORTLIST]


def test_k_have_to_answer():
    found = listed(*map(candidate, range(20)))
    assert width(found) == [(number, True) for number in range(K)]


def test_two_of_a_group_count():
    crowd = [candidate(number, group=b"crowd") for number in range(5)]
    found = listed(*crowd, *map(candidate, range(5, 20)))
    assert width(found) == [(n, n < 2 or n > 4) for n in range(11)]


def test_half_of_one_repliers_count():
    named = [candidate(number, named={b"liar"}) for number in range(8)]
    found = listed(*named, *map(candidate, range(8, 20)))
    assert [counts for _, counts in width(found)] == [True] * 4 + [False] * 4 + [True] * 4


def test_named_by_two_is_named_well():
    named = [candidate(number, named={b"a", b"b"}) for number in range(8)]
    assert width(listed(*named)) == [(number, True) for number in range(8)]


def test_at_most_twice_k_have_to_answer():
    crowd = [candidate(number, group=b"crowd") for number in range(40)]
    assert len(width(listed(*crowd))) == 2 * K
