"""The states of a session, as data. docs/protocol/sessions.md §2 shows the diagram.

All that decides whether a session may send, waits, or is over lives in this table. It does not
know messages: a hello, its repetition or a timer all end up as one of the events below. Two
questions are answered at once, whether we wait for an answer to our own hello (OPENING,
REKEYING) or for the first packet under keys we answered with (ANSWERED, RENEWED), and whether
there are keys to send with meanwhile (REKEYING, RENEWED, OPEN). The rule for simultaneous opening
decides between the two waits; a hello of ours that lost is repeated no more, but its response is
still taken (ACCEPTED while ANSWERED or RENEWED), since the other side may have decided otherwise.
"""

from enum import StrEnum

from rovy.errors import UsageError


class State(StrEnum):
    """Where a session stands."""

    IDLE = "idle"
    OPENING = "opening"
    ANSWERED = "answered"
    OPEN = "open"
    REKEYING = "rekeying"
    RENEWED = "renewed"
    CLOSED = "closed"


class Event(StrEnum):
    """What can happen to it."""

    ASKED = "asked"
    """Our hello went out."""
    ACCEPTED = "accepted"
    """The response to our hello authenticated."""
    ANSWERED = "answered"
    """We took the other's hello and sent a response; our own hello, if any, is dropped."""
    CONFIRMED = "confirmed"
    """The first packet under the keys of our response authenticated."""
    GAVE_UP = "gave up"
    """Our hello, or our response, stayed without an answer for too long."""
    EXPIRED = "expired"
    """The keys we send with grew too old."""
    CLOSED = "closed"
    """One side ended the session."""


_S, _E = State, Event
TRANSITIONS: dict[State, dict[Event, State]] = {
    _S.IDLE: {
        _E.ASKED: _S.OPENING,
        _E.ANSWERED: _S.ANSWERED,
        _E.CLOSED: _S.CLOSED,
    },
    _S.OPENING: {
        _E.ASKED: _S.OPENING,
        _E.ACCEPTED: _S.OPEN,
        _E.ANSWERED: _S.ANSWERED,
        _E.GAVE_UP: _S.CLOSED,
        _E.CLOSED: _S.CLOSED,
    },
    _S.ANSWERED: {
        _E.ACCEPTED: _S.OPEN,
        _E.ANSWERED: _S.ANSWERED,
        _E.CONFIRMED: _S.OPEN,
        _E.GAVE_UP: _S.IDLE,
        _E.CLOSED: _S.CLOSED,
    },
    _S.OPEN: {
        _E.ASKED: _S.REKEYING,
        _E.ANSWERED: _S.RENEWED,
        _E.EXPIRED: _S.IDLE,
        _E.CLOSED: _S.CLOSED,
    },
    _S.REKEYING: {
        _E.ASKED: _S.REKEYING,
        _E.ACCEPTED: _S.OPEN,
        _E.ANSWERED: _S.RENEWED,
        _E.GAVE_UP: _S.OPEN,
        _E.EXPIRED: _S.OPENING,
        _E.CLOSED: _S.CLOSED,
    },
    _S.RENEWED: {
        _E.ACCEPTED: _S.OPEN,
        _E.ANSWERED: _S.RENEWED,
        _E.CONFIRMED: _S.OPEN,
        _E.GAVE_UP: _S.OPEN,
        _E.EXPIRED: _S.ANSWERED,
        _E.CLOSED: _S.CLOSED,
    },
    _S.CLOSED: {},
}
SENDING = frozenset((State.OPEN, State.REKEYING, State.RENEWED))
"""States in which there are keys to seal with."""
ASKING = frozenset((State.OPENING, State.REKEYING))
"""States in which our hello waits for its response."""


def advance(state: State, event: Event) -> State:
    """The next state. Raises `UsageError` where the table has none: a fault of this program."""
    following = TRANSITIONS[state].get(event)
    if following is None:
        raise UsageError(f"session: {event} while {state}")
    return following


def diagram() -> str:
    """The table as a Mermaid state diagram, as docs/protocol/sessions.md carries it."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.IDLE}"]
    for state, row in TRANSITIONS.items():
        lines += [f"    {state} --> {following}: {event}" for event, following in row.items()]
    lines.append(f"    {State.CLOSED} --> [*]")
    return "\n".join(lines)
