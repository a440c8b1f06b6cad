"""Signatures by an X25519 identity: XEdDSA, with the domain of the message signed along.

What is signed is len(domain) (1 byte), domain, message; so a signature over one kind of object is
never one over another. Signing negates the private scalar where needed, so that the Ed25519 form
A of the key has sign bit 0. Verification is Ed25519 under the key mapped to the Edwards curve,
y = (u - 1) / (u + 1), with sign bit 0: cofactorless, S < L, R canonical. These are the rules of
the XEdDSA specification, revision 1, made exact where it leaves room, so that two implementations
never judge one signature differently.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from rovy.address.keys import FIELD_PRIME, PrivateKey, check_key
from rovy.errors import Malformed, UsageError

SIGNATURE_BYTES: Final = 64
NONCE_BYTES: Final = 64
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""L, the order of the group that keys live in."""

_SIGN_BIT: Final = 1 << 255


def sign(private: PrivateKey, domain: bytes, message: bytes, nonce: bytes) -> bytes:
    """The signature, 64 bytes. `nonce` is 64 random bytes; domains have at most 255."""
    from xeddsa import ed25519_priv_sign, priv_force_sign

    if len(nonce) != NONCE_BYTES:
        raise UsageError(f"a signature takes a nonce of {NONCE_BYTES} bytes, not {len(nonce)}")
    scalar = priv_force_sign(private.secret, False)
    return ed25519_priv_sign(scalar, _signed_bytes(domain, message), nonce)


def verify(peer_key: bytes, domain: bytes, message: bytes, signature: bytes) -> None:
    """Return if the holder of `peer_key`, 32 bytes, signed this; raise `Malformed` otherwise."""
    _check_encoding(signature)
    edwards = _edwards_key(peer_key)
    try:
        Ed25519PublicKey.from_public_bytes(edwards).verify(
            signature, _signed_bytes(domain, message)
        )
    except (InvalidSignature, ValueError):
        raise Malformed("signature: does not verify") from None


def _check_encoding(signature: bytes) -> None:
    """Refuse the other spellings of a signature.

    That R is a point at all, and x = 0 has no sign, needs no check: cofactorless verification
    computes R and compares its bytes.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed(f"signature: {len(signature)} bytes instead of {SIGNATURE_BYTES}")
    if int.from_bytes(signature[32:], "little") >= ORDER:
        raise Malformed("signature: S is not below the group order")
    if int.from_bytes(signature[:32], "little") & (_SIGN_BIT - 1) >= FIELD_PRIME:
        raise Malformed("signature: R is not in canonical form")


def _edwards_key(peer_key: bytes) -> bytes:
    """The Ed25519 public key with sign bit 0 that this X25519 key stands for."""
    check_key(peer_key)  # among the points of low order is u = -1, which has no counterpart
    u = int.from_bytes(peer_key, "little")
    y = (u - 1) * pow(u + 1, -1, FIELD_PRIME) % FIELD_PRIME
    return y.to_bytes(32, "little")


def _signed_bytes(domain: bytes, message: bytes) -> bytes:
    if len(domain) > 255:
        raise UsageError(f"a domain has at most 255 bytes, not {len(domain)}")
    return bytes((len(domain),)) + domain + message
