"""Flows begun from this machine, whose answers come in."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MOST: Final = 65536
"""Flows remembered. When full, the unanswered one unused for longest gives way, and where all are
answered the answered one: so a flood of one-way packets displaces no conversation."""


@dataclass(slots=True)
class Flow:
    """What is known of one flow."""

    expires: float = 0.0
    answered: bool = False
    closing: bool = False
    """Whether a TCP connection was ended by either side."""


class Flows:
    """A bounded table of flows, by key; the key is the caller's."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: OrderedDict[bytes, Flow] = OrderedDict()
        self._answered: OrderedDict[bytes, Flow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._answered)

    def find(self, key: bytes, now: float) -> Flow | None:
        """The flow, if it is there and has not expired."""
        flow = self._answered.get(key) or self._waiting.get(key)
        return flow if flow and flow.expires > now else None

    def begin(self, key: bytes, now: float) -> Flow:
        """A new flow, instead of one there was."""
        self._waiting.pop(key, None)
        self._answered.pop(key, None)
        for table in (self._waiting, self._answered):
            if table and next(iter(table.values())).expires <= now:
                table.popitem(last=False)
        if len(self) >= self._most:
            (self._waiting or self._answered).popitem(last=False)
        flow = self._waiting[key] = Flow()
        return flow

    def use(self, key: bytes, flow: Flow, expires: float, *, answer: bool = False) -> None:
        """A packet of the flow went by; `answer`: it came from the other side."""
        flow.expires = expires
        if answer and not flow.answered:
            flow.answered = True
            self._answered[key] = self._waiting.pop(key)
        else:
            (self._answered if flow.answered else self._waiting).move_to_end(key)
