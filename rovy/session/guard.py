"""The door: which hellos and responses are worth Diffie-Hellman. docs/protocol/handshake.md §5

In order: form, mac1 (which also selects the network), under load a cookie, limits by source and
in all, then the Noise message, the sender's key, and its timestamp.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rovy.address.keys import PeerID, PrivateKey
from rovy.address.path import Path
from rovy.buckets import TokenBucket
from rovy.errors import Malformed
from rovy.noise.handshake import Responder
from rovy.noise.mac import CookieJar, check, mac1_key, seal_cookie
from rovy.session.limits import SourceBuckets, source_exact, source_group
from rovy.session.stamps import StampMemory
from rovy.wire.datagram import CookieReply, Hello, Response
from rovy.wire.payload import VERSION, Payload


@dataclass(frozen=True, slots=True)
class Limits:
    """Work a node does for handshakes, each a second."""

    free: float = 50.0
    """Hellos taken without a cookie."""
    strangers: float = 250.0
    """Hellos opened in all from paths that no session uses."""
    known: float = 100.0
    """Reserve for paths that a session uses."""
    source: float = 20.0
    """Hellos opened from one source."""
    cookies: float = 2000.0
    """Cookie replies sent; paths that a session uses have `known` more."""


@dataclass(frozen=True, slots=True)
class Network:
    """A pre-shared key and the mac1 key that follows from it for messages to us."""

    psk: bytes
    mac1: bytes


@dataclass(frozen=True, slots=True)
class Admitted:
    """A hello that authenticated."""

    peer: PeerID
    network: Network
    responder: Responder
    payload: Payload
    sender: int
    size: int


class Guard:
    """Checks handshakes and counts what it turns away, by reason, in `refused`."""

    def __init__(
        self,
        private: PrivateKey,
        psks: Sequence[bytes],
        random: Callable[[int], bytes],
        limits: Limits,
        now: float,
    ) -> None:
        self._private = private
        self._random = random
        self.networks = [Network(psk, mac1_key(private.peer_id.key, psk)) for psk in psks]
        self.refused: Counter[str] = Counter()
        self._jar = CookieJar(random, now)
        self._stamps = StampMemory()
        self._free = TokenBucket(limits.free, limits.free, now)
        self._strangers = TokenBucket(limits.strangers, limits.strangers, now)
        self._known = TokenBucket(limits.known, limits.known, now)
        self._cookies = TokenBucket(limits.cookies, limits.cookies, now)
        self._known_cookies = TokenBucket(limits.known, limits.known, now)
        self._sources = SourceBuckets(limits.source, limits.source)

    def limit(self, limits: Limits) -> None:
        """Other limits from now on."""
        for bucket, rate in (
            (self._free, limits.free),
            (self._strangers, limits.strangers),
            (self._known, limits.known),
            (self._cookies, limits.cookies),
            (self._known_cookies, limits.known),
            (self._sources, limits.source),
        ):
            bucket.limit(rate, rate)

    def network_of(self, message: Hello | Response) -> Network | None:
        """The network whose mac1 the message carries."""
        signed = message.signed()
        for network in self.networks:
            if check(network.mac1, signed, message.mac1):
                return network
        self.refused["mac1"] += 1
        return None

    def demand(
        self, message: Hello | Response, path: Path, now: float, *, known: bool
    ) -> CookieReply | bool | None:
        """True: go on. Otherwise the cookie reply to send instead, or None to stay silent."""
        if self._free.take(now):
            return True
        signed = message.signed() + message.mac1
        source = source_exact(path)
        if self._jar.valid(signed, message.mac2, source, now):
            return True
        self.refused["cookie"] += 1
        if not (self._cookies.take(now) or (known and self._known_cookies.take(now))):
            return None
        nonce = self._random(24)
        cookie = self._jar.cookie(source, now)
        sealed = seal_cookie(self._private.peer_id.key, nonce, cookie, message.mac1)
        return CookieReply(message.sender, nonce, sealed)

    def afford(self, path: Path, now: float, *, known: bool) -> bool:
        """Whether limits leave a Diffie-Hellman for this path; known ones have a reserve."""
        if not self._sources.take(source_group(path), now):
            self.refused["source limit"] += 1
            return False
        if self._strangers.take(now) or (known and self._known.take(now)):
            return True
        self.refused["limit"] += 1
        return False

    def open(
        self, hello: Hello, network: Network, ephemeral: Callable[[], bytes]
    ) -> Admitted | None:
        """Read the Noise message, then check key and timestamp."""
        try:
            responder = Responder(self._private, hello.noise, network.psk, ephemeral)
            peer = PeerID(responder.peer_key)
            payload = Payload.parse(responder.payload, hello=True)
        except Malformed:
            self.refused["malformed"] += 1
            return None
        if peer == self._private.peer_id:
            self.refused["own"] += 1
            return None
        if not self._stamps.newer(peer.key, payload.timestamp):
            self.refused["replay"] += 1
            return None
        if payload.version != VERSION:
            self.refused["version"] += 1
        return Admitted(peer, network, responder, payload, hello.sender, len(hello.emit()))
