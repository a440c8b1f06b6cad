"""Few peers, and all hang together."""

from collections import Counter
from hashlib import blake2s

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rovy.discovery.policy import Candidate, choose
from tests.unit.discovery.world import PEERS

LIMIT = 8


def order_of(own):
    return lambda peer: blake2s(own.key + peer.key).digest()


def candidate(peer, lans=("a",), rtt=None, held=False):
    return Candidate(peer, frozenset(lans), rtt, held)


def choices(lans: dict[str, list[int]], limit: int) -> networkx.Graph:
    """What nodes choose that all hear all on their LANs, as a graph."""
    on = {n: {name for name, members in lans.items() if n in members} for n in range(len(PEERS))}
    graph = networkx.Graph()
    for own, names in on.items():
        if not names:
            continue
        heard = [
            candidate(PEERS[other], names & on[other])
            for other in on
            if other != own and names & on[other]
        ]
        graph.add_node(PEERS[own])
        chosen = choose(PEERS[own], heard, limit, (), order_of(PEERS[own]))
        assert len(chosen) <= limit
        graph.add_edges_from((PEERS[own], other) for other in chosen)
    return graph


@pytest.mark.parametrize("limit", [1, 2, 8])
@pytest.mark.parametrize("count", [2, 3, 9, 30, 60])
def test_all_hang_together(count, limit):
    assert networkx.is_connected(choices({"a": list(range(count))}, limit))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 29), min_size=2, max_size=20), min_size=1, max_size=4),
    st.integers(4, 8),
)
def test_nodes_on_several_lans_join_them(groups, limit):
    lans = {str(number): sorted(members) for number, members in enumerate(groups)}
    whole = networkx.Graph()
    for members in lans.values():
        networkx.add_path(whole, [PEERS[n] for n in members])
    chosen = choices(lans, limit)
    assert set(map(frozenset, networkx.connected_components(chosen))) == set(
        map(frozenset, networkx.connected_components(whole))
    )


def test_any_one_may_go():
    assert networkx.is_biconnected(choices({"a": list(range(30))}, 2))


def test_ways_are_short_and_nobody_is_everybodys_choice():
    graph = choices({"a": list(range(60))}, LIMIT)
    assert networkx.diameter(graph) <= 4
    assert max(dict(graph.degree()).values()) <= 20


def test_least_round_trip_first_beyond_the_ring():
    own, near = PEERS[0], set(PEERS[10:16])
    heard = [candidate(p, rtt=0.0008 if p in near else 0.05) for p in PEERS[1:]]
    chosen = choose(own, heard, LIMIT, (), order_of(own))
    assert set(chosen) == {PEERS[1], PEERS[-1]} | near


def test_who_was_not_met_counts_as_usual():
    own, met, near = PEERS[0], set(PEERS[3:12]), set(PEERS[5:8])
    rtts = {p: 0.02 if p in near else 0.045 for p in met}
    heard = [candidate(p, rtt=rtts.get(p)) for p in PEERS[1:30]]
    chosen = choose(own, heard, LIMIT, (), order_of(own))
    assert set(chosen[2:5]) == near
    assert set(chosen[5:]) - met


def test_held_ones_stay_until_outdone_by_far():
    own, held = PEERS[0], set(PEERS[10:16])

    def chosen(others):
        heard = [candidate(p, rtt=0.032, held=True) for p in held]
        heard += [candidate(p, rtt=others) for p in PEERS[1:] if p not in held]
        return set(choose(own, heard, LIMIT, (), order_of(own)))

    assert held <= chosen(0.033)
    assert held <= chosen(0.065)
    assert not held & chosen(0.0076)


def test_peers_that_others_chose_fill_the_room():
    own = PEERS[0]
    heard = [candidate(p) for p in PEERS[1:30]]
    taken = set(PEERS[10:16])
    chosen = choose(own, heard, LIMIT, taken, order_of(own))
    assert chosen == [PEERS[1], PEERS[29]]
    some = choose(own, heard, LIMIT, set(PEERS[10:13]), order_of(own))
    assert len(set(some) | set(PEERS[10:13])) == LIMIT


def test_where_others_chose_many_one_goes_at_a_time():
    own, taken, held = PEERS[0], set(PEERS[10:16]), set(PEERS[20:26])
    for rest in (5, 4, 3, 2, 2):
        heard = [candidate(p, held=p in held) for p in PEERS[1:30]]
        held = set(choose(own, heard, LIMIT, taken, order_of(own))) - {PEERS[1], PEERS[29]}
        assert (len(held), held <= set(PEERS[20:26])) == (rest, True)


def test_nobody_and_no_room():
    own = PEERS[0]
    assert choose(own, [], LIMIT, (), order_of(own)) == []
    assert choose(own, [candidate(PEERS[1])], 0, (), order_of(own)) == []


def test_alive_but_not_announced_any_more():
    own = PEERS[0]
    heard = [candidate(PEERS[5], lans=(), held=True), candidate(PEERS[7])]
    assert choose(own, heard, LIMIT, (), order_of(own)) == [PEERS[7], PEERS[5]]


def test_choices_spread():
    times: Counter = Counter()
    for own in PEERS:
        heard = [candidate(p) for p in PEERS if p != own]
        times.update(choose(own, heard, LIMIT, (), order_of(own)))
    assert max(times.values()) <= 2 * LIMIT
