"""One pair of session keys, and the hello that waits for one."""

from dataclasses import dataclass, field, replace

from rovy.address.path import Path
from rovy.noise.handshake import Initiator
from rovy.wire.payload import Early, Payload


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
    sealing: bytearray | None = None
    """Held back until the keys are confirmed."""
    hello: bytes = b""
    """Digest of the hello these keys answer."""
    response: bytes = b""
    """Our response up to its MACs, to be repeated."""
    expires: float = 0.0
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
    tries: int = 0
    retry_at: float = 0.0
    sent: dict[Path, float] = field(default_factory=dict)
    """When it last went out on a path."""
