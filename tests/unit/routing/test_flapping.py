"""Links that come and go."""

from rovy.routing.flapping import LINKS, LONGEST, Flapping

A, B = b"a" * 8, b"b" * 8


def test_three_losses_are_free_and_each_more_doubles_the_wait():
    flapping = Flapping()
    waits = []
    for _ in range(9):
        flapping.lost(A, 100.0)
        waits.append(flapping.wait(A, 100.0))
    assert waits == [0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0, LONGEST, LONGEST]
    assert flapping.wait(A, 105.0) == 3.0
    assert flapping.wait(A, 100.0 + LONGEST) == 0.0
    assert flapping.wait(B, 100.0) == 0.0


def test_losses_are_forgotten():
    flapping = Flapping()
    for at in range(0, 600, 20):
        flapping.lost(A, float(at))
        assert flapping.wait(A, float(at)) == 0.0
    for at in range(600, 630, 2):
        flapping.lost(A, float(at))
    assert flapping.wait(A, 628.0) == LONGEST
    flapping.lost(A, 700.0)
    assert flapping.wait(A, 700.0) == 0.0


def test_a_link_that_is_lost_whenever_it_is_told_is_told_every_four_seconds():
    flapping, now, told = Flapping(), 0.0, 0
    while now < 300.0:
        now += flapping.wait(A, now) + 0.1
        flapping.lost(A, now)
        told += 1
    assert 60 <= told <= 100


def test_the_table_is_bounded():
    flapping = Flapping()
    for _ in range(8):
        flapping.lost(A, 0.0)
    for number in range(LINKS):
        flapping.lost(number.to_bytes(8, "big"), 0.0)
    assert flapping.wait(A, 0.0) == 0.0
