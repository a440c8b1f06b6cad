"""Anchors: everybody knows the same, by the cheapest way, and changes are told in time."""

from itertools import pairwise

import networkx as nx
import pytest

from rovy.routing import anchor_gone, anchor_neighbour, anchor_paths, anchors
from rovy.routing.anchor_paths import LIFETIME, REFRESH, SETTLE
from rovy.routing.anchor_seats import PROBATION
from rovy.routing.anchor_self import WILLING_AFTER, WILLING_SPREAD
from rovy.routing.anchors import Anchors
from rovy.routing.beacon import WILLING, Beacon
from rovy.routing.cost import decode_cost, encode_cost
from rovy.routing.record import LinkEntry, LinkRecord
from rovy.wire.beacon import Asked, BeaconMessage, Gone, Offered, Withdrawn
from tests.unit.routing.beacons import (
    COST,
    EPOCH,
    MTU,
    Relays,
    best,
    keys,
    network,
    numbers,
    peer,
    row,
    short,
    ways,
)
from tests.unit.routing.graphs import SHAPES

SOON = 8.0
"""Seconds by which all agree in small networks where nothing gets lost."""


def test_numbers_are_those_of_the_specification():
    assert (anchors.AFTER_CHANGE, anchors.AFTER_LOSS) == (0.25, 0.1)
    assert (REFRESH, LIFETIME, SETTLE) == (600.0, 1500.0, 60.0)
    assert (anchor_paths.ALTERNATIVES, anchor_paths.HYSTERESIS) == (4, 0.1)
    assert anchor_gone.SUPPRESSED == 10.0
    each = anchor_neighbour.CHECK, anchor_neighbour.SLOWER, anchor_neighbour.SUMMARY
    assert each == (1.0, 1.5, 60.0)
    assert anchor_neighbour.ASKED_AGAIN == 3


def sequence(relays, number, anchor):
    return relays.nodes[number].seated[short(anchor)].beacon.sequence


# Everybody knows the same


@pytest.mark.parametrize("size", [2, 3, 5])
def test_in_small_networks_every_node_is_an_anchor(size):
    relays = Relays()
    relays.build(nx.complete_graph(size))
    assert relays.settled(SOON) < SOON
    for number, node in relays.nodes.items():
        assert node.is_anchor
        assert {*node.seated} == {short(n) for n in relays.nodes if n != number}
        assert all(way.cost == decode_cost(encode_cost(COST)) for way in node.seated.values())


@pytest.mark.parametrize("quality", [{}, {"loss": 0.3, "duplicate": 0.2, "jitter": 0.3}])
@pytest.mark.parametrize("shape", ["line", "ring", "tree", "grid", "chain of rings"])
def test_all_agree_on_the_best_ranked(shape, quality, monkeypatch):
    """Whatever gets lost, comes twice, or comes in another order."""
    monkeypatch.setattr("rovy.routing.anchor_seats.BEHIND", 8)
    relays = network(shape, 12, **quality)
    assert relays.settled(60.0) < (45.0 if quality else SOON)
    relays.run(60.0)
    assert relays.agree()
    assert relays.alive()


def test_a_way_is_what_its_nodes_say():
    relays = Relays()
    relays.build(nx.path_graph(4))
    relays.link(1, 2, 0.02, 1300)
    relays.run(SOON)
    way = relays.nodes[3].seated[short(0)]
    assert way.anchor == peer(0)
    assert way.nodes == (peer(0), peer(1), peer(2), peer(3))
    assert [out.cost for out, _ in way.links] == [back.cost for _, back in way.links]
    assert way.cost == pytest.approx(sum(out.cost for out, _ in way.links))
    assert [out.mtu for out, _ in way.links] == [MTU, 1300, MTU]
    assert way.costs == tuple(map(encode_cost, (COST, 0.02, COST)))
    assert way.entry == short(1)
    assert relays.nodes[1].seated[short(0)].entry is None
    assert relays.alive()


def test_the_higher_cost_and_the_lower_mtu_of_the_last_link_count():
    relays = row(2)
    relays.up(0, 1, 0.05, 1500)
    relays.run(1.0)
    [[(out, back)]] = [way.links for way in relays.nodes[0].seated.values()]
    assert (out.cost, back.cost) == (decode_cost(encode_cost(0.05)),) * 2
    assert out.mtu == MTU
    assert relays.nodes[1].seated[short(0)].cost == out.cost


def test_a_way_may_be_64_hops_long(monkeypatch):
    monkeypatch.setattr("rovy.routing.beacon.MAX_HOPS", 5)
    monkeypatch.setattr("rovy.routing.anchor_offers.MAX_HOPS", 5)
    relays = Relays()
    relays.build(nx.path_graph(8))
    relays.run(20.0)
    assert short(0) in ways(relays.nodes[5])
    assert short(0) not in ways(relays.nodes[6])


# Changes


def diamond():
    """Nodes 0 and 2 with 1 and 3 between them; what 2 uses to get to 0, and the other one."""
    relays = Relays()
    relays.build(nx.cycle_graph(4))
    for middle in (1, 3):
        relays.link(middle, 2, 0.02)
    relays.run(SOON)
    used = numbers()[relays.nodes[2].seated[short(0)].nodes[1].short]
    return relays, used, 4 - used


def test_a_cheaper_way_is_taken_if_it_is_cheaper_by_a_tenth():
    relays, used, other = diamond()
    relays.link(0, other, 0.0035)
    relays.run(5.0)
    assert relays.nodes[2].seated[short(0)].nodes[1] == peer(used)
    relays.link(0, other, 0.001)
    relays.run(1.0)
    assert relays.nodes[2].seated[short(0)].nodes[1] == peer(other)


def test_with_a_new_sequence_the_cheapest_way_is_taken():
    relays, _, other = diamond()
    relays.link(0, other, 0.0035)
    relays.run(REFRESH + SETTLE + SOON)
    assert relays.nodes[2].seated[short(0)].nodes[1] == peer(other)
    assert relays.stretch() == pytest.approx(1.0)


def test_small_changes_of_cost_are_not_told():
    relays = row(3)
    relays.run(60.0)
    since = relays.now
    for cost in (COST * 1.1, COST * 0.9, COST * 1.2):
        relays.link(0, 1, cost)
        relays.run(1.0)
    assert not relays.messages(BeaconMessage, since=since)
    relays.link(0, 1, COST * 1.5)
    relays.run(1.0)
    assert relays.messages(BeaconMessage, 1, 2, since)
    assert relays.nodes[2].seated[short(0)].costs[0] == encode_cost(COST * 1.5)


def test_a_link_that_is_gone_is_told_with_its_signature():
    relays = Relays()
    relays.build(nx.cycle_graph(8))
    relays.run(SOON)
    since = relays.now
    relays.cut(0, 1)
    relays.run(1.0)
    assert relays.alive()
    assert relays.agree()
    said = {message.key for message in relays.messages(Gone, since=since)}
    assert said == {peer(0).key, peer(1).key}


def test_who_used_no_way_over_the_link_passes_nothing_on():
    relays = Relays()
    relays.build(nx.cycle_graph(12))
    relays.run(SOON)
    since = relays.now
    relays.cut(0, 1)
    relays.run(2.0)
    for at, source, _, message in relays.sent:
        if at >= since and isinstance(message, Gone):
            assert (
                relays.nodes[source].counts["gone link"]
                + relays.nodes[source].counts["own gone link"]
            )
    assert len(relays.messages(Gone, since=since)) <= 2 * 2 * len(relays.truth.edges)


def test_a_link_where_nothing_is_offered_is_not_told_of():
    relays = Relays()
    for number in (0, 1):
        relays.node(number)
    relays.link(0, 1)
    relays.cut(0, 1)
    relays.run(1.0)
    assert not relays.messages(Gone)


def test_a_node_that_is_alone_knows_nobody():
    relays = row(3)
    relays.cut(0, 1)
    relays.run(0.2)
    assert not relays.nodes[0].seated
    relays.run(SOON)
    assert {*relays.nodes[1].seated} == {short(2)}
    assert relays.nodes[0].pull() == []


def test_a_link_that_comes_back_is_believed_again_after_ten_seconds():
    relays = row(6)
    relays.cut(2, 3)
    relays.run(2.0)
    assert not any(short(5) in ways(relays.nodes[n]) for n in range(3))
    relays.link(2, 3)
    relays.run(1.0)
    assert short(5) in relays.nodes[2].seated  # it sees for itself
    assert short(5) not in relays.nodes[0].seated
    relays.run(9.0)
    assert relays.agree()
    assert relays.alive()


def test_a_newer_link_record_lets_it_be_believed_at_once():
    relays = row(6)
    relays.cut(2, 3)
    relays.run(2.0)
    relays.link(2, 3)
    for near, far in ((2, 3), (3, 2)):
        made = record(relays, near, far)
        for number, node in relays.nodes.items():
            node.note_link_record(made, relays.now)
            relays.after(number)
    relays.run(3.0)
    assert relays.agree()


def record(relays, number, *peers, at=None):
    """A link record of a node."""
    links = [
        LinkEntry(short(n), relays.slot(number, n), relays.slot(n, number), 90, MTU) for n in peers
    ]
    milliseconds = int((EPOCH + (relays.now if at is None else at)) * 1000)
    return LinkRecord.sign(keys()[number], milliseconds, 0, links, bytes(64))


@pytest.mark.slow
def test_two_networks_become_one():
    relays = Relays()
    relays.build(nx.cycle_graph(12))
    relays.build(nx.path_graph(10), first=12)
    relays.run(SOON)
    relays.link(3, 15)
    assert relays.settled(SOON) < SOON
    relays.cut(3, 15)
    assert relays.settled(30.0) < 30.0


@pytest.mark.slow
def test_two_old_networks_share_the_best_anchor_at_once_and_all_in_the_end(monkeypatch):
    monkeypatch.setattr("rovy.routing.anchor_self.WILLING_AFTER", 1e9)
    relays = Relays()
    relays.build(nx.cycle_graph(10))
    relays.build(nx.path_graph(10), first=10)
    relays.run(PROBATION + 60.0)
    parts = {n: relays.seated(n) for n in relays.nodes}
    relays.link(3, 15)
    relays.run(5.0)
    top = best(relays.nodes)
    for number, node in relays.nodes.items():
        assert relays.seated(number) == parts[number]
        assert set(top) - {number} <= {numbers()[each] for each in ways(node)}
    relays.run(PROBATION * 8)
    assert relays.agree()
    moments = {at for at, number in relays.changes if number == 3 and at > PROBATION + 70.0}
    assert len(moments) >= 3


# Sequences


def test_sequences_are_milliseconds_and_new_every_ten_minutes():
    relays = row(3)
    first = sequence(relays, 2, 0)
    assert EPOCH * 1000 <= first <= (EPOCH + 5.0) * 1000
    relays.run(REFRESH)
    second = sequence(relays, 2, 0)
    assert second == first + REFRESH * 1000
    assert relays.nodes[0].sequence >= second


@pytest.mark.slow
def test_new_sequences_change_no_way():
    relays = network("grid", 20)
    relays.run(120.0)
    relays.changes.clear()
    relays.run(REFRESH - 130.0)
    before = {n: {a: w.shape for a, w in x.seated.items()} for n, x in relays.nodes.items()}
    assert relays.changes == []
    relays.run(40.0)
    after = {n: {a: w.shape for a, w in x.seated.items()} for n, x in relays.nodes.items()}
    assert after == before


def test_a_node_that_lost_its_clock_goes_on_above_its_beacon_from_before():
    relays = row(4)
    before = relays.nodes[3].sequence
    relays.stop(3)
    relays.run(0.05)
    relays.skew[3] = -1e9
    relays.node(3)
    relays.link(3, 2)
    relays.run(20.0)
    assert relays.nodes[3].sequence > before
    assert relays.agree()


def test_an_own_beacon_from_before_is_topped():
    relays = row(2)
    node = relays.nodes[0]
    later = node.sequence + 10**9
    old = Beacon.begin(peer(0), later, 0).extend(
        keys()[0], peer(1), relays.nodes[1].neighbours[short(0)].step, bytes(64)
    )
    relays.say(1, 0, BeaconMessage(old.raw))
    assert node.counts["own beacon from before"] == 1
    relays.run(1.0)
    assert sequence(relays, 1, 0) == later + 1


def test_a_sequence_that_was_written_down_is_not_used_again():
    relays = Relays()
    relays.node(0, sequence=2 * 10**12)
    relays.node(1)
    relays.link(0, 1)
    relays.run(SOON)
    assert sequence(relays, 1, 0) == 2 * 10**12 + 1


def test_an_anchor_that_says_nothing_more_is_forgotten():
    relays = row(3)
    del relays.nodes[0]  # and node 1 does not notice
    relays.run(LIFETIME - REFRESH - 20.0)
    assert short(0) in relays.nodes[2].seated
    relays.run(REFRESH + 40.0)
    assert short(0) not in relays.nodes[1].seated
    assert short(0) not in relays.nodes[2].seated


# Willing


@pytest.mark.slow
def test_the_willing_come_first():
    """In a line all but the ends have two peerings."""
    relays = Relays()
    relays.build(nx.path_graph(10))
    relays.run(WILLING_AFTER - 10.0)
    assert not any(node.is_willing for node in relays.nodes.values())
    relays.run(WILLING_SPREAD + 20.0)
    assert [n for n, x in relays.nodes.items() if not x.is_willing] == [0, 9]
    relays.run(PROBATION * 4)
    assert all(relays.seated(number) == set(range(1, 9)) for number in relays.nodes)
    flags = {way.beacon.flags for way in relays.nodes[0].seated.values()}
    assert flags == {WILLING}


def test_pinned_ones_are_always_seated():
    worst = best(range(20))[::-1][:1] + [n for n in range(20) if n not in best(range(20))][:2]
    relays = Relays(pins=worst)
    relays.build(nx.cycle_graph(20))
    relays.run(SOON)
    for number in relays.nodes:
        assert set(worst) <= relays.seated(number)
        assert len(relays.seated(number)) == 8


# Repair


def test_summaries_follow_changes_and_become_rare():
    relays = row(2)
    relays.run(200.0)
    times = [at for at, source, _, m in relays.sent if source == 0 and isinstance(m, Offered)]
    pauses = [round(b - a, 2) for a, b in pairwise(times)]
    assert pauses[-4:] == [25.63, 38.44, 57.67, 60.0] or pauses[-3:] == [25.63, 38.44, 57.67]
    assert len(times) <= 18


def test_what_got_lost_is_asked_for():
    relays = row(3)
    relays.tap = lambda s, t, m: None if isinstance(m, BeaconMessage) else m
    relays.node(3)
    relays.link(2, 3)
    relays.run(1.2)
    assert not relays.nodes[3].seated
    relays.tap = lambda source, target, message: message
    relays.run(3.0)
    assert relays.messages(Asked, 3, 2)
    assert relays.agree()


def test_a_withdrawal_that_got_lost_is_noticed():
    relays = row(4)
    relays.run(200.0)
    relays.tap = lambda s, t, m: None if isinstance(m, Withdrawn | Gone) and t == 0 else m
    relays.cut(2, 3)
    relays.run(0.5)
    assert short(3) in relays.nodes[0].seated
    relays.run(3.0)
    assert short(3) not in relays.nodes[0].seated


def test_a_neighbour_that_started_anew_unnoticed_gets_everything():
    relays = row(4)
    relays.node(1)
    relays.up(1, 0)
    relays.up(1, 2)
    relays.run(1.0)
    assert {short(2), short(3), short(0)} <= {*relays.nodes[1].seated}


@pytest.mark.slow
def test_at_rest_little_is_said():
    relays = network("grid", 20)
    relays.run(300.0)
    since = relays.now
    relays.run(200.0)
    kinds = {type(message) for at, _, _, message in relays.sent if at >= since}
    assert kinds == {Offered}


# Small things


def test_with_nothing_to_do_there_is_no_timer():
    node = Anchors(keys()[0], now=5.0, wall=lambda: EPOCH, random=bytes)
    assert node.next_timer() == float("inf")
    assert node.run(6.0) is False
    assert node.pull() == []


def test_more_alternatives_than_are_kept_are_asked_for_when_there_is_room():
    """Node 0 is an anchor that six others show to node 7."""
    relays = Relays()
    graph = nx.Graph([(0, n) for n in range(1, 7)] + [(n, 7) for n in range(1, 7)])
    relays.build(graph, lambda random: random.uniform(0.002, 0.02))
    relays.run(SOON)
    held = relays.nodes[7]._ways._rows.rows[short(0)].paths
    assert len(held) == 4
    for number in [numbers()[via] for via in list(held)[:3]]:
        relays.cut(number, 7)
    relays.run(SOON)
    assert len(relays.nodes[7]._ways._rows.rows[short(0)].paths) == 3
    assert relays.alive()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_two_best_are_seated_everywhere(shape):
    """Whatever stands behind one neighbour."""
    relays = network(shape, 14)
    relays.run(SOON)
    for part in nx.connected_components(relays.truth):
        for number in part if len(part) > 1 else ():
            assert set(best(part)[:2]) <= relays.seated(number)


def test_a_hub_and_its_leaves():
    """A leaf seats the hub and two behind it; the hub seats whom it likes."""
    relays = Relays()
    relays.build(nx.star_graph(30))
    relays.run(SOON)
    assert relays.seated(0) == set(best(relays.nodes))
    order = [n for n in best(relays.nodes) if n]
    for leaf in range(1, 31):
        others = [n for n in relays.seated(leaf) if n not in (0, leaf)]
        assert len(others) == 2
        assert set(others) <= set(order[:4])
    since = relays.now
    relays.run(120.0)
    assert not relays.messages(BeaconMessage, since=since)


def test_an_anchor_of_a_hub_dies():
    relays = Relays()
    relays.build(nx.star_graph(20))
    relays.run(SOON)
    gone = next(n for n in best(relays.nodes) if n)
    relays.stop(gone)
    relays.run(30.0)
    assert relays.seated(0) == set(best(relays.nodes))
    assert relays.alive()
