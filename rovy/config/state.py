"""What a daemon has to remember: stamps, sequences, slots, what was added, what the DHT knows.

One JSON file, replaced as a whole. It is written by us, but read with suspicion: a disk, an
editor or a restored backup may have damaged it, and a node has to start all the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Final

from rovy.address.keys import PeerID
from rovy.config.files import replace_file
from rovy.config.settings import PeerSetting
from rovy.config.values import read_peer
from rovy.errors import Malformed, UsageError
from rovy.fcnet.rules import Rule
from rovy.forwarder import Lease

VERSION: Final = 1
MAX_BYTES: Final = 8 << 20
MAX_STAMP: Final = 1 << 63
MAX_SEQUENCE: Final = 1 << 48
MAX_DHT: Final = 1 << 20
"""Bytes of what the DHT wants kept."""


@dataclass(frozen=True, slots=True)
class State:
    """The content of the state file."""

    stamp_bound: int = 0
    """No hello of this key carries a later timestamp, nanoseconds."""
    slots: Mapping[PeerID, Lease] = field(default_factory=dict)
    peers: tuple[PeerSetting, ...] = ()
    """Peers added while the daemon ran."""
    rules: tuple[Rule, ...] = ()
    """Rules of the firewall added likewise."""
    sequence: int = 0
    """The highest one that a link record of this key has used, milliseconds."""
    dht: Mapping[str, Any] = field(default_factory=dict)
    """Contacts and own records, as the DHT wants them; left out where it is too long."""

    def emit(self) -> bytes:
        """The file's bytes."""
        document = {
            "version": VERSION,
            "stamp_bound": self.stamp_bound,
            "sequence": self.sequence,
            "slots": {
                str(peer): {"slot": lease.slot, "freed_at": lease.freed_at}
                for peer, lease in self.slots.items()
            },
            "rules": [str(rule) for rule in self.rules],
            "peers": [{"address": str(p.address), "name": p.name} for p in self.peers],
            "dht": self.dht if _fits(self.dht) else {},
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> "State":
        """Read the file; `Malformed` for whatever is not right with it."""
        try:
            return cls._of(json.loads(data))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise Malformed(f"not a state file: {type(error).__name__}") from None

    @classmethod
    def _of(cls, document: Any) -> "State":
        if document["version"] != VERSION:
            raise Malformed(f"a state file of version {document['version']!r}, not {VERSION}")
        bound, sequence = document["stamp_bound"], document.get("sequence", 0)
        for number, most in ((bound, MAX_STAMP), (sequence, MAX_SEQUENCE)):
            if type(number) is not int or not 0 <= number < most:
                raise Malformed("stamp_bound or sequence out of bounds")
        slots = {PeerID.parse(peer): _lease(entry) for peer, entry in document["slots"].items()}
        peers = tuple(read_peer(entry["address"], entry["name"]) for entry in document["peers"])
        rules = tuple(Rule.parse(text) for text in document.get("rules", []))
        dht = document.get("dht", {})
        if not isinstance(dht, dict) or not _fits(dht):
            raise Malformed("dht is no object, or too long")
        return cls(bound, slots, peers, rules, sequence, dht)


def _lease(entry: Any) -> Lease:
    slot, freed = entry["slot"], entry["freed_at"]
    if type(slot) is not int or not (freed is None or isfinite(freed)):
        raise Malformed("a slot that is no number")
    return Lease(slot, freed)


def _fits(dht: Mapping[str, Any]) -> bool:
    return len(json.dumps(dht, indent=1)) <= MAX_DHT


def load_state(path: Path) -> tuple[State | None, str]:
    """The state, or None and what is wrong. A damaged file is put aside, not overwritten.

    Raises `UsageError` where the file cannot be read or put aside.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return State(), ""
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; check its owner") from None
    try:
        if len(data) > MAX_BYTES:
            raise Malformed(f"longer than {MAX_BYTES} bytes")
        return State.parse(data), ""
    except Malformed as error:
        return None, f"{path} is damaged ({error}); kept as {_put_aside(path)}, starting anew"


def save_state(path: Path, state: State) -> None:
    """Replace the state file. Raises `OSError`."""
    replace_file(path, state.emit())


def _put_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists() and number < 100:
        number += 1
    try:
        path.rename(aside)
    except OSError as error:
        raise UsageError(f"{path}: damaged, and cannot be renamed: {error.strerror}") from None
    return aside
