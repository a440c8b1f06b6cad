"""What has to hold whatever comes in."""

import gc
import tracemalloc
from collections.abc import Callable

from rovy.dataplane.types import Handshake, NoticeReceived, Output, PacketHeld, Received

MEGABYTE = 1 << 20
OUTCOMES = (Handshake, NoticeReceived, Received)


class Broken(AssertionError):
    """A promise was broken; the text says which."""


def promise(kept: bool, text: str) -> None:
    """Raise `Broken` unless kept."""
    if not kept:
        raise Broken(text)


def settled(plane) -> int:
    """Datagrams that were dropped or switched so far."""
    return sum(plane.drops().values()) + plane.forwarded()[0]


def received(plane, call: Callable[..., Output], buffer, length, size, source, now) -> Output:
    """Hand a batch in and see that each of its datagrams had exactly one outcome."""
    count = -(-length // size)
    before = settled(plane)
    out = call(buffer, length, size, source, now)
    passed = sum(isinstance(event, OUTCOMES) for event in out.events) + len(out.packets)
    done = settled(plane) - before + passed
    promise(done == count, f"{count} datagrams of {size} bytes had {done} outcomes")
    return out


def transmitted(plane, call: Callable[..., Output], packets, now) -> Output:
    """Hand IPv6 packets out and see that each had exactly one outcome."""
    before = sum(plane.drops().values())
    out = call(packets, now)
    left = sum(-(-len(run.data) // run.size) for run in out.runs)
    held = sum(isinstance(event, PacketHeld) for event in out.events)
    done = sum(plane.drops().values()) - before + left + held
    promise(done == len(packets), f"{len(packets)} packets had {done} outcomes")
    return out


class Meter:
    """Growth of memory over a round, where it is measured: that costs time."""

    def __init__(self, measured: bool) -> None:
        self.measured = measured
        self.grown = 0
        """Bytes more than at `start`."""
        self.left = 0
        """Bytes that outlived the round."""

    def start(self) -> None:
        """What is attacked stands."""
        if self.measured:
            gc.collect()
            tracemalloc.start()

    def stop(self, bound: int) -> None:
        """The attack is over: has it made more than `bound` bytes stay?"""
        if self.measured:
            gc.collect()
            self.grown = tracemalloc.get_traced_memory()[0]
            promise(self.grown <= bound, f"memory grew by {self.grown} bytes, more than {bound}")

    def end(self, bound: int) -> None:
        """What was attacked is gone."""
        if self.measured:
            gc.collect()
            self.left = tracemalloc.get_traced_memory()[0]
            self.abandon()
            promise(self.left <= bound, f"{self.left} bytes outlived the round")

    def abandon(self) -> None:
        """Measure no more."""
        tracemalloc.stop()
