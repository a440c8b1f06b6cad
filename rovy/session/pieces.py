"""Reassembly of pieces, bounded per session. docs/protocol/pieces.md"""

from dataclasses import dataclass, field

from rovy.wire.piece import MAX_WHOLE, Piece

MEMORY = 64 * 1024
LIFE = 2.0


@dataclass(slots=True)
class _Whole:
    count: int
    expires: float
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


class Reassembler:
    """Collects pieces: at most 64 KB, each payload for 2 s; the oldest gives way."""

    def __init__(self) -> None:
        self._wholes: dict[int, _Whole] = {}
        self.dropped = 0
        """Payloads given up: late, too large, contradictory, or displaced."""

    @property
    def held(self) -> int:
        """Bytes held now."""
        return sum(whole.size for whole in self._wholes.values())

    def add(self, piece: Piece, now: float) -> bytes | None:
        """The whole payload where this piece completes it."""
        self._expire(now)
        whole = self._wholes.setdefault(piece.id, _Whole(piece.count, now + LIFE))
        if whole.count != piece.count or whole.size + len(piece.body) > MAX_WHOLE:
            self._drop(piece.id)
            return None
        if piece.index not in whole.parts:
            whole.parts[piece.index] = piece.body
            whole.size += len(piece.body)
        if len(whole.parts) == whole.count:
            del self._wholes[piece.id]
            return b"".join(whole.parts[i] for i in range(whole.count))
        while self.held > MEMORY:
            self._drop(next(iter(self._wholes)))
        return None

    def _expire(self, now: float) -> None:
        for number in [n for n, whole in self._wholes.items() if whole.expires <= now]:
            self._drop(number)

    def _drop(self, number: int) -> None:
        del self._wholes[number]
        self.dropped += 1
