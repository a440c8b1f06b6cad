"""Replay window of one receiving key, after RFC 6479. docs/protocol/sessions.md §6"""

WINDOW = 8192
"""Counters behind the newest that are still taken once."""
_RING = 2 * WINDOW // 8
_MASK = _RING - 1


class ReplayWindow:
    """Remembers which counters were seen; asked only after a packet authenticated."""

    __slots__ = ("_bits", "last")

    def __init__(self) -> None:
        self._bits: bytearray | None = None
        self.last = -1
        """Newest counter taken; -1 before the first."""

    def accept(self, counter: int) -> bool:
        """Take a counter; False where it was taken before or lies behind the window."""
        bits = self._bits
        if bits is None:
            bits = self._bits = bytearray(_RING)
        last = self.last
        byte = counter >> 3
        if counter > last:
            newest = last >> 3
            if byte != newest:
                _clear(bits, newest + 1, byte)
            self.last = counter
        elif counter + WINDOW <= last:
            return False
        bit = 1 << (counter & 7)
        at = byte & _MASK
        if bits[at] & bit:
            return False
        bits[at] |= bit
        return True


def _clear(bits: bytearray, first: int, final: int) -> None:
    """Zero the ring's bytes from number `first` to `final`."""
    if final - first >= _RING:
        bits[:] = bytes(_RING)
        return
    for byte in range(first, final + 1):
        bits[byte & _MASK] = 0
