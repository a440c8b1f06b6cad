"""The peers a daemon keeps: those of the configuration and those added while it runs."""

import logging
from collections.abc import Iterable, Mapping

from rovy.address.keys import PeerID
from rovy.address.target import NodeAddress, Target, parse_target
from rovy.api.control import Conflict, KeptPeer, NotFound
from rovy.config.settings import PeerSetting, check_name
from rovy.config.values import read_peer
from rovy.errors import Malformed, UsageError
from rovy.node.node import Node

ADDED = "added"
SHORTENED = "…"
MOST = 3839
log = logging.getLogger(__name__)


class PeerBook:
    """Who is kept, and where that was said. Keeps the node in step."""

    def __init__(self, node: Node, added: Iterable[PeerSetting]) -> None:
        self._node = node
        self._configured: tuple[tuple[str, PeerSetting], ...] = ()
        self._denied: frozenset[PeerID] = frozenset()
        self.added: tuple[PeerSetting, ...] = tuple(added)
        """To be written down."""
        self._kept: dict[PeerID, KeptPeer] = {}

    def kept(self) -> Mapping[PeerID, KeptPeer]:
        """All kept peers."""
        return self._kept

    async def configure(
        self, peers: Iterable[tuple[str, PeerSetting]], denied: frozenset[PeerID]
    ) -> None:
        """Keep these, each with its origin, and those added; nobody else, and none denied."""
        self._configured, self._denied = tuple(peers), denied
        await self._apply()

    async def add(self, address: str, name: str) -> tuple[KeptPeer, bool]:
        """Keep one more peer, or one at one more address."""
        entry = read_peer(address, name)
        if entry.peer == self._node.peer_id:
            raise UsageError("that is this node itself")
        self._check_new(entry)
        new = entry.peer not in self._kept
        renamed = (
            PeerSetting(e.address, name or e.name) if e.peer == entry.peer else e
            for e in self.added
        )
        self.added = tuple(dict.fromkeys([*renamed, self._named(entry)]))
        await self._apply()
        return self._kept[entry.peer], new

    async def remove(self, text: str) -> tuple[PeerID, str]:
        """Keep a peer no longer; the configuration brings one of its own back."""
        peer = self._id_of(self.find(text))
        if peer not in self._kept:
            raise NotFound(f"{text} is not among the kept peers")
        origins = {origin for origin, entry in self._configured if entry.peer == peer}
        self.added = tuple(entry for entry in self.added if entry.peer != peer)
        self._configured = tuple(pair for pair in self._configured if pair[1].peer != peer)
        await self._apply()
        if not origins:
            return peer, ""
        return peer, f"it comes back at the next start or reload: named by {' and '.join(origins)}"

    def find(self, text: str) -> Target:
        """What a name, a shortened id, or any other destination means."""
        text = text.strip()
        for kept in self._kept.values():
            if kept.name == text:
                return kept.peer
        if SHORTENED in text or "..." in text:
            return self._unshortened(text.replace("...", SHORTENED))
        target = _parse(text)
        if isinstance(target, NodeAddress):
            known = (peer for peer in self._kept if peer.address == target.packed)
            return next(known, target)
        return target

    def _unshortened(self, text: str) -> PeerID:
        start, _, end = text.removeprefix("/rovy/").partition(SHORTENED)
        sessions = {session.peer for session in self._node.sessions()}
        for known in (self._kept, sessions, {node.peer for node in self._node.map_nodes()}):
            found = [p for p in known if str(p).startswith(start) and str(p).endswith(end)]
            if len(found) > 1:
                raise Malformed(f"{len(found)} peers have the id {text}: give more of it")
            if found:
                return found[0]
        raise NotFound(f"no peer here has the id {text}")

    def _id_of(self, target: Target) -> PeerID:
        if isinstance(target, PeerID):
            return target
        peer = getattr(target, "peer", None)
        if isinstance(peer, PeerID):
            return peer
        raise NotFound(f"{target} is not among the kept peers")

    def _check_new(self, entry: PeerSetting) -> None:
        if entry.peer in self._denied:
            raise Conflict("the configuration denies that peer: take it out of deny and reload")
        if len(self._kept) >= MOST and entry.peer not in self._kept:
            raise Conflict(f"{MOST} peers are kept: remove one")
        for kept in self._kept.values():
            if entry.name and kept.name == entry.name and kept.peer != entry.peer:
                raise Conflict(f"another peer is named {entry.name}: choose another name")

    def _named(self, entry: PeerSetting) -> PeerSetting:
        kept = self._kept.get(entry.peer)
        return entry if entry.name or not kept else PeerSetting(entry.address, kept.name)

    async def _apply(self) -> None:
        """Make the node keep exactly the wanted peers."""
        wanted = self._wanted()
        for peer, kept in list(self._kept.items()):
            target = wanted.get(peer)
            if target is None or not set(kept.targets) <= set(target.targets):
                del self._kept[peer]
                await self._node.forget(peer)
        for peer, kept in wanted.items():
            former = self._kept.get(peer)
            for target_address in kept.targets:
                if former is None or target_address not in former.targets:
                    self._node.keep(target_address, name=kept.name)
            self._kept[peer] = kept

    def _wanted(self) -> dict[PeerID, KeptPeer]:
        wanted: dict[PeerID, KeptPeer] = {}
        for origin, entry in (*self._configured, *((ADDED, entry) for entry in self.added)):
            if entry.peer == self._node.peer_id:
                log.warning("peer %s is this node itself: left out", entry.address)
                continue
            if entry.peer in self._denied:
                log.warning("peer %s is denied: left out", entry.address)
                continue
            kept = wanted.get(entry.peer) or KeptPeer(entry.peer, "", (), origin)
            targets = tuple(dict.fromkeys((*kept.targets, entry.address)))
            wanted[entry.peer] = KeptPeer(entry.peer, entry.name or kept.name, targets, kept.origin)
        return wanted


def _parse(text: str) -> Target:
    try:
        return parse_target(text)
    except Malformed as error:
        try:
            check_name(text)
        except Malformed:
            raise error from None
        raise NotFound(f"no peer is named {text}, and it is no peer id or address") from None
