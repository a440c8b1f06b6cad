"""Keys of nodes and what follows from them: PeerID, fc00::/8 address, node id in the DHT.

A node *is* its X25519 public key. Everything else is computed from it:

    digest  = BLAKE2s(BLAKE2s(key))           32 bytes
    address = digest[16:32]                   must start with 0xfc
    node id = address[1:16] + digest[0:5]     160 bits; the address gives the first 120 of them

so a name can never be claimed by somebody who does not hold the key. Keys that do not encode a
point in the one canonical way, or that lie in a small subgroup, are refused wherever they are
parsed: two spellings of one identity, or a shared secret known to everybody, would follow.

`cryptography` and `multiformats` are loaded by the functions that need them: a program that only
reads and prints names does without them.
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from binascii import Error as Base32Error
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2s
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final, Self

from rovy.errors import Malformed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY_BYTES: Final = 32
ADDRESS_BYTES: Final = 16
ADDRESS_PREFIX: Final = 0xFC
MAX_TEXT: Final = 512
"""Longest text that is decoded as a CID; base2 of 36 bytes needs 289 characters."""

PATH_PREFIX: Final = "/rovy/"
CID_PREFIX: Final = bytes((0x01, 0x73, 0x00, KEY_BYTES))
"""CIDv1, codec rovy-key, identity multihash, digest length."""

FIELD_PRIME: Final = 2**255 - 19
_BASE32_CHARS: Final = 59  # "b" and 58 digits for 36 bytes

# The u coordinates of every point of order 1, 2, 4 or 8 on the curve and on its twist.
LOW_ORDER: Final = frozenset(
    point.to_bytes(KEY_BYTES, "little")
    for point in (
        0,
        1,
        FIELD_PRIME - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
)


def check_key(key: bytes) -> None:
    """Refuse, with `Malformed`, a public key that is not 32 bytes, canonical and of high order."""
    if len(key) != KEY_BYTES:
        raise Malformed(f"public key: {len(key)} bytes instead of {KEY_BYTES}")
    if int.from_bytes(key, "little") >= FIELD_PRIME:
        raise Malformed("public key: not in canonical form")
    if key in LOW_ORDER:
        raise Malformed("public key: point of low order")


def address_text(address: bytes) -> str:
    """The canonical IPv6 text of a 16-byte address, such as `fc78:4ece:…`."""
    return str(IPv6Address(address))


def parse_address(text: str) -> bytes:
    """The 16 bytes of an fc00::/8 address in any IPv6 notation; anything else is `Malformed`."""
    try:
        address = IPv6Address(text).packed
    except ValueError:
        raise Malformed(f"not an IPv6 address: {excerpt(text)}") from None
    if "%" in text or address[0] != ADDRESS_PREFIX:
        raise Malformed(f"not an address in fc00::/8: {excerpt(text)}")
    return address


def excerpt(text: str) -> str:
    """The quoted start of a hostile text, short and printable enough for an error message."""
    return ascii(text if len(text) <= 64 else text[:61] + "...")


@dataclass(frozen=True, slots=True, order=True, repr=False)
class PeerID:
    """The identity of a node: a checked X25519 public key of 32 bytes.

    Construction raises `Malformed` for a key that is not canonical, is of low order, or whose
    address is outside fc00::/8. Ordered by key, as the rule for simultaneous opening needs it.
    """

    key: bytes
    address: bytes = field(init=False, compare=False)
    """The 16 bytes of the node's fc00::/8 address."""
    node_id: bytes = field(init=False, compare=False)
    """The 20 bytes that place the node in the DHT."""

    def __post_init__(self) -> None:
        check_key(self.key)
        digest = _digest(self.key)
        address = digest[ADDRESS_BYTES:]
        if address[0] != ADDRESS_PREFIX:
            raise Malformed(f"public key: its address {address_text(address)} is outside fc00::/8")
        object.__setattr__(self, "address", address)
        object.__setattr__(self, "node_id", address[1:] + digest[:5])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<cid>` or `/rovy/<cid>`, in any multibase; base32 in either case."""
        if len(text) > MAX_TEXT:
            raise Malformed(f"not a peer id: {len(text)} characters")
        cid = text.removeprefix(PATH_PREFIX)
        if cid.startswith(("b", "B")):
            return cls.from_cid_bytes(_decode_base32(cid))
        from rovy.address.interop import cid_bytes_from_text

        return cls.from_cid_bytes(cid_bytes_from_text(cid))

    @classmethod
    def from_cid_bytes(cls, data: bytes) -> Self:
        """Read the 36 bytes of the binary CID."""
        if len(data) != len(CID_PREFIX) + KEY_BYTES or not data.startswith(CID_PREFIX):
            raise Malformed("not a peer id: not a CIDv1 of codec rovy-key with a 32-byte key")
        return cls(data[len(CID_PREFIX) :])

    @property
    def cid_bytes(self) -> bytes:
        """The binary CID, 36 bytes."""
        return CID_PREFIX + self.key

    @property
    def path(self) -> str:
        """The address form, `/rovy/<cid>`."""
        return PATH_PREFIX + str(self)

    @property
    def short(self) -> bytes:
        """The first 8 bytes of the node id, which name the node in records."""
        return self.node_id[:8]

    def __str__(self) -> str:
        return _encode_base32(self.cid_bytes)

    def __repr__(self) -> str:
        return f"PeerID.parse({str(self)!r})"

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """A node's X25519 private key: 32 bytes, from which its `PeerID` follows.

    Construction raises `Malformed` for a wrong length and for a key whose address is outside
    fc00::/8. Neither `repr` nor any error shows the secret.
    """

    secret: bytes
    """The 32 bytes as drawn, not clamped."""
    peer_id: PeerID = field(init=False, compare=False)
    """The identity that goes with this key."""
    _handle: X25519PrivateKey = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise Malformed(f"private key: {len(self.secret)} bytes instead of {KEY_BYTES}")
        handle = _load_private(self.secret)
        object.__setattr__(self, "peer_id", PeerID(handle.public_key().public_bytes_raw()))
        object.__setattr__(self, "_handle", handle)

    @classmethod
    def generate(cls, random: Callable[[int], bytes]) -> Self:
        """Draw keys from `random(32)` until one has an fc00::/8 address: 256 tries on average."""
        while True:
            secret = random(KEY_BYTES)
            public = _load_private(secret).public_key().public_bytes_raw()
            if _digest(public)[ADDRESS_BYTES] == ADDRESS_PREFIX:
                return cls(secret)

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """The key with these 32 secret bytes."""
        return cls(secret)

    def exchange(self, peer_key: bytes) -> bytes:
        """The X25519 shared secret, 32 bytes, with a public key, which may be an ephemeral one.

        `Malformed` when the result is all zero, as every point of low order makes it.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        try:
            return self._handle.exchange(X25519PublicKey.from_public_bytes(peer_key))
        except ValueError:
            raise Malformed("public key: no shared secret with it") from None

    def __repr__(self) -> str:
        return f"<PrivateKey of {self.peer_id}>"


def _digest(key: bytes) -> bytes:
    return blake2s(blake2s(key).digest()).digest()


def _load_private(secret: bytes) -> X25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(secret)


def _encode_base32(data: bytes) -> str:
    return "b" + b32encode(data).decode("ascii").rstrip("=").lower()


def _decode_base32(text: str) -> bytes:
    """The fast way for the usual spelling, about 30 times faster than a general decoder."""
    # Only ASCII may be folded: other alphabets have letters whose upper case is an ASCII letter.
    if len(text) != _BASE32_CHARS or not text.isascii():
        raise Malformed(f"not a peer id: {excerpt(text)}")
    try:
        data = b32decode(text[1:].upper() + "======")
    except Base32Error:
        raise Malformed(f"not a peer id: {excerpt(text)}") from None
    # 58 digits hold 2 bits more than 36 bytes; unless they are zero, one key has four spellings.
    if _encode_base32(data) != text.lower():
        raise Malformed(f"not a peer id, its last digit is wrong: {excerpt(text)}")
    return data
