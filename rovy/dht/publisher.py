"""Stores values with those whom they concern. docs/protocol/dht.md §7"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from rovy.address.keys import PeerID
from rovy.dht.caller import Caller
from rovy.dht.const import ALPHA, OF_GROUP, K
from rovy.dht.contact import Contact
from rovy.dht.values import Value
from rovy.errors import Malformed, Unreachable
from rovy.wire import dht as wire

REASONS: Final = {
    wire.FAR: "knows nearer nodes",
    wire.OLD: "has a newer one",
    wire.QUOTA: "no room",
    wire.REFUSED: "refused",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """How many nodes keep a value now, and why others do not."""

    stored: int
    asked: int
    refused: dict[PeerID, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.stored > 0


class Publisher:
    """Hands a value to the nearest until k have it, of one group two counted."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def store(self, value: Value, nearest: list[Contact]) -> Stored:
        """`nearest` to the value's place, the nearest first; of these 2k are asked at most."""
        waiting = nearest[: 2 * K]
        kept: list[Contact] = []
        refused: dict[PeerID, str] = {}
        asked = 0
        while waiting and (lacking := K - self._counted(kept)) > 0:
            batch = [waiting.pop(0) for _ in range(min(lacking, ALPHA, len(waiting)))]
            asked += len(batch)
            answers = await asyncio.gather(*(self.leave(contact, value) for contact in batch))
            for contact, reason in zip(batch, answers, strict=True):
                if reason is None:
                    kept.append(contact)
                else:
                    refused[contact.peer] = reason
        return Stored(len(kept), asked, refused)

    async def leave(self, contact: Contact, value: Value) -> str | None:
        """Leave a value with one node; the reason where it does not keep it."""
        try:
            status = await self._caller.store(contact, value)
        except Malformed:
            return "malformed"
        except Unreachable as error:
            return error.reason
        return None if status == wire.STORED else REASONS[status]

    def _counted(self, kept: list[Contact]) -> int:
        groups = Counter(self._caller.messenger.group(contact.peer) for contact in kept)
        alone = groups.pop(None, 0)
        return alone + sum(min(count, OF_GROUP) for count in groups.values())
