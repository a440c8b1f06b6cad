"""From what a node tells to what the API shows."""

from collections.abc import Mapping

from rovy.address.keys import PeerID, address_text
from rovy.address.path import Direct
from rovy.address.path import Path as NodePath
from rovy.api import schema
from rovy.api.control import KeptPeer
from rovy.node.events import PathInfo, SessionInfo, Stats


def route_text(path: NodePath | None) -> str:
    """Where a path leads: the remote endpoint, or the label."""
    return str(path.remote) if isinstance(path, Direct) else str(path or "")


def peers_view(kept: Mapping[PeerID, KeptPeer], sessions: list[SessionInfo]) -> list[schema.Peer]:
    """All peerings and all kept peers, by name and id."""
    found = {s.peer: s for s in sessions if s.slot or s.peer in kept}
    peers = [_peer(peer, kept.get(peer), found.get(peer)) for peer in {**kept, **found}]
    return sorted(peers, key=lambda peer: (not peer.name, peer.name, peer.peer_id))


def session_view(info: SessionInfo, name: str) -> schema.Session:
    """A session with its paths, the active one first."""
    paths = sorted(info.paths, key=lambda path: (not path.active, not path.warm))
    return schema.Session(
        id=info.id,
        peer_id=str(info.peer),
        name=name,
        state=info.state,
        age=info.age,
        key_age=info.key_age,
        initiator=info.initiator,
        kept=info.kept,
        slot=info.slot,
        their_slot=info.their_slot,
        packets_sent=info.packets_sent,
        packets_received=info.packets_received,
        bytes_sent=info.bytes_sent,
        bytes_received=info.bytes_received,
        paths=[_path(path) for path in paths],
    )


def counters_view(stats: Stats) -> dict[str, dict[str, int]]:
    """All counters by group."""
    return {
        "node": {
            "sessions": stats.sessions,
            "peerings": stats.peerings,
            "packets forwarded": stats.forwarded_packets,
            "bytes forwarded": stats.forwarded_bytes,
            **stats.node,
        },
        "underlay": dict(stats.underlay),
        "dropped": dict(stats.dropped),
        "handshakes refused": dict(stats.refused),
        "notices sent": dict(stats.notices_sent),
        "notices believed": dict(stats.notices_believed),
        "notices ignored": dict(stats.notices_ignored),
    }


def _peer(peer: PeerID, kept: KeptPeer | None, session: SessionInfo | None) -> schema.Peer:
    active = next((path for path in session.paths if path.active), None) if session else None
    return schema.Peer(
        peer_id=str(peer),
        address=address_text(peer.address),
        name=kept.name if kept else "",
        state=_state(session, active),
        kept=kept is not None,
        origin=kept.origin if kept else "inbound",
        targets=[str(target) for target in kept.targets] if kept else [],
        route=route_text(active.path) if active else "",
        rtt=active.rtt if active else None,
        slot=session.slot if session else 0,
        their_slot=session.their_slot if session else 0,
        bytes_sent=session.bytes_sent if session else 0,
        bytes_received=session.bytes_received if session else 0,
        age=session.age if session else None,
    )


def _state(session: SessionInfo | None, active: PathInfo | None) -> str:
    if session is None or session.key_age is None or active is None:
        return "connecting"
    return "up" if session.slot and session.their_slot else "session"


def _path(info: PathInfo) -> schema.Path:
    direct = isinstance(info.path, Direct)
    return schema.Path(
        route=route_text(info.path),
        local=info.path.local if isinstance(info.path, Direct) else "",
        direct=direct,
        valid=info.valid,
        active=info.active,
        warm=info.warm,
        suspect=info.suspect,
        rtt=info.rtt,
        loss=info.loss,
        mtu=info.mtu,
        packets_sent=info.packets_sent,
        packets_received=info.packets_received,
        bytes_sent=info.bytes_sent,
        bytes_received=info.bytes_received,
    )
