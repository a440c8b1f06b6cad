"""The firewall of the interface: nftables, or the node's own filter where that cannot be had."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from rovy.errors import UsageError
from rovy.fcnet.filter import Filter
from rovy.fcnet.nft import Nft, Run
from rovy.fcnet.rules import Rule, Rules
from rovy.io.interfaces import NFTABLES as NFTABLES_CHANGES
from rovy.io.interfaces import Watcher

AUTO, NFTABLES, FILTER, OFF = MODES = ("auto", "nftables", "filter", "off")
log = logging.getLogger(__name__)


class Gate:
    """Closes an interface before it comes up, and opens what the rules allow."""

    def __init__(
        self,
        address: bytes,
        mode: str,
        run: Run,
        now: Callable[[], float],
    ) -> None:
        self._address, self._mode, self._run, self._now = address, mode, run, now
        self._nft: Nft | None = None
        self.rules = Rules()
        """In force; changed by `replace` alone."""
        self.filter: Filter | None = None
        """What the packets have to pass inside this process."""

    @property
    def kind(self) -> str:
        """What guards the interface now: nftables, filter, or off; empty before it is there."""
        if self.filter:
            return FILTER
        return NFTABLES if self._nft else OFF if self._mode == OFF else ""

    def close(self, interface: str) -> None:
        """Guard an interface that is about to come up, or has a new name.

        Raises `UsageError` where nftables alone will do and cannot be had.
        """
        if self._mode == OFF:
            return
        if self._mode == FILTER:
            self._use_filter("as it is configured")
            return
        self.remove()
        nft = Nft(interface, self._address, self._run)
        try:
            nft.install(self.rules)
        except UsageError as error:
            if self._mode == NFTABLES:
                raise
            self._use_filter(str(error))
        else:
            self._nft, self.filter = nft, None

    async def replace(self, rules: Iterable[Rule]) -> None:
        """Put other rules in force. Raises `UsageError`, and then nothing has changed."""
        fresh = Rules(rules)
        if self._nft:
            await asyncio.to_thread(self._nft.replace_rules, fresh)
        self.rules = fresh
        if self.filter:
            self.filter.use(fresh)

    async def watch(self) -> None:
        """Put the table back whenever somebody takes it away, until cancelled."""
        changed = asyncio.Event()
        watcher = Watcher(asyncio.get_running_loop(), changed.set, source=NFTABLES_CHANGES)
        try:
            while True:
                await changed.wait()
                changed.clear()
                await self._restore()
        finally:
            watcher.close()

    async def _restore(self) -> None:
        nft = self._nft
        try:
            if nft and not await asyncio.to_thread(nft.installed) and nft is self._nft:
                log.warning("somebody took the table %s away: it is made again", nft.table)
                await asyncio.to_thread(nft.install, self.rules)
        except UsageError as error:
            log.error("%s", error)

    def counters(self) -> dict[str, int]:
        """Packets by what became of them; blocks for some milliseconds."""
        if self.filter:
            return self.filter.counters()
        try:
            return self._nft.counters() if self._nft else {}
        except UsageError:
            return {}

    def remove(self) -> None:
        """Leave nothing behind."""
        nft, self._nft = self._nft, None
        if nft:
            try:
                nft.remove()
            except UsageError as error:
                log.warning("the table %s is left: %s", nft.table, error)

    def _use_filter(self, why: str) -> None:
        if self.filter is None:
            log.info("the firewall is the node's own filter: %s", why)
            self.filter = Filter(self.rules, self._now())
