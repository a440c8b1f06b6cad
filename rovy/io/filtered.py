"""An interface whose packets pass the node's own filter, where nftables cannot guard it."""

from collections.abc import Callable, Sequence

from rovy.fcnet.filter import Action, Filter
from rovy.fcnet.refusal import refusal
from rovy.io.base import Interface, PacketSink


class FilteredInterface:
    """Implements `Interface` and `PacketSink` around another; `guard` gives the filter, if any."""

    def __init__(
        self, inner: Interface, guard: Callable[[], Filter | None], now: Callable[[], float]
    ) -> None:
        self._inner, self._guard, self._now = inner, guard, now
        self._sink: PacketSink | None = None

    @property
    def name(self) -> str:
        """See `Interface`."""
        return self._inner.name

    @property
    def problem(self) -> str:
        """See `Interface`."""
        return self._inner.problem

    def open(self, address: bytes, sink: PacketSink) -> None:
        """See `Interface`."""
        self._sink = sink
        self._inner.open(address, self)

    def transmit(self, packets: list[bytes]) -> None:
        """See `PacketSink`."""
        guard = self._guard()
        if guard:
            for packet in packets:
                guard.outgoing(packet, self._now())
        if self._sink:
            self._sink.transmit(packets)

    def interface_changed(self, problem: str) -> None:
        """See `PacketSink`."""
        if self._sink:
            self._sink.interface_changed(problem)

    def write(self, packets: Sequence[bytes | memoryview]) -> None:
        """See `Interface`."""
        guard = self._guard()
        self._inner.write(self._admitted(guard, packets) if guard else packets)

    def counters(self) -> dict[str, int]:
        """See `Interface`."""
        guard = self._guard()
        verdicts = guard.counters() if guard else {}
        return self._inner.counters() | {f"firewall {name}": n for name, n in verdicts.items()}

    def close(self) -> None:
        """See `Interface`."""
        self._inner.close()

    def _admitted(
        self, guard: Filter, packets: Sequence[bytes | memoryview]
    ) -> list[bytes | memoryview]:
        """The packets that may come in; others are answered or dropped."""
        now, admitted, refusals = self._now(), [], []
        for packet in packets:
            action = guard.incoming(packet, now).action
            if action is Action.PASS:
                admitted.append(packet)
            elif action is Action.REFUSE and (answer := refusal(packet)):
                refusals.append(answer)
        if refusals and self._sink:
            self._sink.transmit(refusals)
        return admitted
