"""What hostile neighbours say about anchors is bounded, and changes nothing that is true."""

import networkx as nx
import pytest

from rovy.noise import xeddsa
from rovy.routing import anchor_gone, anchor_neighbour
from rovy.routing.anchor_gone import DOMAIN, GoneLinks
from rovy.routing.anchor_paths import FORMER, LIFETIME, REFRESH
from rovy.routing.anchor_seats import rank
from rovy.routing.beacon import Beacon
from rovy.wire.beacon import Asked, BeaconMessage, Gone, Offered, Withdrawn
from tests.unit.routing.beacons import (
    EPOCH,
    Relays,
    beacon,
    best,
    extend,
    keys,
    peer,
    row,
    short,
    ways,
)
from tests.unit.routing.test_anchors import record

MADE_UP = range(30, 300)
"""Numbers of nodes that are not there."""


def pair():
    """A node, 0, and a neighbour that says what the test likes, 1."""
    relays = row(2)
    del relays.nodes[1]
    return relays


def said(relays, *route, **fields):
    """The neighbour's beacon over these nodes and itself."""
    fields = {"sequence": int((EPOCH + relays.now) * 1000)} | fields
    return BeaconMessage(beacon(*route, 1, 0, relays=relays, **fields).raw)


def state(node):
    """All that beacons may change."""
    rows = node._ways._rows
    return (
        {s: {v: p.beacon.raw for v, p in r.paths.items()} for s, r in rows.rows.items()},
        {s: dict(n.heard) for s, n in node.neighbours.items()},
        [*rows._former],
        node.next_timer(),
    )


@pytest.mark.slow
def test_forged_beacons_change_nothing():
    relays = pair()
    node, message = relays.nodes[0], said(relays, 5, 6)
    before = state(node)
    for at in range(len(message.beacon)):
        forged = bytearray(message.beacon)
        forged[at] ^= 1
        relays.say(1, 0, BeaconMessage(bytes(forged)))
    assert state(node) == before
    assert node.counts["new beacon"] == 1  # the neighbour's own, from before
    relays.say(1, 0, message)
    assert node.counts["new beacon"] == 2


def test_what_another_neighbour_said_is_not_the_neighbours():
    relays = row(3)
    node = relays.nodes[1]
    overheard = relays.messages(BeaconMessage, 2, 1)
    before = state(node)
    for message in overheard:
        relays.say(0, 1, message)
    assert state(node) == before
    assert node.counts["malformed"] == len(overheard)


def test_slots_have_to_be_those_of_the_peering():
    relays = pair()
    node = relays.nodes[0]
    before = state(node)
    made = beacon(5, 1, sequence=9)
    for right, wrong in ((1, 0), (0, 1)):
        slot = {right: relays.slot(right, wrong), wrong: 7}
        raw = extend(made, 1, 0, lambda near, far, slot=slot: slot[near]).raw
        relays.say(1, 0, BeaconMessage(raw))
    assert node.counts["other slots"] == 2
    assert state(node) == before


def test_old_beacons_are_not_believed():
    relays = pair()
    node = relays.nodes[0]
    now = int((EPOCH + relays.now) * 1000)
    old = said(relays, 5, sequence=now - int(REFRESH * 1000) - 100_000)
    relays.say(1, 0, old)
    relays.run(1.0)
    relays.say(1, 0, said(relays, 5, 6, sequence=now))
    relays.run(1.0)
    assert len(ways(node)[short(5)].nodes) == 4
    for _ in range(5):
        relays.say(1, 0, old)
        relays.run(1.0)
    assert node.counts["old beacon"] >= 1
    assert short(5) not in ways(node)  # the neighbour took back what it offered


def test_a_dead_anchor_is_not_kept_by_repeating_its_last_beacon():
    relays = pair()
    node, message = relays.nodes[0], said(relays, 5)
    lived = 0
    for _ in range(int(LIFETIME * 1.9 / 10)):
        relays.say(1, 0, Withdrawn(short(5)))
        relays.say(1, 0, message)
        relays.run(10.0)
        lived += short(5) in ways(node)
    assert lived * 10.0 <= LIFETIME
    assert node.counts["old beacon"] > 50


def test_circles_are_not_believed_and_take_back_what_was_offered():
    relays = pair()
    node = relays.nodes[0]
    relays.say(1, 0, said(relays, 5, 6))
    relays.run(1.0)
    assert short(5) in ways(node)
    made = beacon(5, 0, 1, relays=relays, sequence=int((EPOCH + relays.now) * 1000))
    relays.say(1, 0, BeaconMessage(extend(made, 1, 0, relays.slot).raw))
    assert node.counts["circle"] == 1
    relays.run(1.0)
    assert short(5) not in ways(node)


def test_made_up_anchors_are_bounded():
    relays = pair()
    node = relays.nodes[0]
    for number in MADE_UP:
        relays.say(1, 0, said(relays, number, number + 1))
        if number % 10 == 0:
            relays.run(0.3)
    relays.run(1.0)
    assert len(ways(node)) <= 16
    assert len(node._ways._rows.rows) <= 16
    assert len(node._ways._rows._former) <= FORMER
    assert len(node.neighbours[short(1)].heard) <= 64
    assert node.counts["too many anchors"] > 0


def test_a_crowd_behind_one_node_takes_two_seats():
    relays = pair()
    node = relays.nodes[0]
    for number in list(MADE_UP)[:40]:
        relays.say(1, 0, said(relays, number, 20))
    relays.run(1.0)
    crowd = {short(number) for number in MADE_UP}
    assert len(crowd & {*node.seated}) == 2


@pytest.mark.slow
def test_established_anchors_are_not_pushed_out_at_once():
    """Keys with a low rank are cheap to find: here the hostile node has better ones than all."""
    relays = Relays()
    relays.build(nx.cycle_graph(10), first=300)
    relays.run(1260.0)
    before = relays.seated(300)
    strangers = best(MADE_UP[:260])
    assert max(rank(peer(n)) for n in strangers) < min(rank(peer(n)) for n in before)
    relays.node(299)
    relays.link(299, 300)
    relays.run(2.0)
    del relays.nodes[299]
    for minute in range(45):
        now = int((EPOCH + relays.now) * 1000)
        for entry, number in enumerate(strangers):
            route = number, 20 + entry, 299, 300
            made = beacon(*route, relays=relays, sequence=now)
            relays.say(299, 300, BeaconMessage(made.raw))
        relays.run(60.0)
        left = 8 if minute < 19 else 7 if minute < 39 else 6
        assert all(len(before & relays.seated(n)) >= left for n in range(300, 310))


def test_beacons_are_limited():
    relays = pair()
    node = relays.nodes[0]
    message = said(relays, 5)
    for _ in range(600):
        relays.say(1, 0, message)
    assert node.counts["too many beacons"] >= 600 - 512
    dropped = node.counts["too many beacons"]
    for _ in range(60):
        relays.run(1.0)
        for _ in range(20):
            relays.say(1, 0, message)
    assert node.counts["too many beacons"] - dropped >= 60 * 15 - 5


def test_signatures_are_limited(monkeypatch):
    """One bad signature at the end of a long way of one's own keys costs as much as it is long."""
    checked = []
    right = xeddsa.verify
    monkeypatch.setattr(xeddsa, "verify", lambda *what: checked.append(1) or right(*what))
    monkeypatch.setattr(anchor_neighbour, "SIGNATURES", (10.0, 100.0))
    relays = pair()
    checked.clear()
    for number in range(20):
        raw = bytearray(said(relays, 40 + number, *range(100, 130)).beacon)
        raw[-1] ^= 1
        relays.say(1, 0, BeaconMessage(bytes(raw)))
    assert len(checked) <= 100
    assert relays.nodes[0].counts["too many signatures"] >= 10


def test_what_is_not_kept_is_not_checked(monkeypatch):
    relays = row(10)
    worst = max(rank(peer(number)) for number in relays.seated(0))
    strangers = [number for number in MADE_UP if rank(peer(number)) > worst][:30]
    made = [beacon(number, 1, 0, relays=relays) for number in strangers]
    monkeypatch.setattr(xeddsa, "verify", lambda *what: pytest.fail("checked"))
    for each in made:
        relays.say(1, 0, BeaconMessage(each.raw))
    assert relays.nodes[0].counts["surplus beacon"] == 30


def test_sequences_that_rise_all_the_time_are_limited():
    relays = pair()
    node = relays.nodes[0]
    relays.node(2)
    relays.link(0, 2)
    relays.run(2.0)
    since = relays.now
    for second in range(60):
        relays.say(1, 0, said(relays, sequence=int((EPOCH + relays.now) * 1000) + second))
        relays.run(1.0)
    assert node.counts["too many sequences"] >= 40
    about = [m for m in relays.messages(BeaconMessage, 0, 2, since) if m.beacon[:32] == peer(1).key]
    assert len(about) <= 4 + 60 / 10 + 2


def test_questions_are_limited():
    relays = pair()
    relays.run(60.0)
    since = relays.now
    for _ in range(100):
        relays.say(1, 0, Asked(()))
        relays.say(1, 0, Offered(((short(50), bytes(8)),)))
    assert len(relays.messages(BeaconMessage, 0, 1, since)) <= 16
    assert len(relays.messages(Asked, 0, 1, since)) <= 16
    assert relays.nodes[0].counts["too many questions"] == 184


@pytest.mark.slow
def test_the_limits_of_a_neighbour_outlast_its_link():
    relays = pair()
    node = relays.nodes[0]
    for _ in range(10):
        for _ in range(60):
            relays.say(1, 0, said(relays, 5))
        node.unlink(peer(1), relays.now)
        relays.up(0, 1)
    assert node.counts["too many beacons"] >= 80


def test_the_limits_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(anchor_neighbour, "LIMITED", 8)
    relays = Relays()
    relays.node(0)
    for number in range(1, 40):
        relays.up(0, number)
        relays.nodes[0].unlink(peer(number), relays.now)
    assert len(relays.nodes[0]._limits._limits) == 8


def test_who_is_no_neighbour_is_not_heard():
    relays = pair()
    node = relays.nodes[0]
    before = state(node)
    for message in (said(relays, 5), Withdrawn(short(1)), Offered(()), Asked(())):
        node.receive(peer(3), message, relays.now)
    assert node.counts["not a neighbour"] == 4
    assert state(node) == before


def test_garbage_in_a_beacon_message():
    relays = pair()
    for raw in (b"\0", bytes(143), bytes(6632)):
        relays.say(1, 0, BeaconMessage(raw))
    assert relays.nodes[0].counts["malformed"] == 3


# Links that are gone


def gone(near, far, relays, at=None):
    """What an end of a link could say."""
    milliseconds = int((EPOCH + (relays.now if at is None else at)) * 1000)
    return anchor_gone.sign(keys()[near], peer(far), milliseconds, bytes(64))


def signed_by(number, near, far, sequence):
    """The same, signed by somebody else."""
    signed = peer(near).key + peer(far).key + sequence.to_bytes(6, "big")
    signature = xeddsa.sign(keys()[number], DOMAIN, signed, bytes(64))
    return Gone(peer(near).key, peer(far).key, sequence, signature)


def test_only_an_end_can_take_a_link_back():
    relays = row(6)
    sequence = int((EPOCH + relays.now + 1) * 1000)
    before = state(relays.nodes[0])
    for number in (1, 2, 5):
        relays.say(1, 0, signed_by(number, 3, 4, sequence))
    assert state(relays.nodes[0]) == before
    assert relays.nodes[0].counts["malformed"] == 3
    relays.say(1, 0, signed_by(4, 4, 3, sequence))
    assert relays.nodes[0].counts["gone link"] == 1
    relays.run(0.5)
    assert short(5) not in ways(relays.nodes[0])


def test_a_link_that_is_gone_is_believed_again_after_ten_seconds():
    relays = row(6)
    relays.say(1, 0, gone(3, 4, relays))
    relays.run(0.5)
    assert short(5) not in ways(relays.nodes[0])
    relays.run(10.0)
    assert short(5) in ways(relays.nodes[0])


def test_what_was_said_before_is_not_believed_again():
    relays = row(6)
    message = gone(3, 4, relays)
    relays.say(1, 0, message)
    relays.run(11.0)
    sent = len(relays.messages(Gone))
    for _ in range(5):
        relays.say(1, 0, message)
        relays.run(1.0)
    assert short(5) in ways(relays.nodes[0])
    assert relays.nodes[0].counts["gone link"] == 1
    assert len(relays.messages(Gone)) == sent


def test_what_is_older_than_the_link_record_is_not_believed():
    relays = row(6)
    relays.nodes[0].note_link_record(record(relays, 3, 2, 4), relays.now)
    relays.say(1, 0, gone(3, 4, relays, at=relays.now - 1.0))
    assert relays.nodes[0].counts["known gone link"] == 1
    relays.say(1, 0, gone(3, 4, relays, at=relays.now + 1.0))
    assert relays.nodes[0].counts["gone link"] == 1


def test_what_is_older_than_the_anchors_beacon_is_not_believed():
    relays = row(6)
    relays.say(1, 0, gone(5, 4, relays, at=relays.now - 60.0))
    assert relays.nodes[0].counts["old gone link"] == 1
    assert short(5) in ways(relays.nodes[0])


def test_links_that_no_way_crosses_are_not_remembered():
    relays = row(4)
    for number in range(20, 60):
        relays.say(1, 0, gone(number, number + 1, relays))
    assert relays.nodes[0].counts["gone link elsewhere"] == 40
    assert not relays.nodes[0]._ways.gone._told


def test_gone_links_are_limited_and_cost_no_more_than_that():
    relays = row(6)
    for _ in range(300):
        relays.say(1, 0, gone(3, 4, relays))
    assert relays.nodes[0].counts["too many gone links"] == 300 - 128


def test_nobody_tells_us_about_our_own_links():
    relays = row(4)
    relays.say(1, 0, gone(0, 1, relays, at=relays.now + 5.0))
    assert relays.nodes[0].counts["known gone link"] == 1
    assert short(3) in ways(relays.nodes[0])


def test_gone_links_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(anchor_gone, "LINKS", 4)
    monkeypatch.setattr(anchor_gone, "RECORDS", 2)
    links, relays = GoneLinks(), row(2)
    for number in range(10):
        links.add(short(number), short(50), 1, 0.0)
        links.note_record(record(relays, number, 60))
    assert len(links._told) == 4
    assert len(links._records) == 2
    assert links.blocks([(short(9), short(50))], 5.0) or links.blocks([(short(50), short(9))], 5.0)
    assert links.due(5.0) == 10.0
    assert links.due(10.0) == float("inf")


def test_malformed_keys_in_a_gone_link():
    relays = row(4)
    relays.say(1, 0, Gone(bytes(32), bytes(32), 1, bytes(64)))
    assert relays.nodes[0].counts["malformed"] == 1


def test_a_beacon_of_ours_that_others_made_up_is_not_believed():
    relays = pair()
    node = relays.nodes[0]
    before = node.sequence
    made = Beacon.begin(peer(0), before + 1000, 0)
    raw = bytearray(made.extend(keys()[5], peer(1), node.neighbours[short(1)].step, bytes(64)).raw)
    raw[40:72] = peer(0).key
    relays.say(1, 0, BeaconMessage(bytes(raw)))
    assert node.counts["malformed"] == 1
    assert node.sequence == before
