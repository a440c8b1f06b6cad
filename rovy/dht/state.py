"""What a DHT keeps across a restart, as plain JSON-able values. What is read is hostile."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from typing import Any, Final

from rovy.address.keys import PeerID
from rovy.dht.contact import Contact
from rovy.dht.values import Reader, Value
from rovy.errors import Malformed
from rovy.routing.locator import Locator

VERSION: Final = 1
MAX_ENTRIES: Final = 256
"""Contacts, and own values, that are read."""


def save(contacts: Iterable[Contact], values: Iterable[Value]) -> dict[str, Any]:
    """The state to be written."""
    return {
        "version": VERSION,
        "contacts": [_save_contact(contact) for contact in contacts][:MAX_ENTRIES],
        "values": [{"type": v.type, "raw": _text(v.raw)} for v in values][:MAX_ENTRIES],
    }


def load_contacts(
    state: dict[str, Any], reader: Reader, wall: float
) -> list[tuple[PeerID, Locator | None]]:
    """Nodes to begin with; entries that do not check out are left out."""
    found = []
    for entry in _entries(state, "contacts"):
        try:
            found.append(_load_contact(entry, reader, wall))
        except Malformed:
            continue
    return found


def load_values(state: dict[str, Any], own: PeerID, reader: Reader, wall: float) -> list[Value]:
    """The node's own values that still count."""
    found = []
    for entry in _entries(state, "values"):
        try:
            value = reader.read(_number(entry.get("type")), _bytes(entry.get("raw")), wall)
        except Malformed:
            continue
        if value.signer == own:
            found.append(value)
    return found


def _save_contact(contact: Contact) -> dict[str, Any]:
    if contact.locator is None:
        return {"key": _text(contact.peer.key)}
    return {"locator": _text(contact.locator.raw)}


def _load_contact(
    entry: dict[str, Any], reader: Reader, wall: float
) -> tuple[PeerID, Locator | None]:
    if "locator" not in entry:
        return PeerID(_bytes(entry.get("key"))), None
    locator = reader.locator(_bytes(entry["locator"]))
    return locator.key, locator if Value.of(locator).counts(wall) else None


def _entries(state: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = state.get(name) if state.get("version") == VERSION else None
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries[:MAX_ENTRIES] if isinstance(entry, dict)]


def _number(found: object) -> int:
    if not isinstance(found, int) or not 0 <= found <= 0xFF:
        raise Malformed("state: type of a value")
    return found


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _bytes(found: object) -> bytes:
    if not isinstance(found, str):
        raise Malformed("state: not a text")
    try:
        return b64decode(found, validate=True)
    except (Base64Error, ValueError):
        raise Malformed("state: not base64") from None
