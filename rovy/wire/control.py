"""Control messages: codec 0 inside a session. docs/protocol/control.md"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from rovy.address.label import MAX_SLOT
from rovy.errors import Malformed
from rovy.wire import beacon, flood
from rovy.wire.beacon import AnchorMessage
from rovy.wire.flood import Flooded
from rovy.wire.payload import emit_table, is_name, parse_table

KEEPALIVE, PROBE, PROBE_ANSWER, BYE, CODECS, PEERING, REQUEST, REPLY = range(8)
TOKEN = 8
_SLOT = Struct(">BH")
_ID = Struct(">BI")


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Carries nothing; confirms keys."""

    def emit(self) -> bytes:
        """One byte."""
        return bytes([KEEPALIVE])


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks for an answer on the same path; also the challenge of a new path."""

    token: bytes
    padding: int = 0
    """Zero bytes after the token: a probe for the path's MTU."""

    def emit(self) -> bytes:
        """9 bytes and the padding."""
        return bytes([PROBE]) + self.token + bytes(self.padding)


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """Answers a probe on the path it came by."""

    token: bytes

    def emit(self) -> bytes:
        """9 bytes."""
        return bytes([PROBE_ANSWER]) + self.token


@dataclass(frozen=True, slots=True)
class Bye:
    """The sender forgets the session now."""

    def emit(self) -> bytes:
        """One byte."""
        return bytes([BYE])


@dataclass(frozen=True, slots=True)
class Codecs:
    """The sender's whole multigram table, grown at its end since the handshake."""

    names: tuple[str, ...]

    def emit(self) -> bytes:
        """One byte and the table."""
        return bytes([CODECS]) + emit_table(self.names)


@dataclass(frozen=True, slots=True)
class Peering:
    """The slot the sender gave the receiver; 0: the sender has no peering with it."""

    slot: int
    reply: bool = False
    """Whether the sender wants to be told the receiver's slot in return."""

    def emit(self) -> bytes:
        """4 bytes."""
        return _SLOT.pack(PEERING, self.slot) + bytes([self.reply])


@dataclass(frozen=True, slots=True)
class Request:
    """A request of an application codec; repeated until answered, so `id` tells copies apart."""

    id: int
    codec: str
    body: bytes

    def emit(self) -> bytes:
        """Type, id, {length 1, codec}, body."""
        name = self.codec.encode("ascii")
        return _ID.pack(REQUEST, self.id) + bytes([len(name)]) + name + self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to the request of the same id."""

    id: int
    status: int
    """0 done, otherwise a reason of docs/protocol/control.md §3."""
    body: bytes

    def emit(self) -> bytes:
        """Type, id, status, body."""
        return _ID.pack(REPLY, self.id) + bytes([self.status]) + self.body


Control = (
    Keepalive
    | Probe
    | ProbeAnswer
    | Bye
    | Codecs
    | Peering
    | Request
    | Reply
    | Flooded
    | AnchorMessage
)


def parse(data: bytes) -> Control | None:
    """The message, or None where its type is unknown (a later version's). Raises `Malformed`."""
    if not data:
        raise Malformed("control: empty")
    reader = _READERS.get(data[0])
    return reader(data) if reader else None


def _keepalive(_: bytes) -> Keepalive:
    return Keepalive()


def _bye(_: bytes) -> Bye:
    return Bye()


def _token(data: bytes) -> bytes:
    if len(data) < 1 + TOKEN:
        raise Malformed("control: token")
    return data[1 : 1 + TOKEN]


def _probe(data: bytes) -> Probe:
    return Probe(_token(data), len(data) - 1 - TOKEN)


def _probe_answer(data: bytes) -> ProbeAnswer:
    return ProbeAnswer(_token(data))


def _codecs(data: bytes) -> Codecs:
    return Codecs(parse_table(data[1:]))


def _peering(data: bytes) -> Peering:
    if len(data) < _SLOT.size + 1 or data[3] > 1:
        raise Malformed("control: peering")
    _, slot = _SLOT.unpack_from(data)
    if slot > MAX_SLOT:
        raise Malformed("control: slot")
    return Peering(slot, bool(data[3]))


def _request(data: bytes) -> Request:
    if len(data) < _ID.size + 1:
        raise Malformed("control: request")
    _, number = _ID.unpack_from(data)
    start = _ID.size + 1
    end = start + data[_ID.size]
    name = data[start:end]
    if len(data) < end or not is_name(name):
        raise Malformed("control: request codec")
    return Request(number, name.decode("ascii"), data[end:])


def _reply(data: bytes) -> Reply:
    if len(data) < _ID.size + 1:
        raise Malformed("control: reply")
    _, number = _ID.unpack_from(data)
    return Reply(number, data[_ID.size], data[_ID.size + 1 :])


_READERS: dict[int, Callable[[bytes], Control]] = {
    KEEPALIVE: _keepalive,
    PROBE: _probe,
    PROBE_ANSWER: _probe_answer,
    BYE: _bye,
    CODECS: _codecs,
    PEERING: _peering,
    REQUEST: _request,
    REPLY: _reply,
    flood.RECORDS: flood.parse_records,
    flood.SUMMARY: flood.parse_summary,
    flood.LISTING: flood.parse_listing,
    flood.WANTED: flood.parse_wanted,
    **beacon.READERS,
}
