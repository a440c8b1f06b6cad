"""From what a node tells to what the API shows."""

from collections.abc import Collection, Mapping

from msgspec import convert

from rovy.address.keys import PeerID, address_text
from rovy.address.path import Direct
from rovy.address.path import Path as NodePath
from rovy.api import schema
from rovy.api.control import Firewall, KeptPeer
from rovy.discovery.report import NodeReport, Report
from rovy.io.base import Interface
from rovy.node.events import (
    DhtInfo,
    MapInfo,
    MapNode,
    PathInfo,
    RouteInfo,
    SessionInfo,
    Stats,
    Traced,
    TracedHop,
)

Kept = Mapping[PeerID, KeptPeer]


def route_text(path: NodePath | None) -> str:
    """Where a path leads: the remote endpoint, or the label."""
    return str(path.remote) if isinstance(path, Direct) else str(path or "")


def peers_view(
    kept: Mapping[PeerID, KeptPeer],
    sessions: list[SessionInfo],
    wanted: Collection[PeerID] = (),
) -> list[schema.Peer]:
    """All peerings and all kept peers, by name and id. `wanted`: by discovery."""
    found = {s.peer: s for s in sessions if s.slot or s.peer in kept}
    peers = [
        _peer(peer, kept.get(peer), found.get(peer), "lan" if peer in wanted else "inbound")
        for peer in {**kept, **found}
    ]
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


def counters_view(stats: Stats, dht: DhtInfo) -> dict[str, dict[str, int]]:
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
        "interface": dict(stats.interface),
        "routing": dict(stats.routing),
        "dht": {
            "lookups": dht.lookups,
            "lookups found": dht.found,
            "requests sent": dht.requests,
            "requests unanswered": dht.unanswered,
            **{f"{kind} answered": count for kind, count in dht.answered.items()},
        },
        "dropped": dict(stats.dropped),
        "handshakes refused": dict(stats.refused),
        "notices sent": dict(stats.notices_sent),
        "notices believed": dict(stats.notices_believed),
        "notices ignored": dict(stats.notices_ignored),
    }


def name_of(kept: Kept, peer: PeerID | None) -> str:
    """The name of a kept peer, or empty."""
    return kept[peer].name if peer and peer in kept else ""


def interface_view(interface: Interface | None, mtu: int) -> schema.Interface:
    """How programs of the machine reach the network."""
    if interface is None:
        return schema.Interface("", "off", "", 0)
    state = "down" if interface.problem else "up"
    return schema.Interface(interface.name, state, interface.problem, mtu)


def route_view(kept: Kept, info: RouteInfo) -> schema.Route:
    """A way to a node, with names."""
    slots = info.label.slots if info.label else (0,)
    return schema.Route(
        peer_id=str(info.peer),
        address=address_text(info.peer.address),
        name=name_of(kept, info.peer),
        label=str(info.label or ""),
        hops=[
            schema.Hop(str(peer or ""), name_of(kept, peer), slot)
            for peer, slot in zip(info.hops, slots, strict=True)
        ],
        via=info.via,
        state=info.state,
        cost=info.cost,
        rtt=info.rtt,
        mtu=info.mtu,
        age=info.age,
        why=info.why,
        packets_sent=info.packets_sent,
        packets_received=info.packets_received,
        bytes_sent=info.bytes_sent,
        bytes_received=info.bytes_received,
    )


def map_view(kept: Kept, info: MapInfo, nodes: list[MapNode]) -> schema.Map:
    """All nodes that are known."""
    known = [
        schema.MapNode(
            peer_id=str(node.peer),
            address=address_text(node.peer.address),
            name=name_of(kept, node.peer),
            cost=node.cost,
            hops=node.hops,
            links=[
                schema.MapLink(
                    str(link.peer), name_of(kept, link.peer), link.slot, link.cost, link.mtu
                )
                for link in node.links
            ],
        )
        for node in nodes
    ]
    return schema.Map(known, info.links, info.records, info.waiting, info.radius)


def traced_view(kept: Kept, traced: Traced) -> schema.Traced:
    """A route that was followed."""
    last = traced.hops[-1].peer if traced.hops else traced.peer
    return schema.Traced(
        peer_id=str(traced.peer or ""),
        address=_address(traced.peer),
        name=name_of(kept, traced.peer),
        label=str(traced.label or ""),
        reached=last is not None and last == traced.peer,
        hops=[_traced_hop(kept, hop) for hop in traced.hops],
    )


def firewall_view(kept: Kept, firewall: Firewall) -> schema.Firewall:
    """What others may begin."""
    rules = [
        schema.FirewallRule(str(each.rule), name_of(kept, each.rule.peer), each.origin)
        for each in firewall.rules
    ]
    return schema.Firewall(firewall.kind, rules, firewall.counters)


def discovery_view(kept: Kept, report: Report) -> schema.Discovery:
    """What was found on the local network."""
    return schema.Discovery(
        mode=report.mode,
        lan_peers=report.lan_peers,
        interfaces=[
            convert(each, schema.LanInterface, from_attributes=True) for each in report.interfaces
        ],
        nodes=[_lan_node(kept, node) for node in report.nodes],
        counters=dict(report.counts or {}),
        problems=report.problems,
    )


def _lan_node(kept: Kept, node: NodeReport) -> schema.LanNode:
    return schema.LanNode(
        peer_id=str(node.peer),
        address=address_text(node.peer.address),
        name=name_of(kept, node.peer),
        state=node.state,
        wanted=node.wanted,
        interfaces=list(node.interfaces),
        endpoints=[str(each) for each in node.endpoints],
        rtt=node.rtt,
        heard=node.heard,
        attempts=node.attempts,
        failures=node.failures,
        again=node.again,
    )


def _traced_hop(kept: Kept, hop: TracedHop) -> schema.TracedHop:
    return schema.TracedHop(
        peer_id=str(hop.peer or ""),
        address=_address(hop.peer),
        name=name_of(kept, hop.peer),
        expected=str(hop.expected or ""),
        rtts=list(hop.rtts),
    )


def _address(peer: PeerID | None) -> str:
    return address_text(peer.address) if peer else ""


def _peer(
    peer: PeerID, kept: KeptPeer | None, session: SessionInfo | None, origin: str
) -> schema.Peer:
    active = next((path for path in session.paths if path.active), None) if session else None
    return schema.Peer(
        peer_id=str(peer),
        address=address_text(peer.address),
        name=kept.name if kept else "",
        state=_state(session, active),
        kept=kept is not None,
        origin=kept.origin if kept else origin,
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
