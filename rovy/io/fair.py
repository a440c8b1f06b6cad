"""Deficit round robin over bounded queues (Shreedhar and Varghese, 1995).

One flooding neighbour fills its own queue and no other's.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
QUANTUM = 65536
"""Bytes a queue may give in its turn."""


class FairQueue(Generic[K, V]):
    """Items by key, taken in turn by size; each key holds at most `most` bytes.

    A full queue drops what comes last. At most `keys` keys are queued at a time.
    """

    def __init__(self, most: int = 1 << 20, keys: int = 1024) -> None:
        self._most, self._keys = most, keys
        self._queues: OrderedDict[K, deque[tuple[V, int]]] = OrderedDict()
        self._bytes: dict[K, int] = {}
        self._deficit: dict[K, int] = {}

    def put(self, key: K, item: V, size: int) -> bool:
        """Queue an item; False where it was dropped."""
        queue = self._queues.get(key)
        if queue is None:
            if len(self._queues) >= self._keys or size > self._most:
                return False
            queue = self._queues[key] = deque()
            self._bytes[key] = self._deficit[key] = 0
        if self._bytes[key] + size > self._most:
            return False
        queue.append((item, size))
        self._bytes[key] += size
        return True

    def take(self) -> tuple[K, V] | None:
        """The next item; None where nothing is queued."""
        while self._queues:
            key = next(iter(self._queues))
            queue = self._queues[key]
            size = queue[0][1]
            if self._deficit[key] < size:
                self._deficit[key] += QUANTUM
                self._queues.move_to_end(key)
                continue
            item, _ = queue.popleft()
            self._deficit[key] -= size
            self._bytes[key] -= size
            if not queue:
                del self._queues[key], self._bytes[key], self._deficit[key]
            return key, item
        return None

    def put_back(self, key: K, item: V, size: int) -> None:
        """Queue the rest of an item that was just taken, before all others of its key."""
        queue = self._queues.setdefault(key, deque())
        queue.appendleft((item, size))
        self._bytes[key] = self._bytes.get(key, 0) + size
        self._deficit[key] = self._deficit.get(key, 0) + size

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def __bool__(self) -> bool:
        return bool(self._queues)
