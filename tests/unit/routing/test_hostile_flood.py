"""What hostile neighbours say about the map is bounded, and changes nothing that is true."""

import networkx as nx

from rovy.routing import flood as constants
from rovy.routing.map import WAIT, WAITING
from rovy.wire.flood import INFINITE, Listing, Records, Summary, Wanted
from tests.unit.routing.floods import (
    COST,
    SOON,
    Wires,
    holds,
    own,
    published,
    reaches,
    row,
    short,
)


def pair():
    """A node, 0, and a neighbour that says what the test likes, 1."""
    wires = row(2)
    del wires.floods[1]
    return wires


def crowd(wires, count, first=4):
    """Records of as many nodes that nobody has heard of."""
    return [wires.record(number, number + 1) for number in range(first, first + count)]


def told(wires, *records, to=0):
    """The hostile neighbour sends records."""
    for record in records:
        wires.say(1, to, Records((record if isinstance(record, bytes) else record.raw,)))
    wires.run(0.02)


def test_forged_records_change_nothing():
    wires = pair()
    flood = wires.floods[0]
    before = flood.map.graph, dict(flood.map.held)
    for raw in (wires.record(1, 0, 4).raw, wires.record(0, 1, 4).raw, wires.record(2, 1).raw):
        for at in (36, 40, 60, len(raw) - 40, len(raw) - 1):
            forged = bytearray(raw)
            forged[at] ^= 1
            told(wires, bytes(forged))
    assert (flood.map.graph, flood.map.held) == before
    assert flood.counts["malformed record"] == 15
    assert flood.counts["new record"] <= 3
    assert published(wires, 0) <= 3


def test_a_record_that_is_replayed_does_nothing():
    wires = row(4)
    old = own(wires, 3).raw
    wires.cut(2, 3)
    wires.run(SOON)
    wires.link(2, 3, COST * 2)
    wires.run(SOON)
    now, sent = own(wires, 3), len(wires.sent)
    for _ in range(5):
        told(wires, old)
    assert wires.floods[0].map.held[short(3)].record == now
    assert wires.floods[0].counts["known record"] >= 5
    assert len([s for s in wires.sent[sent:] if isinstance(s[3], Records)]) == 0


def test_fresh_keys_are_bounded_in_number_and_rate():
    wires = pair()
    flood = wires.floods[0]
    spend(wires, 100)
    records = crowd(wires, 140)
    told(wires, *records)
    assert flood.counts["too many records"] == 40
    assert len(flood.map.held) <= 3 + 100
    wires.run(2.0)
    told(wires, *records)
    assert flood.counts["too many records"] == 40 + 20
    assert len(flood.map.held) <= 3 + 120
    wires.run(WAIT + 1.0)
    assert holds(wires, 0, 0, 1)
    assert len(flood.map.held) == 2


def spend(wires, left):
    """The neighbour has used up its records but for so many."""
    bucket = wires.floods[0].neighbours[short(1)].records
    bucket.take(wires.now)
    bucket.tokens = left


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr("rovy.routing.map.WAITING", 16)
    wires = pair()
    told(wires, *crowd(wires, 100))
    assert len(wires.floods[0].map.held) <= 2 + 16
    assert reaches(wires, 0, 1)


def test_the_limits_of_a_neighbour_outlast_its_link():
    """Whoever takes a peering back and gives it again, or another slot, gains nothing by it."""
    wires = pair()
    flood = wires.floods[0]
    spend(wires, 10)
    before, records = flood.counts["new record"], crowd(wires, 60)
    for number in range(6):
        told(wires, *records[number * 10 : number * 10 + 10])
        if number % 2:
            flood.unlink(short(1), wires.now)
        wires._slots[1][0] = 50 + number
        wires.up(0, 1)
    assert flood.counts["new record"] - before <= 10 + 2
    said = wires.messages(Listing, 0, 1)
    assert len(said) <= 8 + 16


def test_the_limits_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(constants, "LIMITED", 8)
    wires = Wires()
    wires.node(0)
    for number in range(1, 40):
        wires.up(0, number)
        wires.floods[0].unlink(short(number), wires.now)
    assert len(wires.floods[0]._limits) == 8


def test_waiting_records_go_with_who_sent_them():
    wires = pair()
    told(wires, *crowd(wires, 30))
    assert len(wires.floods[0].map.held) >= 32
    wires.floods[0].unlink(short(1), wires.now)
    assert {*wires.floods[0].map.held} <= {short(0), short(1)}


def test_questions_are_limited():
    wires = pair()
    flood = wires.floods[0]
    wires.run(60.0)
    since, wrong = wires.now, Summary(INFINITE, 9, bytes(16))
    for _ in range(100):
        wires.say(1, 0, wrong)
    assert len(wires.messages(Listing, 0, 1, since)) == 16
    assert flood.counts["too many questions"] == 84
    for _ in range(60):
        wires.run(1.0)
        for _ in range(10):
            wires.say(1, 0, wrong)
    assert len(wires.messages(Listing, 0, 1, since)) <= 16 + 2 * 60 + 1


def test_an_endless_round_of_summaries_makes_few_of_ours():
    wires = pair()
    wires.run(200.0)
    since = wires.now
    for _ in range(120):
        wires.say(1, 0, Summary(1000, 9, bytes(16)))  # of a finite radius: nothing to hurry for
        wires.run(1.0)
    assert len(wires.messages(Summary, 0, 1, since)) <= 3


def test_a_wish_is_granted_once():
    wires = pair()
    flood = wires.floods[0]
    since = wires.now
    wires.say(1, 0, Wanted((short(0),) * 500 + (short(77),)))
    [message] = wires.messages(Records, 0, 1, since)
    assert message.records == (flood.map.held[short(0)].record.raw,)


def test_wishes_for_what_is_not_there_get_nothing():
    wires = pair()
    since = wires.now
    wires.say(1, 0, Wanted(tuple(short(n) for n in range(4, 100))))
    assert not wires.messages(Records, 0, 1, since)


def test_a_listing_of_what_does_not_exist_costs_one_question():
    wires = pair()
    since = wires.now
    wires.run(100.0)
    entries = tuple((short(n), 2**48 - 1) for n in range(4, 140))
    wires.say(1, 0, Listing(entries))
    [wish] = wires.messages(Wanted, 0, 1, since)
    assert wish.shorts == tuple(node for node, _ in entries)
    assert len(wires.floods[0].neighbours[short(1)].has) <= len(wires.floods[0].map.held)
    wires.run(100.0)
    assert len(wires.messages(Wanted, 0, 1, since)) == 1


def test_a_lie_about_what_is_held_harms_the_liar_only():
    wires = row(4)
    entries = tuple((node, held.record.sequence) for node, held in wires.floods[0].map.held.items())
    wires.say(1, 0, Listing(entries))
    wires.say(1, 0, Listing(()))
    wires.run(SOON)
    assert wires.exact()


def test_records_about_us_that_others_made_up_are_refused():
    wires = pair()
    flood = wires.floods[0]
    mine = own(wires, 0)
    forged = wires.record(0, 1, 2, sequence=mine.sequence + 1000).raw[:-64] + mine.raw[-64:]
    told(wires, forged)
    wires.run(SOON)
    assert own(wires, 0) == mine
    assert flood.sequence == mine.sequence
    assert flood.counts["own record from before"] == 0


def test_malformed_records_in_a_message_do_not_harm_the_others():
    wires = pair()
    good = wires.record(3, 1).raw
    wires.say(1, 0, Records((b"\0" * 5, good[:-1], good, good + b"\0", bytes(104))))
    assert holds(wires, 0, 3)
    assert wires.floods[0].counts["malformed record"] == 4


def test_who_is_no_neighbour_is_not_heard():
    wires = pair()
    flood = wires.floods[0]
    for message in (
        Records((wires.record(3, 2).raw,)),
        Summary(INFINITE, 1, bytes(16)),
        Listing(()),
        Wanted((short(0),)),
    ):
        flood.receive(short(3), message, wires.now)
    assert flood.counts["not a neighbour"] == 4
    assert not flood.pull()
    flood.unlink(short(3), wires.now)
    assert flood.next_timer() > wires.now + 1.0 or not flood.run(wires.now)


def test_a_neighbour_cannot_name_others_as_ours():
    """A link to us that we do not list does not count, whatever its record says."""
    wires = pair()
    told(wires, wires.record(5, 0), wires.record(6, 5, 0))
    assert not reaches(wires, 0, 5)
    assert not reaches(wires, 0, 6)


def test_made_up_nodes_push_out_no_more_than_twice_as_many_as_are_wanted():
    """Keys are free: behind a hostile neighbour there may be as many nodes as it likes."""
    wires = Wires(nearest=8)
    wires.build(nx.star_graph(4))
    wires.run(SOON)
    chain = [wires.record(1, 0, 20, cost=1e-6)]
    chain += [wires.record(n, n - 1 if n > 20 else 1, n + 1, cost=1e-6) for n in range(20, 80)]
    told(wires, *chain)
    flood = wires.floods[0]
    assert len(flood.map.distance) <= 16
    assert len(flood.map.held) <= 16 + WAITING
    assert {short(n) for n in (2, 3, 4)} <= {link.peer for link in own(wires, 0).links}
