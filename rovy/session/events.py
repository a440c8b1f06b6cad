"""What the session layer gives back, and the tables it writes to."""

from dataclasses import dataclass
from typing import Protocol

from rovy.address.keys import PeerID
from rovy.address.path import Direct, Path
from rovy.wire.control import Control


@dataclass(frozen=True, slots=True)
class Send:
    """A handshake datagram to go out."""

    path: Path
    datagram: bytes


@dataclass(frozen=True, slots=True)
class Tell:
    """A control message to be sealed for a session's peer."""

    session: int
    message: Control
    path: Path | None = None
    """None: the active path."""


@dataclass(frozen=True, slots=True)
class Closing:
    """To be handed to `SessionLayer.finish` once all before it was sealed."""

    session: int
    reason: str


@dataclass(frozen=True, slots=True)
class Established:
    """A session can carry data; `first`: it could not before."""

    session: int
    peer: PeerID
    first: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """A session is over. Reasons: `timeout`, `expired`, `idle`, `bye`, `closed`, `version`."""

    session: int
    peer: PeerID
    reason: str


@dataclass(frozen=True, slots=True)
class EarlyAnswer:
    """The response brought the answer to the request of our hello, or none (`answer` None)."""

    session: int
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class PathChanged:
    """Another path carries a session's data now."""

    session: int
    peer: PeerID
    path: Path | None


@dataclass(frozen=True, slots=True)
class DirectChanged:
    """Another direct path takes a session's forward packets now, or none, or its MTU changed."""

    session: int
    peer: PeerID


@dataclass(frozen=True, slots=True)
class PathFailed:
    """A path that worked does not any more; the session uses another if it has one."""

    session: int
    peer: PeerID
    path: Path
    silent: bool
    """Whether nothing came back, rather than that somebody said so."""


@dataclass(frozen=True, slots=True)
class CameIntoUse:
    """A session carries payloads of its users, as it did not of late."""

    session: int


@dataclass(frozen=True, slots=True)
class VersionMismatch:
    """A peer speaks another version of the protocol."""

    peer: PeerID
    version: int


Action = (
    Send
    | Tell
    | Closing
    | Established
    | Closed
    | EarlyAnswer
    | PathChanged
    | DirectChanged
    | PathFailed
    | CameIntoUse
    | VersionMismatch
)


class Traffic(Protocol):
    """Counts the session layer asks the tables for."""

    @property
    def counter(self) -> int:
        """Next counter of the sealing key."""

    @property
    def received_at(self) -> float:
        """When the last packet came."""


class PathTraffic(Protocol):
    """Counts of one path."""

    @property
    def received_at(self) -> float:
        """When the last packet came by it."""

    @property
    def bytes_received(self) -> int:
        """Bytes that came by it since it is one of the session's."""


class Tables(Protocol):
    """What the session layer writes to: the data plane, given by the node."""

    def add_session(self, session: int, address: bytes) -> None: ...
    def remove_session(self, session: int) -> None: ...
    def add_opener(self, session: int, index: int, key: bytearray, *, confirmed: bool) -> None: ...
    def remove_opener(self, index: int) -> None: ...
    def set_sealer(self, session: int, index: int, key: bytearray, forward_codec: int) -> None: ...
    def clear_sealer(self, session: int) -> None: ...
    def set_ip6(self, session: int, codec: int) -> None: ...
    def set_path(self, session: int, path: Path | None, mtu: int) -> None: ...
    def set_direct(self, session: int, path: Direct | None, mtu: int) -> None: ...
    def add_path(self, session: int, path: Path) -> None: ...
    def remove_path(self, session: int, path: Path) -> None: ...
    def waiting(self, session: int) -> float: ...
    def unwatch(self, session: int) -> None: ...
    def traffic(self, session: int) -> Traffic: ...
    def path_traffic(self, session: int, path: Path) -> PathTraffic: ...
