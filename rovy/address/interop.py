"""The border to `multiformats`: names of rovy in the notation of other projects.

Nothing else imports that library. It is slow to load and to decode, refuses what it has no table
entry for, and lets wrong digest lengths pass; so it only turns text into bytes here, and those
bytes are checked by `PeerID` and `Label`. Importing this module registers rovy's codec and its two
multiaddr protocols with the library.
"""

from __future__ import annotations

from typing import Final

from multiformats import CID, multibase, multicodec
from multiformats.multiaddr import raw
from multiformats.multicodec import Multicodec

from rovy.address.keys import MAX_TEXT, PeerID, excerpt
from rovy.address.label import Label
from rovy.errors import Malformed

KEY_CODEC: Final = 0x73
ROVY: Final = 0x1A6
ROVYRT: Final = 0x1A7

# What the library's decoders raise on hostile text: its own errors derive from these.
_DECODING_ERRORS: Final = (ValueError, LookupError, TypeError, ArithmeticError, AssertionError)


def cid_bytes_from_text(text: str) -> bytes:
    """The bytes of a CID written in any multibase; their meaning is for the caller to check."""
    try:
        return decode_multibase(text)
    except Malformed:
        raise Malformed(f"not a peer id: {excerpt(text)}") from None


def decode_multibase(text: str) -> bytes:
    """The bytes of any multibase text; the error does not show the text, which may be secret."""
    if not 1 < len(text) <= MAX_TEXT:
        raise Malformed("not multibase text")
    try:
        return bytes(multibase.decode(text))
    except _DECODING_ERRORS:
        raise Malformed("not multibase text") from None


def cid_of(peer: PeerID, base: str = "base32") -> CID:
    """The peer's identity as the library's own CID value."""
    return CID(base, 1, "rovy-key", ("identity", peer.key))


def peer_of(cid: CID) -> PeerID:
    """The peer named by a CID value, checked in full."""
    return PeerID.from_cid_bytes(bytes(cid))


def _register() -> None:
    """Idempotent, so that reloading the module does no harm."""
    for name, tag, code in (
        ("rovy-key", "key", KEY_CODEC),
        ("rovy", "multiaddr", ROVY),
        ("rovyrt", "multiaddr", ROVYRT),
    ):
        multicodec.register(Multicodec(name, tag, code, "draft", ""), overwrite=True)
    raw.register(
        "rovy",
        lambda text: PeerID.parse(text).cid_bytes,
        lambda data: str(PeerID.from_cid_bytes(bytes(data))),
        None,
        overwrite=True,
    )
    raw.register(
        "rovyrt",
        lambda text: Label.parse(f"/rovyrt/{text}").data,
        lambda data: Label(bytes(data)).data.hex("-"),
        None,
        overwrite=True,
    )


_register()
