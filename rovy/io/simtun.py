"""A simulated interface: a test sends and sees the packets that programs would."""

from collections import Counter
from collections.abc import Sequence

from rovy.io.base import PacketSink


class SimInterface:
    """Implements `Interface`."""

    def __init__(self, name: str = "sim0") -> None:
        self.name, self.problem = name, ""
        self.address = b""
        self.written: list[bytes] = []
        """All packets handed to the machine."""
        self._sink: PacketSink | None = None
        self._counts: Counter[str] = Counter()

    def open(self, address: bytes, sink: PacketSink) -> None:
        """See `Interface`."""
        self.address, self._sink = address, sink
        sink.interface_changed(self.problem)

    def inject(self, packets: Sequence[bytes]) -> None:
        """Packets that programs send; dropped while it is closed or has a problem."""
        if self._sink is None or self.problem:
            self._counts["interface not open"] += len(packets)
            return
        self._counts["packets_read"] += len(packets)
        self._counts["bytes_read"] += sum(map(len, packets))
        self._sink.transmit(list(packets))

    def change(self, problem: str) -> None:
        """Break it, or mend it with an empty problem."""
        self.problem = problem
        if self._sink:
            self._sink.interface_changed(problem)

    def write(self, packets: Sequence[bytes | memoryview]) -> None:
        """See `Interface`."""
        if self._sink is None or self.problem:
            self._counts["interface not open"] += len(packets)
            return
        self.written += map(bytes, packets)
        self._counts["packets_written"] += len(packets)
        self._counts["bytes_written"] += sum(map(len, packets))

    def counters(self) -> dict[str, int]:
        """See `Interface`."""
        return dict(self._counts)

    def close(self) -> None:
        """See `Interface`."""
        self._sink = None
