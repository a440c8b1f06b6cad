"""Writes down what has to survive the process, whenever it changes."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rovy.config.state import State, save_state

EVERY: Final = 1.0
"""Seconds between looks."""
RETRY: Final = 5.0
"""Seconds after which a failed write is tried again."""
log = logging.getLogger(__name__)


class Saver:
    """Keeps one state file up to date. A full disk does not stop the node, only this."""

    def __init__(self, path: Path, current: Callable[[], State]) -> None:
        self._path, self._current = path, current
        self._written: State | None = None
        self._nudge = asyncio.Event()
        self._writing = asyncio.Lock()
        self.problem = ""
        """Why the state cannot be written, or empty."""

    def nudge(self) -> None:
        """Something changed: look at once."""
        self._nudge.set()

    async def run(self) -> None:
        """Look and write until cancelled."""
        while True:
            try:
                async with asyncio.timeout(RETRY if self.problem else EVERY):
                    await self._nudge.wait()
            except TimeoutError:
                pass
            self._nudge.clear()
            await self.save()

    async def save(self) -> bool:
        """Write if there is something new; False where that failed, which is logged once."""
        async with self._writing:
            state = self._current()
            if state == self._written:
                return True
            try:
                await asyncio.to_thread(save_state, self._path, state)
            except OSError as error:
                self._failed(error)
                return False
            self._written = state
            if self.problem:
                log.warning("%s is written again", self._path)
                self.problem = ""
            return True

    def _failed(self, error: OSError) -> None:
        problem = (
            f"{self._path} cannot be written: {error.strerror}; free space or mend its"
            " permissions, else slots and added peers are lost at a restart"
        )
        if problem != self.problem:
            log.warning("%s; trying again every %g s", problem, RETRY)
        self.problem = problem
