"""Reassembly of pieces, bounded per session. docs/protocol/pieces.md"""

from dataclasses import dataclass, field

from rovy.wire.piece import MAX_WHOLE, Piece

MEMORY = 64 * 1024
PAYLOADS = 64
LIFE = 2.0


@dataclass(slots=True)
class _Whole:
    count: int
    expires: float
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


class Reassembler:
    """Collects pieces: at most 64 KB of 64 payloads, each for 2 s; the oldest gives way."""

    def __init__(self) -> None:
        self._wholes: dict[int, _Whole] = {}
        self.held = 0
        """Bytes held now."""
        self.dropped = 0
        """Payloads given up: late, too large, contradictory, or displaced."""

    def add(self, piece: Piece, now: float) -> bytes | None:
        """The whole payload where this piece completes it."""
        self.expire(now)
        whole = self._wholes.setdefault(piece.id, _Whole(piece.count, now + LIFE))
        if piece.index in whole.parts and whole.count == piece.count:
            return None
        if whole.count != piece.count or whole.size + len(piece.body) > MAX_WHOLE:
            self._drop(piece.id)
            return None
        whole.parts[piece.index] = piece.body
        whole.size += len(piece.body)
        self.held += len(piece.body)
        if len(whole.parts) == whole.count:
            self._forget(piece.id)
            return b"".join(whole.parts[i] for i in range(whole.count))
        while self.held > MEMORY or len(self._wholes) > PAYLOADS:
            self._drop(next(iter(self._wholes)))
        return None

    @property
    def next_expiry(self) -> float:
        """When `expire` has something to do; infinity where it never has."""
        first = next(iter(self._wholes.values()), None)
        return first.expires if first else float("inf")

    def expire(self, now: float) -> None:
        """Give up what is late; payloads expire in the order in which they began."""
        while self._wholes:
            number, whole = next(iter(self._wholes.items()))
            if whole.expires > now:
                return
            self._drop(number)

    def _drop(self, number: int) -> None:
        self._forget(number)
        self.dropped += 1

    def _forget(self, number: int) -> None:
        self.held -= self._wholes.pop(number).size
