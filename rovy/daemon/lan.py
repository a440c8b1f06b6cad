"""Discovery on the local network as a part of the daemon."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rovy.config.settings import Settings
from rovy.discovery.discovery import Discovery, DiscoveryConfig
from rovy.discovery.interface import Interface
from rovy.discovery.medium import Opener
from rovy.discovery.report import Report
from rovy.node.node import Node

SPEAKS_OF: Final = {"session_established", "session_closed", "peering_up", "peering_down"}
"""Events of the node after which discovery looks again."""


@dataclass(frozen=True, slots=True)
class Media:
    """The local networks of this machine."""

    opener: Opener
    interfaces: Callable[[], list[Interface]]
    random: Callable[[int], bytes]


class Lan:
    """Runs discovery beside a node; without media it is off, whatever the settings say."""

    def __init__(self, node: Node, media: Media | None) -> None:
        self._node, self._media = node, media
        self._discovery: Discovery | None = None

    def start(self, settings: Settings) -> None:
        """The node runs."""
        if self._media is None:
            return
        node = self._node
        self._discovery = Discovery(
            node.peer_id,
            node.neighbours,
            self._media.opener,
            self._media.interfaces,
            lambda: [each.bound for each in node.sockets],
            self._media.random,
            _config(settings),
        )
        node.neighbours.on_addresses = self._discovery.interfaces_changed
        self._discovery.start()

    async def configure(self, settings: Settings) -> None:
        """Other settings from now on."""
        if self._discovery and self._discovery.config != _config(settings):
            await self._discovery.configure(_config(settings))

    def happened(self, kind: str) -> None:
        """The node told of something."""
        if self._discovery and kind in SPEAKS_OF:
            self._discovery.nudge()

    def report(self) -> Report:
        """How it does."""
        return self._discovery.report() if self._discovery else Report("off", 0)

    async def close(self) -> None:
        """The node is about to stop."""
        if self._discovery:
            await self._discovery.close()


def _config(settings: Settings) -> DiscoveryConfig:
    return DiscoveryConfig(
        settings.discovery,
        settings.lan_peers,
        settings.discovery_interfaces,
        settings.interface_name if settings.interface else "",
    )
