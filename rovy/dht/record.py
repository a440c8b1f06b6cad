"""Signed records: names, services and whatever else a node says. docs/protocol/dht.md §3

`key 32 | sequence 6 | ttl 4 | length 1, name | length 2, body | signature 64`, big-endian. The
type is signed along, and stands beside the record wherever it travels.
"""

from dataclasses import dataclass
from hashlib import blake2s
from struct import Struct
from typing import Final, Self

from rovy.address.keys import PeerID, PrivateKey
from rovy.dht.const import EXPERIMENTAL, MAX_BODY, MAX_NAME, NAME, RECORD_TTL, SERVICE
from rovy.errors import Malformed, UsageError
from rovy.noise import xeddsa
from rovy.wire.dht import ID, MAX_SEQUENCE

DOMAIN: Final = b"rovy-rec1"
PLACE: Final = b"rovy-dht1"

_HEAD: Final = Struct(">32s6sIB")
_LENGTH: Final = Struct(">H")
_FIXED: Final = _HEAD.size + _LENGTH.size + xeddsa.SIGNATURE_BYTES
"""Bytes of a record without its name and its body."""


def is_record_type(number: int) -> bool:
    """Whether values of this type are signed records."""
    return number in (NAME, SERVICE) or EXPERIMENTAL <= number <= 0xFF


def place_of(number: int, key: bytes, name: str) -> bytes:
    """Where the record of this type, signer and name is stored."""
    whole = PLACE + bytes((number,)) + key + name.encode("utf-8")
    return blake2s(whole, digest_size=ID).digest()


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """What a node says under a name. Made by `parse` and `sign`."""

    type: int
    key: PeerID
    """The signer."""
    sequence: int
    """Milliseconds of the signer's wall clock, strictly rising."""
    ttl: int
    """Seconds that it counts from its sequence on."""
    name: str
    body: bytes
    raw: bytes
    """The record as signed, without its type."""

    @classmethod
    def parse(cls, number: int, data: bytes) -> Self:
        """A whole record, its form checked but not its signature; `Malformed`."""
        if not is_record_type(number):
            raise Malformed(f"record: type {number}")
        if not _FIXED <= len(data) <= _FIXED + MAX_NAME + MAX_BODY:
            raise Malformed("record: length")
        key, sequence, ttl, named = _HEAD.unpack_from(data)
        end = _HEAD.size + named
        name = _read_name(data[_HEAD.size : end])
        (length,) = _LENGTH.unpack(data[end : end + _LENGTH.size].ljust(_LENGTH.size, b"\xff"))
        if length > MAX_BODY or len(data) != _FIXED + named + length:
            raise Malformed("record: length of the body")
        if not 1 <= ttl <= RECORD_TTL:
            raise Malformed("record: ttl")
        body = data[end + _LENGTH.size : -xeddsa.SIGNATURE_BYTES]
        raised = int.from_bytes(sequence, "big")
        return cls(number, PeerID(key), raised, ttl, name, bytes(body), bytes(data))

    @classmethod
    def sign(
        cls,
        private: PrivateKey,
        number: int,
        sequence: int,
        ttl: int,
        name: str,
        body: bytes,
        nonce: bytes,
    ) -> Self:
        """The record of a node; `nonce` is 64 random bytes. `UsageError` for what has no room."""
        label = name.encode("utf-8")
        if not is_record_type(number) or len(label) > MAX_NAME or len(body) > MAX_BODY:
            raise UsageError(f"record: type {number}, name {name!r}, {len(body)} bytes")
        if not (0 <= sequence <= MAX_SEQUENCE and 1 <= ttl <= RECORD_TTL):
            raise UsageError(f"record: {sequence=}, {ttl=}")
        head = _HEAD.pack(private.peer_id.key, sequence.to_bytes(6, "big"), ttl, len(label))
        unsigned = head + label + _LENGTH.pack(len(body)) + body
        signature = xeddsa.sign(private, DOMAIN, bytes((number,)) + unsigned, nonce)
        return cls(number, private.peer_id, sequence, ttl, name, body, unsigned + signature)

    def verify(self) -> Self:
        """This record, once it is certain that its node signed it; `Malformed` otherwise."""
        at = len(self.raw) - xeddsa.SIGNATURE_BYTES
        said = bytes((self.type,)) + self.raw[:at]
        xeddsa.verify(self.key.key, DOMAIN, said, self.raw[at:])
        return self

    @property
    def place(self) -> bytes:
        """Where it is stored."""
        return place_of(self.type, self.key.key, self.name)


def _read_name(data: bytes) -> str:
    if len(data) > MAX_NAME:
        raise Malformed("record: length of the name")
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("record: name is not UTF-8") from None
