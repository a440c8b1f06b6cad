"""MACs and cookies that guard handshakes. docs/protocol/handshake.md §3, after WireGuard §5.3"""

from collections.abc import Callable
from hashlib import blake2s
from hmac import compare_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from rovy.errors import Malformed

COOKIE_LIFE = 120.0
"""Seconds after which a node changes the secret of its cookies, and a cookie is not used."""
_NO_NONCE = bytes(12)


def mac1_key(responder: bytes, psk: bytes) -> bytes:
    """Key of mac1 on messages to the node with that public key, in that network."""
    return blake2s(b"rovy-mac1" + responder + psk).digest()


def mac(key: bytes, message: bytes) -> bytes:
    """Keyed BLAKE2s of 16 bytes: mac1, mac2 and cookies."""
    return blake2s(message, digest_size=16, key=key).digest()


def check(key: bytes, message: bytes, tag: bytes) -> bool:
    """Whether `tag` is the MAC of `message`, compared in constant time."""
    return compare_digest(mac(key, message), tag)


def seal_cookie(responder: bytes, nonce: bytes, cookie: bytes, mac1: bytes) -> bytes:
    """The cookie (16 bytes) sealed for whoever knows the responder's key; 32 bytes."""
    return ChaCha20Poly1305(_cookie_key(responder, nonce)).encrypt(_NO_NONCE, cookie, mac1)


def open_cookie(responder: bytes, nonce: bytes, sealed: bytes, mac1: bytes) -> bytes:
    """The cookie, 16 bytes. Raises `Malformed` unless it answers the message with that mac1."""
    try:
        return ChaCha20Poly1305(_cookie_key(responder, nonce)).decrypt(_NO_NONCE, sealed, mac1)
    except InvalidTag as error:
        raise Malformed("cookie reply: does not authenticate") from error


class CookieJar:
    """Makes and checks the cookies this node hands out; its secret changes every 120 s."""

    def __init__(self, random: Callable[[int], bytes], now: float) -> None:
        self._random = random
        self._secret = self._previous = random(32)
        self._changed = now

    def cookie(self, source: bytes, now: float) -> bytes:
        """The cookie for a source: address and port, or the whole label."""
        self._turn(now)
        return mac(self._secret, source)

    def valid(self, message: bytes, mac2: bytes, source: bytes, now: float) -> bool:
        """Whether mac2 over `message` was made with a cookie of the last two secrets."""
        self._turn(now)
        secrets = (self._secret, self._previous)
        found = [check(mac(secret, source), message, mac2) for secret in secrets]  # both, always
        return any(found)

    def _turn(self, now: float) -> None:
        age = now - self._changed
        if age < COOKIE_LIFE:
            return
        stale = age >= 2 * COOKIE_LIFE
        fresh = self._random(32)
        self._previous = fresh if stale else self._secret
        self._secret = fresh
        self._changed = now if stale else self._changed + COOKIE_LIFE


def _cookie_key(responder: bytes, nonce: bytes) -> bytes:
    inner = blake2s(b"rovy-cookie" + responder).digest()
    return blake2s(nonce, key=inner).digest()
