"""The protocol's numbers, written down a second time: other tests take them from the code."""

from rovy.dataplane import replay
from rovy.dataplane.types import HARD_LIMIT
from rovy.noise.mac import COOKIE_LIFE
from rovy.session import const, pieces
from rovy.wire import piece


def test_times():
    assert const.RETRIES[:4] == (0.25, 0.5, 1.0, 2.0)
    assert const.FRESH_HELLO == 5.0
    assert const.GIVE_UP == 90.0
    assert const.REKEY_AFTER == COOKIE_LIFE == 120.0
    assert const.REFUSE_AFTER == 180.0
    assert const.RESTART == 3.0
    assert const.REKEY_AFTER < const.RESPONDER_REKEY < const.REFUSE_AFTER - 2 * const.FRESH_HELLO
    assert pieces.LIFE == 2.0


def test_sizes_and_counts():
    assert const.REKEY_AFTER_MESSAGES == 1 << 48
    assert const.REKEY_AFTER_MESSAGES < HARD_LIMIT < (1 << 56) - (1 << 10)
    assert replay.WINDOW >= 8192
    assert const.CANDIDATES <= 3
    assert pieces.MEMORY == 64 * 1024
    assert piece.MAX_WHOLE == 16 * 1024
