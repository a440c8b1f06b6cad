"""What is remembered of nodes that were heard, and how much."""

import os

from rovy.address.keys import PeerID
from rovy.address.multiaddr import Endpoint
from rovy.discovery.const import BACKOFF, ENDPOINTS, MAX_BACKOFF, RETRY_NEW, SIGHTINGS
from rovy.discovery.sightings import Sightings
from rovy.errors import Malformed
from tests.unit.discovery.world import PEERS

A, B = PEERS[:2]


def at(number: int) -> list[Endpoint]:
    return [Endpoint(f"10.0.0.{number}", 1312)]


def strangers(count: int) -> list[PeerID]:
    found: list[PeerID] = []
    while len(found) < count:
        try:
            found.append(PeerID(os.urandom(31) + b"\x01"))
        except Malformed:
            continue
    return found


MANY = strangers(20)


def crowd(sightings: Sightings) -> None:
    """Fill the table with nodes that were not tried."""
    for peer in fill():
        sightings.heard(peer, "eth0", at(1), 0.0)


def fill():
    """Values that stand for peers: the table asks no more of them than to be told apart."""
    return range(SIGHTINGS - len(PEERS))


def test_endpoints_are_bounded_and_the_newest_stay():
    sightings = Sightings()
    for number in range(1, 10):
        sightings.heard(A, "eth0", at(number), 0.0)
    sightings.heard(A, "eth0", at(7), 1.0)
    found = list(sightings.get(A).endpoints)
    assert len(found) == ENDPOINTS
    assert found == [*at(6), *at(8), *at(9), *at(7)]


def test_failures_put_off_more_and_more():
    sightings = Sightings()
    sightings.heard(A, "eth0", at(1), 0.0)
    sighting = sightings.get(A)
    waits = []
    for _ in range(12):
        sighting.failed(100.0)
        waits.append(sighting.due - 100.0)
        assert not sighting.worth_trying(sighting.due - 0.1)
        assert sighting.worth_trying(sighting.due)
    assert waits[:4] == [BACKOFF, 2 * BACKOFF, 4 * BACKOFF, 8 * BACKOFF]
    assert waits[-1] == MAX_BACKOFF
    sighting.met(0.001)
    assert sighting.worth_trying(100.0)
    sighting.failed(100.0)
    assert sighting.due == 100.0 + BACKOFF


def test_new_endpoint_is_tried_soon_and_a_known_one_is_not():
    sightings = Sightings()
    sightings.heard(A, "eth0", at(1), 0.0)
    sighting = sightings.get(A)
    sighting.tried = 100.0
    for _ in range(5):
        sighting.failed(100.0)
    due = sighting.due
    sightings.heard(A, "eth0", at(1), 101.0)
    assert sighting.due == due
    sightings.heard(A, "eth0", at(2), 102.0)
    assert sighting.due == 100.0 + RETRY_NEW


def test_goodbye_does_not_wipe_out_failures():
    sightings = Sightings()
    sightings.heard(A, "eth0", at(1), 0.0)
    for _ in range(6):
        sightings.get(A).failed(0.0)
    due = sightings.get(A).due
    sightings.gone("eth0", A)
    assert sightings.sweep(10.0, lambda peer: False) == []
    assert not sightings.get(A).worth_trying(due + 1)
    assert [each.peer for each in sightings.sweep(due, lambda peer: False)] == [A]
    assert len(sightings) == 0


def test_kept_while_alive_or_announced_somewhere():
    sightings = Sightings()
    sightings.heard(A, "eth0", at(1), 0.0)
    sightings.heard(A, "eth1", at(1), 0.0)
    sightings.heard(B, "eth0", at(2), 0.0)
    sightings.gone("eth0")
    assert {each.peer for each in sightings.sweep(1.0, lambda peer: False)} == {B}
    sightings.gone("eth1", A)
    assert sightings.sweep(1.0, lambda peer: peer == A) == []
    assert [each.peer for each in sightings.sweep(1.0, lambda peer: False)] == [A]
    sightings.gone("eth1", B)  # never heard of


def test_bounded_and_those_that_answered_stay():
    sightings = Sightings()
    for peer in PEERS:
        sightings.heard(peer, "eth0", at(1), 1.0)
        sightings.get(peer).met(0.001)
    crowd(sightings)
    assert len(sightings) == SIGHTINGS
    sightings.get(3).failed(5.0)
    assert sightings.heard(MANY[0], "eth0", at(1), 6.0)
    assert sightings.get(3) is None  # it failed
    assert sightings.heard(MANY[1], "eth0", at(1), 7.0)
    assert sightings.get(0) is None  # heard longest ago
    for peer in MANY:
        sightings.heard(peer, "eth0", at(1), 8.0)
    assert len(sightings) == SIGHTINGS
    assert all(sightings.get(peer) for peer in PEERS)


def test_no_room_where_all_have_answered():
    sightings = Sightings()
    crowd(sightings)
    for peer in PEERS:
        sightings.heard(peer, "eth0", at(1), 1.0)
    for each in sightings:
        each.met(None)
    assert not sightings.heard(MANY[0], "eth0", at(1), 2.0)
    assert sightings.heard(A, "eth0", at(2), 2.0)
