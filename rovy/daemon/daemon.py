"""One daemon: the node, what it remembers, and what can be asked of it from outside."""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from typing import Any, Final

from rovy.address.keys import PeerID, PrivateKey, address_text
from rovy.address.multiaddr import Multiaddr
from rovy.address.target import Target
from rovy.api.control import Changes, Firewall, KeptPeer
from rovy.config.settings import LISTEN, RELOADABLE, PeerSetting, Settings
from rovy.config.state import State
from rovy.daemon import logs, privileges
from rovy.daemon.book import PeerBook
from rovy.daemon.gate import Gate
from rovy.daemon.lan import Lan, Media
from rovy.daemon.notify import Notifier
from rovy.daemon.rulebook import RuleBook
from rovy.daemon.saver import Saver
from rovy.daemon.stamps import StampBound
from rovy.discovery.report import Report
from rovy.errors import Malformed
from rovy.fcnet.rules import Rule
from rovy.forwarder import SlotTable
from rovy.io.base import Underlay
from rovy.io.filtered import FilteredInterface
from rovy.io.nft_run import run
from rovy.io.tun import TunInterface
from rovy.node.config import NodeConfig
from rovy.node.node import Node

LAN_LINES: Final = {
    "on": "nodes there find this one, and it them: rovyctl discovery",
    "listen": "it finds nodes there, and is not announced: rovyctl discovery",
    "off": "it looks for no nodes there: discovery is off",
}
DHT_EVERY: Final = 300.0
"""Seconds between looks at what the DHT wants kept: it changes all the time."""
log = logging.getLogger(__name__)
Origin = Callable[[PeerSetting], str]


class Daemon:
    """Implements `rovy.api.control.Control`."""

    def __init__(
        self,
        settings: Settings,
        private: PrivateKey,
        state: State,
        *,
        read: Callable[[], Settings],
        config_file: str = "",
        origin: Origin = lambda entry: "config",
        notifier: Notifier | None = None,
        underlay: Underlay | None = None,
        media: Media | None = None,
    ) -> None:
        self.settings, self.config_file = settings, config_file
        self.started = time.monotonic()
        self._read, self._origin = read, origin
        self._notifier = notifier or Notifier("")
        slots = SlotTable()
        slots.load(dict(state.slots), time.time())
        self._stamps = StampBound(state.stamp_bound)
        self._gate = Gate(private.peer_id.address, settings.firewall, run, time.monotonic)
        self._tun = tun_of(settings, self._gate)
        self.node = Node(
            private,
            node_config(settings),
            underlay=underlay,
            slots=slots,
            stamp_bound=state.stamp_bound,
            sequence=state.sequence,
            dht_state=state.dht,
            interface=self._tun
            and FilteredInterface(self._tun, lambda: self._gate.filter, time.monotonic),
        )
        self._over = False
        self._dht: Mapping[str, Any] = state.dht
        self._dht_due = -inf
        self.book = PeerBook(self.node, state.peers)
        self.rules = RuleBook(self._gate, state.rules, settings.firewall_allow, self.book.find)
        self.lan = Lan(self.node, media)
        self.saver = Saver(settings.state_file, self._state)
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._stale: list[str] = []

    # Life

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the node. The first hello leaves after the bound on its stamp is on disk."""
        await self.saver.save()
        async with self.node:
            await self._keep(self.settings)
            self.lan.start(self.settings)
            works = [self.saver.run(), self._watch(), self._notifier.keep_alive()]
            works += [self._gate.watch()] if self._tun else []
            tasks = [asyncio.create_task(work) for work in works]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self.lan.close()
        self._gate.remove()
        self._over = True
        await self.saver.save()

    async def wait_stop(self) -> None:
        """Until somebody calls `stop`."""
        await self._stop.wait()

    def stop(self) -> None:
        """See `Control`."""
        self._stop.set()

    async def _watch(self) -> None:
        async for event in self.node.events():
            if event.kind in ("peering_up", "peering_down"):
                self.saver.nudge()
            self.lan.happened(event.kind)

    def _state(self) -> State:
        bound = self._stamps.final() if self._over else self._stamps.now()
        leases, added = self.node.slots.leases(), self.book.added
        dht = self._dht_state()
        return State(bound, leases, added, self.rules.added, self.node.sequence, dht)

    def _dht_state(self) -> Mapping[str, Any]:
        """As it was a while ago, so that the file is not written for every contact met."""
        now = asyncio.get_running_loop().time()
        if self._over or now >= self._dht_due:
            self._dht, self._dht_due = self.node.dht_state(), now + DHT_EVERY
        return self._dht

    # Peers

    def kept(self) -> Mapping[PeerID, KeptPeer]:
        """See `Control`."""
        return self.book.kept()

    def find(self, text: str) -> Target:
        """See `Control`."""
        return self.book.find(text)

    async def add_peer(self, address: str, name: str) -> tuple[KeptPeer, bool]:
        """See `Control`."""
        added = await self.book.add(address, name)
        await self.saver.save()
        return added

    async def remove_peer(self, text: str) -> tuple[PeerID, str]:
        """See `Control`."""
        removed = await self.book.remove(text)
        await self.saver.save()
        return removed

    # Firewall

    async def firewall(self) -> Firewall:
        """See `Control`."""
        if self._tun is None:
            return Firewall("", self.rules.all(), {})
        counters = await asyncio.to_thread(self._gate.counters)
        return Firewall(self._gate.kind, self.rules.all(), counters)

    async def allow(self, text: str) -> tuple[Rule, bool]:
        """See `Control`."""
        allowed = await self.rules.allow(text)
        await self.saver.save()
        return allowed

    async def disallow(self, text: str) -> tuple[Rule, str]:
        """See `Control`."""
        denied = await self.rules.deny(text)
        await self.saver.save()
        return denied

    async def _keep(self, settings: Settings) -> None:
        peers = ((self._origin(entry), entry) for entry in settings.peers)
        await self.book.configure(peers, settings.deny)

    # Settings

    async def reload(self) -> Changes:
        """See `Control`."""
        async with self._reloading:
            self._notifier.reloading()
            try:
                return await self._reload()
            finally:
                self._notifier.ready("running")

    async def reload_and_log(self) -> None:
        """What SIGHUP does."""
        try:
            await self.reload()
        except Malformed as error:
            log.error("nothing was reloaded: %s", error)

    async def _reload(self) -> Changes:
        fresh = await asyncio.to_thread(self._read)
        changed = self.settings.changed(fresh)
        applied = [name for name in changed if name in RELOADABLE]
        self._stale = [name for name in changed if name not in RELOADABLE]
        self.settings = replace(self.settings, **{name: getattr(fresh, name) for name in applied})
        logs.set_up(fresh.log_level, fresh.log_format)
        await self._keep(self.settings)
        await self.rules.configure(self.settings.firewall_allow)
        self.node.reconfigure(with_policy(self.node.config, self.settings))
        await self.lan.configure(self.settings)
        log.info("reloaded: %s", ", ".join(applied) or "nothing changed")
        if self._stale:
            log.warning("these take effect at the next start: %s", ", ".join(self._stale))
        return Changes(applied, self._stale)

    # Looking

    def user(self) -> str:
        """See `Control`."""
        return privileges.user()

    def capabilities(self) -> list[str]:
        """See `Control`."""
        return privileges.capabilities()

    def problems(self) -> list[str]:
        """See `Control`."""
        found = [self.saver.problem] if self.saver.problem else []
        if self._tun and self._tun.problem:
            found.append(f"interface {self._tun.name}: {self._tun.problem}")
        found += self.lan.report().problems
        if self._stale:
            found.append(f"settings that wait for a restart: {', '.join(self._stale)}")
        return found

    def discovery(self) -> Report:
        """See `Control`."""
        return self.lan.report()

    def _interface_line(self) -> str:
        if self._tun is None:
            return "reach nobody: the interface is off"
        if self._tun.problem:
            return f"reach nobody: {self._tun.problem}"
        return f"reach fc00::/8 over {self._tun.name}, closed to others by {self._gate.kind}"

    def lines(self) -> list[str]:
        """What a first run shows."""
        peer = self.node.peer_id
        return [
            f"PeerID   {peer}",
            f"Address  {address_text(peer.address)}",
            *(f"Listens  {Multiaddr.of(each.bound)}" for each in self.node.sockets),
            f"Programs {self._interface_line()}",
            f"LAN      {LAN_LINES[self.settings.discovery]}",
            f"Key      {self.settings.key_file}",
            f"Socket   {self.settings.socket}",
        ]


def tun_of(settings: Settings, gate: Gate) -> TunInterface | None:
    """The interface the settings ask for, guarded before it comes up."""
    if not settings.interface:
        return None
    return TunInterface(settings.interface_name, settings.interface_mtu, gate.close)


def node_config(settings: Settings) -> NodeConfig:
    """The node's part of the settings; peers are the book's."""
    endpoints = tuple(each.endpoint for each in settings.listen if each.endpoint)
    if settings.listen == LISTEN and not _has_ipv6():
        log.warning("this machine has no IPv6: listening on IPv4 alone")
        endpoints = tuple(each for each in endpoints if not each.is_v6)
    config = NodeConfig(
        listen=endpoints,
        port_tries=settings.port_tries,
        psks=(settings.network_key,),
        map_size=settings.map_size,
        anchors=settings.anchors,
        publish_addresses=settings.publish_addresses,
    )
    return with_policy(config, settings)


def with_policy(config: NodeConfig, settings: Settings) -> NodeConfig:
    """A configuration with what the settings say about other nodes."""
    return replace(
        config,
        accept_peers=settings.accept_peers,
        max_peers=settings.max_peers,
        allow=settings.allow,
        deny=settings.deny,
    )


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError as error:
        return error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
    return True
