"""An asyncio event loop in virtual time: its clock jumps to what happens next.

A program that only waits for timers and for packets of the simulated underlay runs as fast as
it computes, and the same seed gives the same run. Real sockets and threads have no place here.

Besides asyncio's timers there is a calendar for what is never called off, such as the arrival of
a datagram. An entry is a tuple in a heap and is called right away, which costs a tenth of a timer.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from typing import Any, TypeVar

T = TypeVar("T")
Entry = tuple[float, int, Callable[[Any, Any], None], Any, Any]


class Stalled(RuntimeError):
    """Everything waits and no timer is left: nothing can happen any more."""


class _JumpingSelector(selectors.SelectSelector):
    """Advances the clock by as long as a real selector would have slept, or to the calendar."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.calendar: list[Entry] = []
        self.failed: Callable[[dict[str, Any]], None] | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        calendar = self.calendar
        if calendar:
            at = calendar[0][0]
            if timeout is None or at <= self.now + max(timeout, 0.0):
                self.now = max(self.now, at)
                self._happen()
                return []
        elif timeout is None:
            raise Stalled("nothing is left to happen")
        self.now += max(timeout, 0.0)
        return []

    def _happen(self) -> None:
        """Call what the calendar has for this moment, in the order in which it was entered."""
        calendar, now = self.calendar, self.now
        while calendar and calendar[0][0] <= now:
            _, _, call, one, other = heappop(calendar)
            try:
                call(one, other)
            except Exception as error:
                if self.failed is None:
                    raise
                self.failed({"message": f"exception in {call}", "exception": error})


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 1000 s, so that no time is mistaken for «never»."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        self._entered = 0
        super().__init__(self._jumping)
        self._jumping.failed = self.call_exception_handler

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now

    def enter(self, at: float, call: Callable[[Any, Any], None], one: Any, other: Any) -> None:
        """Call `call(one, other)` at a time, without a way to call it off."""
        self._entered += 1
        heappush(self._jumping.calendar, (at, self._entered, call, one, other))


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time to its end, as `asyncio.run` does in real time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
