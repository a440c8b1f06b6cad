"""Flooding: maps become alike, and changes are told in time."""

from random import Random

import networkx as nx
import pytest

from rovy.routing import flood as constants
from rovy.routing.cost import encode_cost
from rovy.routing.flood import Flood
from rovy.routing.map import FORGET, WAIT
from rovy.routing.record import LEAF, MAX_LINKS, TRUNC, LinkRecord
from rovy.wire.flood import MAX_RECORDS, Listing, Records, Summary
from tests.unit.routing.floods import (
    COST,
    EPOCH,
    FAR,
    LATENCY,
    SOON,
    Wires,
    change,
    holds,
    keys,
    network,
    own,
    published,
    reaches,
    row,
    settled,
    short,
)
from tests.unit.routing.graphs import SHAPES


def test_numbers_are_those_of_the_specification():
    assert (constants.AFTER_DOWN, constants.AFTER_CHANGE) == (0.05, 0.25)
    assert constants.LINK_CHANGES == (20, 30.0)
    assert constants.COST_CHANGES == (3, 30.0)
    assert (constants.REFRESH, constants.SUMMARY) == (2400.0, 60.0)


# Maps become alike


@pytest.mark.parametrize("quality", [{}, {"loss": 0.3, "duplicate": 0.2, "jitter": 0.3}])
@pytest.mark.parametrize("shape", SHAPES)
def test_maps_become_alike(shape, quality):
    """Whatever gets lost, comes twice, or comes in another order."""
    wires = network(shape, 12, **quality)
    assert settled(wires, 60.0) < (40.0 if quality else SOON)
    wires.run(120.0)
    assert wires.exact()
    assert all(published(wires, number) <= 1 for number in wires.floods)


def test_maps_follow_changes():
    wires = network("geometric", 16)
    random = Random(1)
    for _ in range(8):
        wires.run(random.choice((0.01, 0.2, 4.0, 40.0)))
        change(wires, random)
    assert settled(wires, 60.0) <= 30.0


def test_two_networks_become_one_and_two_again():
    wires = Wires()
    wires.build(nx.disjoint_union(nx.cycle_graph(8), nx.path_graph(6)))
    wires.run(SOON)
    assert len(wires.floods[0].map.distance) == 8
    wires.link(3, 10)
    assert settled(wires, SOON) < SOON
    assert len(wires.floods[0].map.distance) == 14
    wires.cut(3, 10)
    assert settled(wires, SOON) < SOON
    assert len(wires.floods[0].map.held) == 14  # the others wait
    wires.run(WAIT)
    assert len(wires.floods[0].map.held) == 8


@pytest.mark.slow
def test_at_rest_little_is_said():
    wires = network("grid", 25)
    wires.run(300.0)
    since = wires.now
    wires.run(1200.0)
    assert not wires.messages(Listing, since=since)
    assert not wires.messages(Records, since=since)
    ends = 2 * len(wires.truth.edges)
    assert len(wires.messages(Summary, since=since)) == ends * 20
    assert wires.bytes(since) == ends * 20 * 23


@pytest.mark.slow
def test_a_record_goes_once_over_every_link():
    """Flooding costs at most two copies a link, and none where the other end sent it."""
    wires = network("grid", 25)
    wires.run(SOON)
    since = wires.now
    wires.floods[0]._refresh_at = wires.now
    wires.run(0.0)
    wires._after(0)
    wires.run(1.0)
    copies = [len(message.records) for message in wires.messages(Records, since=since)]
    assert sum(copies) <= 2 * len(wires.truth.edges)
    assert all(holds(wires, n, 0) for n in wires.floods)
    assert {f.map.sequence(short(0)) for f in wires.floods.values()} == {own(wires, 0).sequence}


# Both ends


def test_a_link_that_one_end_tells_does_not_count():
    wires = row(3)
    wires.node(3)
    wires.up(3, 2)
    wires.run(SOON)
    assert not reaches(wires, 0, 3)
    wires.up(2, 3)
    wires.run(SOON)
    assert reaches(wires, 0, 3)


def test_a_link_ends_when_one_end_says_so():
    wires = row(4)
    wires.floods[2].unlink(short(3), wires.now)
    wires._after(2)
    wires.run(1.0)
    assert not reaches(wires, 0, 3)


def test_slots_that_changed_hands_are_told():
    wires = row(3)
    wires._slots[1][2] = 77
    for near, far in ((1, 2), (2, 1)):
        wires.up(near, far)
    wires.run(SOON)
    link = wires.floods[0].map.graph.adjacency[short(1)][short(2)]
    assert (link.slot, link.back) == (77, wires.slot(2, 1))


def test_a_late_record_waits_for_its_counterpart():
    wires = row(2)
    wires.say(1, 0, Records((wires.record(3, 2).raw,)))
    wires.run(WAIT - 1)
    assert holds(wires, 0, 3)
    wires.say(1, 0, Records((wires.record(2, 1, 3).raw, wires.record(1, 0, 2).raw)))
    wires.run(0.1)
    assert reaches(wires, 0, 3)


def test_a_record_without_counterpart_is_dropped_after_a_minute():
    wires = row(2)
    wires.say(1, 0, Records((wires.record(3, 2).raw,)))
    wires.run(WAIT + 0.1)
    assert not holds(wires, 0, 3)


# In time


def test_a_link_down_is_told_after_50_ms_and_a_link_up_after_250():
    wires = row(3)
    wires.cut(1, 2)
    assert told_after(wires, 1) == pytest.approx(0.05)
    wires.link(1, 2)
    assert told_after(wires, 1) == pytest.approx(0.25)


def told_after(wires, number):
    """Seconds from now to a node's next record, which its neighbours get at once."""
    since, before = wires.now, published(wires, number)
    at = wires.run(10.0, lambda: published(wires, number) > before)
    wires.run(LATENCY)
    record = own(wires, number)
    assert all(record.raw in m.records for m in wires.messages(Records, number, since=at))
    wires.run(SOON)
    assert published(wires, number) == before + 1
    return at - since


def test_changes_within_a_moment_are_told_together():
    wires = Wires()
    for number in range(8):
        wires.node(number)
    for number in range(1, 8):
        wires.link(0, number)
        wires.run(0.03)
    wires.run(SOON)
    assert published(wires, 0) == 1
    wires.cut(0, 1)
    wires.run(0.04)
    wires.cut(0, 2)
    wires.run(SOON)
    assert published(wires, 0) == 2
    assert wires.exact()


def test_a_link_down_does_not_wait_behind_a_link_up():
    wires = row(3)
    wires.node(3)
    wires.link(1, 3)
    wires.cut(1, 2)
    assert told_after(wires, 1) == pytest.approx(0.05)


def test_costs_are_told_when_they_change_by_a_quarter():
    wires = row(3)
    wires.link(0, 1, COST * 1.2)
    wires.link(0, 1, COST * 0.8)
    wires.run(10.0)
    assert published(wires, 0) == 1
    wires.link(0, 1, COST * 1.3)
    assert told_after(wires, 0) == pytest.approx(0.25)
    assert own(wires, 0).links[0].cost == encode_cost(COST * 1.3)
    wires.link(0, 1, COST)  # 23 % less than what was told last
    wires.run(10.0)
    assert published(wires, 0) == 2


def test_another_mtu_is_told():
    wires = row(3)
    wires.up(0, 1, mtu=9000)
    wires.run(10.0)
    assert published(wires, 0) == 2
    assert own(wires, 0).links[0].mtu == 9000


def test_twenty_changes_of_links_in_half_a_minute_are_told_at_once():
    wires = row(3)
    wires.run(30.0)
    before, late = published(wires, 0), []
    for _ in range(20):
        for happen in (wires.cut, wires.link):
            since = wires.now
            happen(0, 1)
            wires.run(0.5)
            late.append(not wires.messages(Records, 0, 1, since) and happen == wires.link)
    assert 20 <= published(wires, 0) - before <= 20 + 20 * 20 / 30 + 1
    wires.run(30.0)
    assert wires.exact()
    wires.run(60.0)
    wires.cut(0, 1)
    wires.run(0.1)
    assert own(wires, 0).links == ()


def test_three_changes_of_cost_in_half_a_minute_are_told():
    wires = row(3)
    wires.run(60.0)
    before = published(wires, 0)
    for number in range(20):
        wires.link(0, 1, COST * (1 + number % 2))
        wires.run(0.5)
    assert 3 <= published(wires, 0) - before <= 4
    wires.run(60.0)
    assert wires.exact()


def test_costs_that_change_all_the_time_hold_back_no_link():
    wires = row(3)
    for number in range(20):
        wires.link(0, 1, COST * (1 + number % 2))
        wires.run(0.5)
    wires.cut(0, 1)
    wires.run(0.1)
    assert own(wires, 0).links == ()


def test_links_that_come_and_go_do_not_use_up_what_costs_may():
    wires = row(3)
    wires.run(60.0)
    for _ in range(30):
        wires.cut(0, 1)
        wires.run(0.06)
        wires.link(0, 1)
        wires.run(0.26)
    wires.run(30.0)
    before = published(wires, 2)
    wires.link(2, 1, COST * 2)
    wires.run(0.3)
    assert published(wires, 2) == before + 1
    wires.run(60.0)
    assert wires.exact()


def test_records_are_told_anew_every_40_minutes():
    wires = row(3)
    before = own(wires, 0)
    wires.run(2400.0)
    after = own(wires, 0)
    assert published(wires, 0) == 2
    assert after.links == before.links
    assert after.sequence == int((EPOCH + 2400.25) * 1000)
    wires.run(12 * 3600.0)
    assert wires.exact()
    assert published(wires, 0) == 2 + 18


def test_a_node_that_says_nothing_is_forgotten_after_two_hours():
    wires = row(3)
    del wires.floods[2]  # and node 1 notices nothing
    learned = own(wires, 1)
    wires.run(FORGET - 10)
    assert reaches(wires, 0, 2)
    assert own(wires, 1).sequence > learned.sequence
    wires.run(20.0)
    assert not holds(wires, 0, 2)
    assert not holds(wires, 1, 2)


# Sequences


def test_sequences_are_milliseconds_and_rise_whatever_the_clock_does():
    wires = row(3)
    assert own(wires, 0).sequence == int((EPOCH + 0.25) * 1000)
    seen = [own(wires, 0).sequence]
    for skew in (-5e6, 7e6, 0.0, -1.0):
        wires.skew[0] = skew
        wires.link(0, 1, COST * (1 + len(seen) % 2))
        wires.run(60.0)
        seen.append(own(wires, 0).sequence)
    assert seen == sorted(set(seen))
    assert seen[1] == seen[0] + 1
    assert wires.exact()


def test_a_node_that_lost_its_clock_goes_on_above_its_record_from_before():
    wires = row(4)
    before = own(wires, 3).sequence
    wires.stop(3)
    wires.run(1.0)
    wires.skew[3] = -1e9
    wires.node(3)
    wires.link(3, 2)
    wires.run(SOON)
    assert own(wires, 3).sequence == before + 1
    assert wires.floods[3].sequence == before + 1
    assert wires.floods[3].counts["own record from before"] == 1
    assert wires.exact()


def test_a_node_that_lost_its_clock_and_its_slots_hears_of_its_record_from_before():
    """Whoever holds that record has no link any more that would confirm it."""
    wires = row(4)
    before = own(wires, 3).sequence
    wires.stop(3)
    wires.run(1.0)
    wires.skew[3] = -1e9
    wires._slots[3][2] = 9
    wires.node(3)
    wires.link(3, 2)
    assert settled(wires, 10.0) <= 2 * SOON
    assert own(wires, 3).sequence == before + 1


def test_a_sequence_that_was_written_down_is_not_used_again():
    wires = Wires()
    wires.node(1)
    wires.skew[0] = -1e9
    wires.node(0, sequence=2_000_000_000_000)
    wires.link(0, 1)
    wires.run(SOON)
    assert own(wires, 0).sequence == 2_000_000_000_001
    assert wires.exact()


@pytest.mark.slow
def test_two_nodes_with_one_key_do_not_flood_the_network():
    """Each takes the other's record for its own from before."""
    wires = row(5)
    for _ in range(60):
        record = wires.record(0, 1, sequence=wires.floods[0].sequence + 1)
        wires.say(4, 3, Records((record.raw,)))
        wires.run(1.0)
    assert 20 <= published(wires, 0) <= 2 + 20 + 60 * 20 / 30
    wires.run(60.0)
    assert wires.exact()


# More links than a record holds


@pytest.mark.slow
def test_a_hub_lists_its_best_links_and_its_leaves_list_theirs():
    wires = Wires()
    wires.build(nx.star_graph(60))
    for number in range(1, 14):
        wires.link(number, number % 13 + 1, FAR)  # not leaves, although far from each other
    wires.run(SOON)
    hub = own(wires, 0)
    assert len(hub.links) == MAX_LINKS
    assert hub.flags == TRUNC
    assert {short(n) for n in range(1, 14)} <= {link.peer for link in hub.links}
    leaves = [own(wires, number) for number in range(14, 61)]
    assert {record.flags for record in leaves} == {LEAF}
    assert settled(wires, SOON) < SOON


@pytest.mark.slow
def test_who_leaves_a_hub_with_more_links_than_it_lists_is_forgotten_in_the_end():
    """Nobody but the one who left could take its record back."""
    wires = Wires()
    wires.build(nx.star_graph(50))
    wires.run(SOON)
    wires.cut(0, 50)
    wires.run(SOON)
    assert reaches(wires, 1, 50)
    wires.run(FORGET)
    assert not reaches(wires, 1, 50)


@pytest.mark.slow
def test_two_hubs_that_learn_late_which_are_leaves_list_each_other():
    """Costs say nothing here, and the other hub comes last by its short."""
    wires = Wires()
    graph = nx.disjoint_union(nx.star_graph(60), nx.star_graph(60))
    graph.add_edge(0, 61)
    wires.build(graph, lambda random: 0.001)
    wires.link(0, 61, FAR)
    wires.run(SOON)
    assert wires.exact()
    for hub, other in ((0, 61), (61, 0)):
        assert short(other) in {link.peer for link in own(wires, hub).links}
        assert published(wires, hub) == 2


@pytest.mark.slow
def test_the_cheapest_links_are_listed():
    wires = Wires()
    wires.build(nx.star_graph(50), lambda random: random.choice((0.001, 0.01)))
    wires.run(SOON)
    cheap = {short(n) for n in range(1, 51) if wires.truth[0][n]["cost"] < 0.002}
    assert cheap <= {link.peer for link in own(wires, 0).links}


# Messages too long for one


@pytest.mark.slow
def test_records_are_cut_into_messages():
    wires = row(40)
    wires.node(40)
    wires.link(39, 40)
    wires.run(SOON)
    sizes = [len(m.emit()) for m in wires.messages(Records)]
    assert max(sizes) <= 1 + MAX_RECORDS
    assert sum(size > 1000 for size in sizes) >= 1


@pytest.mark.slow
def test_a_message_of_records_is_full_before_the_next():
    wires = Wires()
    wires.build(nx.star_graph(100))
    wires.run(SOON)
    since = wires.now
    wires.node(101)
    wires.link(0, 101)
    wires.run(1.0)
    longest = max(len(m.emit()) for m in wires.messages(Records, 0, 101, since))
    assert MAX_RECORDS - 1000 < longest <= MAX_RECORDS + 1
    assert holds(wires, 101, *range(101))


# Small things


def test_a_lonely_node_says_so_to_nobody():
    wires = Wires()
    flood = wires.node(0)
    wires._after(0)
    wires.run(3 * 3600.0)
    assert flood.counts["own record"] == 4
    assert own(wires, 0).links == ()
    assert not wires.sent


def test_a_flood_with_nothing_to_do_wants_no_timer():
    flood = Flood(keys()[0], now=5.0, wall=lambda: EPOCH, random=Random(1).randbytes)
    assert flood.next_timer() == 5.0 + 2400.0
    assert flood.run(6.0) is None
    assert flood.pull() == []


def test_what_changed_in_the_map_is_told_once():
    wires = row(4)
    wires.gone.clear()
    wires.cut(2, 3)
    wires.run(60.0)
    name = tuple(sorted((short(2), short(3))))
    lost = [(number, links) for _, number, links in wires.gone if number < 3]
    assert sorted(lost) == [(number, frozenset({name})) for number in range(3)]
    at = {number: moment for moment, number, _ in wires.gone}
    collected = constants.FLUSH * (1 + 4 / constants.FLUSH_NODES)
    assert at[0] - min(at.values()) <= 2 * (LATENCY + collected) + 0.001


def test_a_neighbour_is_never_sent_its_own_record():
    wires = network("grid", 20)
    wires.run(SOON)
    for _, _, target, message in wires.sent:
        if isinstance(message, Records):
            assert short(target) not in {LinkRecord.parse(raw).short for raw in message.records}
