"""mac1, mac2 and cookies."""

from hashlib import blake2s
from itertools import count

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed
from rovy.noise.handshake import NO_PSK
from rovy.noise.mac import (
    COOKIE_LIFE,
    CookieJar,
    check,
    mac,
    mac1_key,
    open_cookie,
    seal_cookie,
)

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
PSK = bytes(range(200, 232))
NONCE = bytes(range(24))
COOKIE, MAC1 = bytes(range(16)), bytes(range(16, 32))
HERE, THERE = b"d\xc0\x00\x02\x01\x05\x20", b"d\xc0\x00\x02\x01\x05\x21"
MESSAGE = b"all of a hello before its mac2"


def jar(now=1000.0):
    numbers = count()
    return CookieJar(lambda size: blake2s(b"%d" % next(numbers), digest_size=size).digest(), now)


def test_mac1_key_is_that_of_the_network_and_the_receiver():
    assert mac1_key(KEY, PSK) == blake2s(b"rovy-mac1" + KEY + PSK).digest()
    assert len({mac1_key(KEY, PSK), mac1_key(KEY, NO_PSK), mac1_key(OTHER, PSK)}) == 3


@given(st.binary(max_size=200), st.integers(0, 127))
def test_mac(message, bit):
    key = mac1_key(KEY, PSK)
    tag = mac(key, message)
    assert tag == blake2s(message, key=key, digest_size=16).digest()
    assert check(key, message, tag)
    changed = bytearray(tag)
    changed[bit // 8] ^= 1 << bit % 8
    assert not check(key, message, bytes(changed))
    assert not check(key, message + b"x", tag)
    assert not check(mac1_key(KEY, NO_PSK), message, tag)
    assert not check(key, message, tag[:15])
    assert not check(key, message, b"")


def test_cookie_is_sealed_as_specified():
    sealed = seal_cookie(KEY, NONCE, COOKIE, MAC1)
    inner = blake2s(b"rovy-cookie" + KEY).digest()
    key = ChaCha20Poly1305(blake2s(NONCE, key=inner).digest())
    assert sealed == key.encrypt(bytes(12), COOKIE, MAC1)
    assert len(sealed) == 32
    assert open_cookie(KEY, NONCE, sealed, MAC1) == COOKIE


def test_a_cookie_opens_only_for_what_it_answers():
    sealed = seal_cookie(KEY, NONCE, COOKIE, MAC1)
    wrong = [
        (OTHER, NONCE, sealed, MAC1),
        (KEY, NONCE[::-1], sealed, MAC1),
        (KEY, NONCE, sealed, COOKIE),
        (KEY, NONCE, sealed, b""),
    ]
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 0x10
        wrong += [(KEY, NONCE, bytes(changed), MAC1), (KEY, NONCE, sealed[:at], MAC1)]
    for arguments in wrong:
        with pytest.raises(Malformed):
            open_cookie(*arguments)


def test_mac2_is_bound_to_its_source():
    cookies = jar()
    mac2 = mac(cookies.cookie(HERE, 1000.0), MESSAGE)
    assert cookies.valid(MESSAGE, mac2, HERE, 1001.0)
    assert not cookies.valid(MESSAGE, mac2, THERE, 1001.0)
    assert not cookies.valid(MESSAGE + b"x", mac2, HERE, 1001.0)
    assert not cookies.valid(MESSAGE, bytes(16), HERE, 1001.0)
    assert not jar(1.0).valid(MESSAGE, bytes(16), HERE, 1.0)


def test_mac2_of_another_node_is_refused():
    theirs = CookieJar(lambda size: bytes(size), 0.0)
    mac2 = mac(theirs.cookie(HERE, 0.0), MESSAGE)
    assert theirs.valid(MESSAGE, mac2, HERE, 0.0)
    assert not jar(0.0).valid(MESSAGE, mac2, HERE, 0.0)


def test_secret_changes_every_120_seconds():
    cookies = jar(0.0)
    first = cookies.cookie(HERE, 0.0)
    assert cookies.cookie(HERE, COOKIE_LIFE - 0.001) == first
    second = cookies.cookie(HERE, COOKIE_LIFE)
    assert second != first
    assert cookies.cookie(HERE, 2 * COOKIE_LIFE) not in (first, second)


def test_a_cookie_is_good_for_one_change_and_no_longer():
    cookies = jar(0.0)
    mac2 = mac(cookies.cookie(HERE, 1.0), MESSAGE)
    for now in (2.0, COOKIE_LIFE - 0.1, COOKIE_LIFE, 2 * COOKIE_LIFE - 0.1):
        assert cookies.valid(MESSAGE, mac2, HERE, now)  # a replay is taken: Noise refuses it
    assert not cookies.valid(MESSAGE, mac2, HERE, 2 * COOKIE_LIFE)


@pytest.mark.parametrize("idle", [0.0, 1.0, 100.0, 119.0, 200.0, 239.0])
def test_a_cookie_dies_within_240_seconds_whenever_the_jar_is_used(idle):
    cookies = jar(0.0)
    mac2 = mac(cookies.cookie(HERE, 0.0), MESSAGE)
    cookies.valid(MESSAGE, mac2, HERE, idle)
    assert not cookies.valid(MESSAGE, mac2, HERE, 2 * COOKIE_LIFE)
    assert not cookies.valid(MESSAGE, mac2, HERE, 2 * COOKIE_LIFE + 1.0)


@given(st.floats(240.0, 1e6))
def test_after_a_quiet_time_both_secrets_are_new(later):
    cookies = jar(0.0)
    mac2 = mac(cookies.cookie(HERE, 0.0), MESSAGE)
    assert not cookies.valid(MESSAGE, mac2, HERE, later)
    fresh = mac(cookies.cookie(HERE, later), MESSAGE)
    assert cookies.valid(MESSAGE, fresh, HERE, later + COOKIE_LIFE)
