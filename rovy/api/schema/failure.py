"""Why a request failed."""

from msgspec import Struct


class Error(Struct, frozen=True, omit_defaults=True):
    """Why a request failed."""

    reason: str
    """A short stable word, for programs."""
    message: str
    """For people."""
    remedy: str = ""
    """What to do about it."""


class Step(Struct, frozen=True):
    """One question of a lookup in the DHT."""

    peer_id: str
    """Who was asked."""
    address: str
    """In fc00::/8."""
    name: str
    route: str
    """Label or endpoint; empty where no answer came."""
    shared: int
    """Bits its id shares with the target, from the first on."""
    rtt: float | None
    """Seconds; null where no answer came."""
    result: str
    """value, contacts, no answer, refused or bad answer"""
    contacts: int
    """Nodes that it named."""


class Failure(Struct, frozen=True, omit_defaults=True):
    """Every answer whose status is 400 or more."""

    error: Error
    steps: list[Step] = []
    """What was asked before it failed; left out where nothing was."""
