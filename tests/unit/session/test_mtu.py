"""The search for a path's MTU: found, confirmed, given up when only long datagrams get lost."""

from itertools import count

import pytest

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.session.mtu import BUSY, CONFIRM_AT_REST, CONFIRM_EVERY, DOUBT_EVERY, PROBE, MtuSearch

PATH = Direct(0, Endpoint("192.0.2.1", 1312))
FLOOR, USUAL = 1252, 1472
WAIT = 0.2


class Link:
    """A search on a link that carries datagrams of at most `mtu` bytes."""

    def __init__(self, mtu=USUAL):
        self.mtu, self.now, self.heard, self.came = mtu, 0.0, 0.0, 0
        self.search = MtuSearch(PATH, FLOOR)
        self._tokens = count()

    def _random(self, size):
        return next(self._tokens).to_bytes(size, "big")

    def ask(self):
        """Let it send what is due; the sizes asked, and the tokens that got lost."""
        self.now = max(self.now, self.search.due)
        probes = self.search.probes(self._random, self.now, self.came, self.heard, WAIT)
        lost = []
        for token, padding in probes:
            if padding + PROBE > self.mtu:
                lost.append(token)
            else:
                self.search.answered(token)
        return [padding + PROBE for _, padding in probes], lost

    def hear(self):
        """A short probe is answered."""
        self.heard = self.now + WAIT / 2


@pytest.fixture
def link():
    """Its MTU is found."""
    link = Link()
    sizes, _ = link.ask()
    assert sizes[0] > USUAL in sizes
    assert link.search.mtu == USUAL
    return link


def test_size_is_confirmed_often_in_use_and_seldom_at_rest(link):
    link.came += BUSY + 1
    assert link.ask() == ([USUAL], [])
    assert link.search.due == link.now + CONFIRM_EVERY
    assert link.ask() == ([USUAL], [])
    assert link.search.due == link.now + CONFIRM_AT_REST


def test_doubt_confirms_at_once_but_not_again_and_again(link):
    link.ask()
    link.now += DOUBT_EVERY
    for _ in range(2):
        link.search.doubt(link.now)
        assert link.search.due == link.now
    assert link.ask() == ([USUAL], [])
    link.search.doubt(link.now + 1)
    assert link.search.due == link.now + DOUBT_EVERY


def test_doubt_about_the_floor_is_none():
    link = Link(FLOOR)
    link.ask()
    due = link.search.due
    link.search.doubt(link.now)
    assert link.search.due == due


def test_path_that_shrank_falls_to_the_floor_within_a_second(link):
    link.mtu = FLOOR
    began = link.now = link.search.due
    while link.search.mtu == USUAL:
        link.ask()
        link.hear()
    assert link.search.mtu == FLOOR
    assert link.now - began <= 3 * WAIT + 0.001


def test_search_starts_anew_after_the_fall(link):
    link.mtu = 1300
    while link.search.mtu == USUAL:
        sizes, _ = link.ask()
        link.hear()
    assert USUAL in sizes
    assert min(sizes) > FLOOR


def test_silent_path_has_not_shrunk_and_is_asked_no_more(link):
    link.mtu = 0
    assert link.ask()[0] == [USUAL]
    for _ in range(20):
        assert link.ask() == ([], [])
    assert link.search.mtu == USUAL


def test_late_answer_counts(link):
    link.mtu = FLOOR
    _, (first,) = link.ask()
    link.hear()
    link.ask()
    assert link.search.unconfirmed
    assert link.search.answered(first)
    assert not link.search.unconfirmed
    assert link.search.due >= link.now + CONFIRM_EVERY


def test_tokens_of_others_are_not_ours(link):
    assert not link.search.answered(b"stranger")
