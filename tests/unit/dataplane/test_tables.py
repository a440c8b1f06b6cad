"""Tables: slots, paths and keys that come and go, counts, marks, and the watch on silence."""

import pytest

from rovy.address.label import MAX_SLOT, Label
from rovy.address.path import Routed
from rovy.dataplane.types import (
    FORWARD_CODEC,
    Drop,
    PathDown,
    PathTraffic,
    Received,
    Watch,
)
from rovy.wire.datagram import DATA_FIXED
from tests.dataplanes import address, direct, feed, hello, key, open_session, split
from tests.unit.dataplane.test_batches import Pair, of_kind


def test_a_removed_session_leaves_nothing(dataplane):
    pair = Pair(dataplane)
    late = pair.from_peer(2, 9, b"late")
    pair.here.remove_session(2)
    assert pair.feed([late], source=2).events == []
    out = pair.feed([pair.forward(1, Label.of(2), hello(1))])
    assert not out.runs
    assert pair.here.drops() == {Drop.INDEX: 1, Drop.UNKNOWN_SLOT: 1}
    with pytest.raises(KeyError):
        pair.here.traffic(2)
    pair.here.add_session(2, address(2))
    assert pair.here.traffic(2).packets_received == 0
    assert pair.here.seal(2, 9, [b"x"], 1.0).runs == []
    assert pair.here.drops()[Drop.NO_KEY] == 1


def test_removing_a_session_frees_every_slot_it_had(dataplane):
    """Also one that it was given before the present one."""
    pair = Pair(dataplane)
    pair.here.set_slot(7, 2)
    assert pair.here.carry(Routed(Label.of(2)), hello(1), 1.0).runs == []
    assert pair.here.carry(Routed(Label.of(7)), hello(1), 1.0).runs != []
    pair.here.remove_session(2)
    for slot in (2, 7):
        out = pair.here.carry(Routed(Label.of(slot)), hello(1), 1.0)
        assert out.events == [PathDown(0, Routed(Label.of(slot)))]


def test_slots_are_given_taken_and_given_to_others(dataplane):
    pair = Pair(dataplane)
    pair.here.set_slot(2, 3)  # 2 loses it
    out = pair.feed([pair.forward(1, Label.of(2), hello(1))])
    assert [run.path for run in out.runs] == [direct(3)]
    assert pair.feed([pair.forward(2, Label.of(1), hello(1))], source=2).runs == []
    assert pair.here.drops() == {Drop.NO_PEERING: 1}
    pair.here.set_slot(2, None)
    pair.here.set_slot(MAX_SLOT, 2)
    out = pair.feed([pair.forward(1, Label.of(MAX_SLOT), hello(1))])
    assert [run.path for run in out.runs] == [direct(2)]
    pair.here.set_slot(5, None)
    assert pair.here.carry(Routed(Label.of(5)), hello(1), 1.0).runs == []


def test_openers_are_removed_one_by_one(dataplane):
    pair = Pair(dataplane)
    pair.here.add_opener(1, 555, key(555), confirmed=True)
    old = pair.from_peer(1, 9, b"old")
    pair.peers[1].set_sealer(1, 555, key(555), FORWARD_CODEC)
    new = pair.from_peer(1, 9, b"new")
    assert [len(of_kind(pair.feed([d]), Received)) for d in (old, new)] == [1, 1]
    pair.here.remove_opener(101)
    pair.here.remove_opener(101)
    pair.here.remove_opener(4711)
    assert [len(of_kind(pair.feed([d]), Received)) for d in (old, new)] == [0, 0]
    assert pair.here.drops() == {Drop.INDEX: 1, Drop.REPLAY: 1}
    pair.here.remove_session(1)


def test_no_key_and_no_path_drop_what_was_to_be_sent(dataplane):
    pair = Pair(dataplane)
    pair.here.set_path(1, None, 0)
    assert pair.here.seal(1, 9, [b"a", b"b"], 1.0).runs == []
    assert pair.here.drops() == {Drop.NO_PATH: 2}
    assert pair.here.seal(1, 9, [b"a"], 1.0, direct(1)).runs != []
    pair.here.clear_sealer(1)
    pair.here.clear_sealer(2)
    assert pair.here.seal(1, 9, [b"a"], 1.0, direct(1)).runs == []
    assert pair.here.drops() == {Drop.NO_PATH: 2, Drop.NO_KEY: 1}
    out = pair.feed([pair.forward(3, Label.of(2), hello(1))], source=3)
    assert pair.here.drops()[Drop.LINK_DOWN] == 1
    assert not out.runs


def test_sealed_payloads_are_runs_of_one_size(dataplane):
    pair = Pair(dataplane)
    payloads = [b"a" * 10] * 3 + [b"b" * 20] * 2 + [b"c" * 10]
    out = pair.here.seal(1, 9, payloads, 1.0)
    assert [(run.size - DATA_FIXED, len(split(run))) for run in out.runs] == [
        (10, 3),
        (20, 2),
        (10, 1),
    ]
    big = pair.here.seal(1, 9, [bytes(1371)] * 100, 1.0).runs
    assert sum(len(split(run)) for run in big) == 100
    assert all(len(run.data) <= 65000 for run in big)
    got = [
        event
        for run in (*out.runs, *big)
        for event in feed(pair.peers[1], split(run), direct(0)).events
    ]
    assert [event.payload for event in got] == payloads + [bytes(1371)] * 100


def test_a_routed_path_seals_twice_and_counts_twice(dataplane):
    pair = Pair(dataplane)
    way = Routed(Label.of(1, 4))
    pair.here.add_path(2, way)
    pair.here.set_path(2, way, 1400)
    [run] = pair.here.seal(2, 9, [b"x" * 100], 3.0).runs
    assert run.path == direct(1)
    assert len(run.data) == 100 + DATA_FIXED + 8 + DATA_FIXED
    assert pair.here.path_traffic(2, way) == PathTraffic(3.0, 0.0, 1, 0, 100 + DATA_FIXED, 0)
    assert pair.here.path_traffic(1, direct(1)).bytes_sent == len(run.data)
    pair.here.set_direct(1, None, 0)
    out = pair.here.seal(2, 9, [b"x", b"y"], 3.0)
    assert out.runs == []
    assert of_kind(out, PathDown) == [PathDown(2, way)]
    assert pair.here.drops() == {Drop.LINK_DOWN: 2}


def test_counts_of_paths_and_sessions(dataplane):
    pair = Pair(dataplane)
    other = direct(60)
    pair.here.add_path(1, other)
    pair.here.seal(1, 9, [b"abc"], 5.0)
    pair.here.seal(1, 9, [b"abc"], 6.0, other)
    pair.feed([pair.from_peer(1, 9, b"12345")], now=7.0)
    pair.feed([pair.from_peer(1, 9, b"12345")], source=60, now=8.0)
    size = DATA_FIXED
    assert pair.here.path_traffic(1, direct(1)) == PathTraffic(5.0, 7.0, 1, 1, size + 3, size + 5)
    assert pair.here.path_traffic(1, other) == PathTraffic(6.0, 8.0, 1, 1, size + 3, size + 5)
    total = pair.here.traffic(1)
    assert (total.counter, total.sent_at, total.received_at) == (2, 6.0, 8.0)
    assert (total.packets_sent, total.packets_received) == (2, 2)
    assert (total.bytes_sent, total.bytes_received) == (2 * size + 6, 2 * size + 10)
    # A session's counts never fall, whatever becomes of its paths.
    pair.here.remove_path(1, other)
    assert pair.here.traffic(1) == total
    assert pair.here.path_traffic(1, other) == PathTraffic(0.0, 0.0, 0, 0, 0, 0)
    pair.here.remove_path(1, other)


def test_recent_counters(dataplane):
    plane = dataplane()
    open_session(plane, 1, direct(1), mine=1, theirs=77, receive=1, send=2)
    assert plane.recent(1, 100.0) == (77, 0, 0)
    used = []
    for step in range(400):
        now = 100.0 + step * 0.1
        plane.seal(1, 9, [b"x"], now)
        used.append(now)
        index, first, following = plane.recent(1, now)
        assert (index, following) == (77, step + 1)
        assert all(now - at < 7.0 for at in used[first:following])
        assert all(now - at > 5.0 - 1e-9 for at in used[:first])


def test_recent_counters_after_a_pause(dataplane):
    """What was sent before the pause is not recent because something was sent after it."""
    plane = dataplane()
    open_session(plane, 1, direct(1), mine=1, theirs=77, receive=1, send=2)
    plane.seal(1, 9, [b"x"] * 3, 100.0)
    plane.seal(1, 9, [b"x"] * 2, 101.9)
    assert plane.recent(1, 104.0) == (77, 0, 5)
    assert plane.recent(1, 109.0) == (77, 5, 5)
    plane.seal(1, 9, [b"x"], 130.0)
    assert plane.recent(1, 130.0) == (77, 5, 6)
    plane.set_sealer(1, 78, key(3), FORWARD_CODEC)
    assert plane.recent(1, 130.0) == (78, 0, 0)
    plane.seal(1, 9, [b"x"], 130.1)
    assert plane.recent(1, 130.2) == (78, 0, 1)


def test_watch_is_told_once_until_unwatched(dataplane):
    pair = Pair(dataplane)
    plane = pair.here
    assert plane.waiting(1) == 0.0
    assert of_kind(plane.seal(1, 9, [b"probe"], 1.0, expects=False), Watch) == []
    assert of_kind(plane.seal(1, 9, [b"x", b"y"], 2.0), Watch) == [Watch(1)]
    assert of_kind(plane.seal(1, 9, [b"x"], 3.0), Watch) == []
    assert plane.waiting(1) == 2.0
    pair.feed([pair.from_peer(1, 9, b"answer")], now=4.0)
    assert plane.waiting(1) == 0.0
    assert of_kind(plane.seal(1, 9, [b"x"], 5.0), Watch) == []
    assert plane.waiting(1) == 5.0
    plane.unwatch(1)
    assert of_kind(plane.seal(1, 9, [b"x"], 6.0), Watch) == []  # waits since 5.0
    pair.feed([pair.from_peer(1, 9, b"answer")], now=7.0)
    assert of_kind(plane.seal(1, 9, [b"x"], 8.0), Watch) == [Watch(1)]


def test_what_comes_by_another_path_answers_nothing(dataplane):
    pair = Pair(dataplane)
    pair.here.add_path(1, direct(60))
    pair.here.seal(1, 9, [b"x"], 2.0)
    pair.feed([pair.from_peer(1, 9, b"x")], source=60, now=3.0)
    assert pair.here.waiting(1) == 2.0
    pair.here.seal(1, 9, [b"x"], 4.0, direct(60))
    pair.here.set_path(1, direct(60), 1400)
    assert pair.here.waiting(1) == 0.0


def test_forwarded_packets_wait_for_an_answer_too(dataplane):
    pair = Pair(dataplane)
    out = pair.feed([pair.forward(1, Label.of(2), hello(1))], now=9.0)
    assert of_kind(out, Watch) == [Watch(2)]
    assert pair.here.waiting(2) == 9.0


def test_carrying_over_a_direct_path_takes_no_key(dataplane):
    plane = dataplane()
    out = plane.carry(direct(5), hello(1), 1.0)
    [run] = out.runs
    assert (run.path, bytes(run.data), run.ingress) == (direct(5), hello(1), 0)
    assert out.events == []
