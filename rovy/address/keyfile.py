"""The text of a key file: a private key in TOML, with the names that follow from it.

    PrivateKey = "m…"        multibase base64 of the 32 secret bytes
    PeerID = "bafzqai…"
    IPAddr = "fc…"

The two names are there for people and for the check: where the three disagree somebody has mixed
up files, and a node must not come up under an identity its owner does not expect.
"""

from __future__ import annotations

import tomllib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from rovy.address.keys import PeerID, PrivateKey, address_text, parse_address
from rovy.errors import Malformed

MAX_TEXT: Final = 65536
"""The longest key file that is read, in characters."""

_HEADER: Final = "# The identity of a rovy node. Keep it secret: whoever has it is the node.\n"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The content of a key file."""

    private: PrivateKey

    def emit(self) -> str:
        """The file as TOML; it holds the secret."""
        peer = self.private.peer_id
        return (
            f"{_HEADER}"
            f'PrivateKey = "{_encode_secret(self.private.secret)}"\n'
            f'PeerID = "{peer}"\n'
            f'IPAddr = "{address_text(peer.address)}"\n'
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file; `Malformed` names the field at fault and the remedy, never the secret."""
        fields = _read_toml(text)
        private = _read_private(_string(fields, "PrivateKey"))
        peer = private.peer_id
        _compare(fields, "PeerID", lambda value: PeerID.parse(value).key == peer.key, str(peer))
        _compare(
            fields,
            "IPAddr",
            lambda value: parse_address(value.removeprefix("/ip6/")) == peer.address,
            address_text(peer.address),
        )
        return cls(private)


def _read_toml(text: str) -> dict[str, object]:
    if len(text) > MAX_TEXT:
        raise Malformed(f"key file: {len(text)} characters")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
    except (ValueError, RecursionError):
        reason = "a number too long or values nested too deeply"
    # Outside the handler, so that the parser's error, which may hold the text, is not attached.
    raise Malformed(f"key file: not TOML: {reason}")


def _string(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise Malformed(f'key file: {name} is missing: restore the line {name} = "…"')
    return value


def _read_private(text: str) -> PrivateKey:
    try:
        return PrivateKey(_decode_secret(text))
    except Malformed as error:
        reason = str(error)
    raise Malformed(f"key file: PrivateKey is damaged: restore it from a backup ({reason})")


def _compare(
    fields: dict[str, object], name: str, agrees: Callable[[str], bool], expected: str
) -> None:
    remedy = f'write {name} = "{expected}", or put back the PrivateKey that belongs to it'
    if name not in fields:
        raise Malformed(f"key file: {name} is missing: {remedy}")
    try:
        same = agrees(_string(fields, name))
    except Malformed as error:
        raise Malformed(f"key file: {name} cannot be read ({error}): {remedy}") from None
    if not same:
        raise Malformed(f"key file: {name} does not belong to PrivateKey: {remedy}")


def _encode_secret(secret: bytes) -> str:
    return "m" + b64encode(secret).decode("ascii").rstrip("=")


def _decode_secret(text: str) -> bytes:
    if not text.startswith("m"):
        from rovy.address.interop import decode_multibase

        return decode_multibase(text)
    digits = text[1:]
    try:
        secret = b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (Base64Error, ValueError):
        raise Malformed("not base64 without padding") from None
    if _encode_secret(secret) != text:
        raise Malformed("not base64 without padding")
    return secret
