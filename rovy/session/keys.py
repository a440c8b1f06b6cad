"""One pair of session keys, and the hello that waits for one."""

from dataclasses import dataclass, field, replace

from rovy.address.path import Direct, Path
from rovy.noise.handshake import Initiator
from rovy.wire.payload import Early, Payload

SENT = 16


def note_sent(sent: dict[Path, None], path: Path) -> None:
    """Remember that a handshake message went out on a path; the oldest gives way."""
    sent.pop(path, None)
    sent[path] = None
    while len(sent) > SENT:
        del sent[next(iter(sent))]


def was_sent(sent: dict[Path, None], path: Path) -> bool:
    """Whether a message went out on the path by which its answer came.

    A path that leaves the local address to the kernel stands for all with that remote end.
    """
    return path in sent or any(
        isinstance(used, Direct) and isinstance(path, Direct) and used.same_peer_end(path)
        for used in sent
    )


@dataclass(slots=True, eq=False)
class Keys:
    """A pair of keys; the bytes themselves are the data plane's once it was handed them."""

    index: int
    """Our receiver index."""
    receiver: int
    """The peer's."""
    created: float
    initiator: bool
    peer: Payload
    """What the peer said in its handshake."""
    told: tuple[str, ...]
    """The codecs we announced in ours: those of our table that fitted."""
    sealing: bytearray | None = None
    """Held back until the keys are confirmed."""
    hello: bytes = b""
    """Digest of the hello these keys answer."""
    response: bytes = b""
    """Our response up to its MACs, to be repeated."""
    expires: float = 0.0
    sent: dict[Path, None] = field(default_factory=dict)
    """Where our response went; at most 16 paths."""
    table: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.learn(self.peer.codecs)

    def codec(self, name: str) -> int | None:
        """The peer's index of a codec; None where it does not know it."""
        return self.table.get(name)

    def learn(self, names: tuple[str, ...]) -> None:
        """Take the peer's table, which starts at index 1."""
        self.peer = replace(self.peer, codecs=names)
        self.table = {name: index for index, name in enumerate(names, 1)}


@dataclass(slots=True, eq=False)
class Opening:
    """Our hello, waiting for its response."""

    noise: Initiator
    index: int
    signed: bytes
    """The hello up to its MACs."""
    mac1: bytes
    made: float
    """When this Noise message was made."""
    started: float
    """When the first of the attempt was."""
    request: Early | None
    told: tuple[str, ...]
    """The codecs it announces."""
    tries: int = 0
    retry_at: float = 0.0
    yielded: bool = False
    """Whether it waits for what comes of the peer's hello, which we answered."""
    sent: dict[Path, None] = field(default_factory=dict)
    """Where it went; at most 16 paths."""
