"""How long something is suspect."""

from rovy.routing.suspects import FIRST, LONGEST, MOST, QUIET, Suspects

A, B, C = b"aaaaaaaa", b"bbbbbbbb", b"cccccccc"


def span(suspects, now):
    """Suspect a node; how long it stays so."""
    suspects.suspect_node(A, now)
    return suspects.next_expiry(now) - now


def test_thirty_seconds():
    suspects = Suspects()
    assert suspects.active(0.0) == frozenset()
    assert suspects.next_expiry(0.0) is None
    suspects.suspect_link(B, A, 100.0)
    suspects.suspect_node(C, 110.0)
    assert suspects.active(110.0) == {(A, B), C}
    assert suspects.next_expiry(110.0) == 130.0
    assert suspects.active(129.9) == {(A, B), C}
    assert suspects.active(130.0) == {C}
    assert suspects.next_expiry(130.0) == 140.0
    assert suspects.active(140.0) == frozenset()
    assert suspects.next_expiry(140.0) is None


def test_repetition_doubles_up_to_ten_minutes():
    suspects, now, spans = Suspects(), 0.0, []
    for _ in range(8):
        spans.append(span(suspects, now))
        now += spans[-1]
    assert spans == [30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0]
    assert (spans[0], spans[-1]) == (FIRST, LONGEST)


def test_one_failure_told_often_is_one():
    suspects = Suspects()
    for now in (0.0, 0.1, 5.0, 29.9):
        suspects.suspect_link(A, B, now)
        suspects.suspect_link(B, A, now)
    assert suspects.next_expiry(29.9) == 30.0
    suspects.suspect_link(A, B, 30.0)
    assert suspects.next_expiry(30.0) == 90.0


def test_a_quiet_while_makes_it_forgotten():
    suspects = Suspects()
    assert span(suspects, 0.0) == 30.0
    assert span(suspects, 30.0 + QUIET - 0.1) == 60.0
    assert span(suspects, 30.0 + QUIET - 0.1 + 60.0 + QUIET) == 30.0


def test_a_link_that_works_is_cleared():
    suspects = Suspects()
    suspects.suspect_link(A, B, 0.0)
    suspects.suspect_link(A, C, 0.0)
    suspects.clear_link(B, A)
    suspects.clear_link(B, C)
    assert suspects.active(0.0) == {(A, C)}


def test_the_one_that_ends_first_gives_way():
    suspects = Suspects()
    suspects.suspect_node(A, 0.0)
    suspects.suspect_node(A, 30.0)
    nodes = [number.to_bytes(8, "big") for number in range(MOST)]
    for number, node in enumerate(nodes):
        suspects.suspect_node(node, 31.0 + number / 1000)
    assert suspects.active(32.0) == {A, *nodes[1:]}
    suspects.suspect_node(nodes[5], 32.0)
    assert suspects.active(32.0) == {A, *nodes[1:]}
