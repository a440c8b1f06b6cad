"""Read buffers between the sockets and the data plane."""

import asyncio
from collections import Counter
from collections.abc import Iterator

from rovy.address.path import Direct
from rovy.io.base import Receiver
from rovy.io.fair import FairQueue

BUFFER = 65536
PASS = 1 << 19
"""Bytes of sessions' batches handled before the loop gets its turn."""
STRANGE_PASS = 8
"""Batches of strangers handled in that time, if no session's waits."""
STRANGE_BYTES = 16384
"""What a queue of strangers holds: some handshakes, not a standing flood."""
OVERHEAD = 256
"""Bytes a queued batch is counted more than its data, for the objects around it."""
STRANGERS = 16
"""Queues that all sources without a session share."""
Batch = tuple[Direct, bytearray, int, int]
"""Source, buffer, length, segment size."""


class Ingress:
    """Read buffers on their way to the data plane, in fair turns between sources.

    Paths of open sessions have a queue each and go first; all others share 16 short ones, with a
    few turns of their own, so that a flood from made-up addresses cannot starve an open session,
    nor busy sessions keep all strangers out.
    """

    def __init__(self) -> None:
        self._queue: FairQueue[int, Batch] = FairQueue(most=4 << 20, keys=4096)
        self._strange: FairQueue[int, Batch] = FairQueue(most=STRANGE_BYTES)
        self._pool: list[bytearray] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._receiver: Receiver | None = None
        self._scheduled = False
        self.counts: Counter[str] = Counter()

    def start(self, loop: asyncio.AbstractEventLoop, receiver: Receiver) -> None:
        """From now on, hand batches to this receiver."""
        self._loop, self._receiver = loop, receiver

    def stop(self) -> None:
        """Hand on nothing more."""
        self._receiver = None

    def buffer(self) -> bytearray:
        """A buffer of 64 KB to read into."""
        return self._pool.pop() if self._pool else bytearray(BUFFER)

    def give_back(self, buffer: bytearray) -> None:
        """A buffer is free again; up to 64 are kept."""
        if len(self._pool) < 64:
            self._pool.append(buffer)

    def put(self, source: Direct, buffer: bytearray, length: int, size: int) -> bool:
        """Queue a batch; False where its source has too much waiting. Short ones are copied."""
        known = self._receiver is not None and self._receiver.knows(source)
        if length < BUFFER // 4:
            self.give_back(buffer)
            buffer = bytearray(memoryview(buffer)[:length])
        batch, cost = (source, buffer, length, size), len(buffer) + OVERHEAD
        if known and self._queue.put(id(source), batch, cost):
            return True
        group = hash(source.remote.host) % STRANGERS
        if not known and self._strange.put(group, batch, cost):
            return True
        if len(buffer) == BUFFER:
            self.give_back(buffer)
        return False

    def run(self) -> None:
        """Handle some batches; the rest after the loop's other work, reading included."""
        for source, buffer, length, size in self._batches():
            if self._receiver is not None:
                self._receiver.receive(buffer, length, size, source)
            if len(buffer) == BUFFER:
                self.give_back(buffer)
        if (self._queue or self._strange) and not self._scheduled and self._loop:
            self._scheduled = True
            self._loop.call_soon(self._again)

    def _batches(self) -> Iterator[Batch]:
        """One of a stranger's, then the sessions', then, if these are done, more of strangers'."""
        turns = ((self._strange, 1), (self._queue, PASS), (self._strange, STRANGE_PASS))
        for queue, most in turns:
            while most > 0 and (taken := queue.take()):
                yield taken[1]
                most -= 1 if queue is self._strange else taken[1][2]
            if most <= 0 and queue is self._queue:
                return

    def _again(self) -> None:
        self._scheduled = False
        self.run()
