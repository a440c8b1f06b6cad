"""Counters and measurements for Prometheus, in its text format. docs/api.md

Names follow its conventions: base units, `_total` for what only rises, one metric a quantity, so
that sums over its labels make sense. Only peers have metrics of their own: sessions with others
come and go by the thousand, and each would be a series.
"""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from rovy import __version__
from rovy.api import schema
from rovy.api.control import Control
from rovy.api.views import peers_view, session_view
from rovy.dataplane.types import Drop
from rovy.node.events import AnchorInfo, DhtInfo, Stats

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
PEER: Final = ("peer_id", "name")
PATH: Final = (*PEER, "route", "local")
STATES: Final = ("up", "session", "connecting")
ANCHOR_STATES: Final = ("seated", "candidate", "self")
_TRAFFIC: Final = (("packets", "Packets"), ("bytes", "Bytes"))
_WAYS: Final = ("sent", "received")
_MEASURES: Final = {
    "rtt_seconds": "Round trip, smoothed.",
    "loss_ratio": "Share of probes without an answer.",
    "mtu_bytes": "Largest datagram.",
    "valid": "1 where the peer has answered on the path.",
    "active": "1 for the path that carries the data.",
}
Key = tuple[str, ...]


def exposition(control: Control) -> bytes:
    """All metrics of a daemon as they are now."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_NodeCollector(control))
    return generate_latest(registry)


class _NodeCollector(Collector):
    def __init__(self, control: Control) -> None:
        self._control = control

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        node, kept = self._control.node, self._control.kept()
        build = GaugeMetricFamily(
            "rovy_build_info", "What runs.", labels=("version", "python", "data_plane")
        )
        build.add_metric((__version__, platform.python_version(), node.data_plane), 1)
        yield build
        yield from _node(node.stats())
        yield from _dht(node.dht_info())
        sessions = node.sessions()
        peers = peers_view(kept, sessions)
        yield from _peers(peers)
        named = {peer.peer_id: peer.name for peer in peers}
        views = (session_view(each, named.get(str(each.peer), "")) for each in sessions)
        yield from _paths([view for view in views if view.peer_id in named])


def _node(stats: Stats) -> Iterator[Metric]:
    yield GaugeMetricFamily("rovy_sessions", "Open sessions.", stats.sessions)
    yield GaugeMetricFamily("rovy_peerings", "Peerings.", stats.peerings)
    packets, size = stats.forwarded_packets, stats.forwarded_bytes
    yield CounterMetricFamily("rovy_forwarded_packets", "Packets forwarded for others.", packets)
    yield CounterMetricFamily("rovy_forwarded_bytes", "Bytes forwarded for others.", size)
    dropped: dict[str, int] = {**dict.fromkeys(Drop, 0), **stats.dropped}
    yield _counts("rovy_dropped_packets", "Packets dropped by the data plane.", "reason", dropped)
    text = "Handshakes turned away."
    yield _counts("rovy_refused_handshakes", text, "reason", stats.refused)
    yield _counts("rovy_sent_notices", "Notices sent.", "kind", stats.notices_sent)
    yield _counts("rovy_believed_notices", "Notices believed.", "kind", stats.notices_believed)
    yield _counts("rovy_ignored_notices", "Notices not believed.", "reason", stats.notices_ignored)
    yield _counts("rovy_node_events", "Whatever else the node counts.", "event", stats.node)
    text = "What became of link records and messages about them."
    yield _counts("rovy_routing_events", text, "event", stats.routing)
    yield from _through("socket", "the UDP sockets", _WAYS, stats.underlay)
    yield from _through("interface", "the TUN interface", ("read", "written"), stats.interface)


def _dht(info: DhtInfo) -> Iterator[Metric]:
    size = GaugeMetricFamily("rovy_network_nodes", "Nodes in the network.", labels=())
    _add(size, (), info.size)
    yield size
    text = "1 where they are counted, as all are in the map; 0 where they are estimated."
    yield GaugeMetricFamily("rovy_network_nodes_exact", text, info.exact)
    yield _anchors(info.anchors)
    text = "1 where the node has found its place among the others."
    yield GaugeMetricFamily("rovy_dht_joined", text, info.joined)
    yield GaugeMetricFamily("rovy_dht_contacts", "Nodes that answered lately.", info.contacts)
    yield GaugeMetricFamily("rovy_dht_buckets", "Buckets they are in.", info.buckets)
    values = GaugeMetricFamily("rovy_dht_values", "Values kept for others.", labels=("kind",))
    for kind, count in info.values.items():
        values.add_metric((kind,), count)
    yield values
    yield GaugeMetricFamily("rovy_dht_published_values", "Own values.", info.published)
    yield CounterMetricFamily("rovy_dht_lookups", "Lookups begun.", info.lookups)
    text = "Those that found what they looked for."
    yield CounterMetricFamily("rovy_dht_found_lookups", text, info.found)
    yield CounterMetricFamily("rovy_dht_requests", "Requests sent.", info.requests)
    text = "Those that stayed without an answer."
    yield CounterMetricFamily("rovy_dht_unanswered_requests", text, info.unanswered)
    text = "Requests of others that were answered."
    yield _counts("rovy_dht_answered_requests", text, "type", info.answered)


def _anchors(anchors: Iterable[AnchorInfo]) -> Metric:
    family = GaugeMetricFamily("rovy_anchors", "Anchors there is a way to.", labels=("state",))
    found = Counter(anchor.state for anchor in anchors)
    for state in ANCHOR_STATES:
        family.add_metric((state,), found[state])
    return family


def _through(
    name: str, where: str, ways: tuple[str, str], counters: Mapping[str, int]
) -> Iterator[Metric]:
    """Traffic by direction; the rest of the counters are errors, drops and the like."""
    rest = dict(counters)
    for unit, text in _TRAFFIC:
        counts = {way: rest.pop(f"{unit}_{way}", 0) for way in ways}
        yield _counts(f"rovy_{name}_{unit}", f"{text} through {where}.", "direction", counts)
    yield _counts(f"rovy_{name}_events", f"Drops and errors at {where}, and more.", "event", rest)


def _peers(peers: list[schema.Peer]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "rovy_peer_state", "1 for the state a peer is in.", labels=(*PEER, "state")
    )
    rtt = GaugeMetricFamily(
        "rovy_peer_rtt_seconds", "Round trip on the path in use, smoothed.", labels=PEER
    )
    age = GaugeMetricFamily(
        "rovy_peer_session_age_seconds", "Time since the peer's session was opened.", labels=PEER
    )
    for peer in peers:
        key = (peer.peer_id, peer.name)
        for each in STATES:
            state.add_metric((*key, each), each == peer.state)
        _add(rtt, key, peer.rtt)
        _add(age, key, peer.age)
    yield from (state, rtt, age)


def _paths(sessions: list[schema.Session]) -> Iterator[Metric]:
    """Of sessions with peers: traffic by peer, and measurements and traffic by path."""
    of_peer: dict[Key, schema.Session] = {(each.peer_id, each.name): each for each in sessions}
    of_path: dict[Key, schema.Path] = {
        (*key, path.route, path.local): path
        for key, session in of_peer.items()
        for path in reversed(session.paths)  # the active one is first: of twins it stays
    }
    for unit, text in _TRAFFIC:
        for way in _WAYS:
            of_session = CounterMetricFamily(
                f"rovy_peer_{way}_{unit}", f"{text} {way} in the session.", labels=PEER
            )
            for key, session in of_peer.items():
                of_session.add_metric(key, getattr(session, f"{unit}_{way}"))
            yield of_session
            on_path = CounterMetricFamily(
                f"rovy_path_{way}_{unit}", f"{text} {way} on the path.", labels=PATH
            )
            for key, path in of_path.items():
                on_path.add_metric(key, getattr(path, f"{unit}_{way}"))
            yield on_path
    for name, text in _MEASURES.items():
        family = GaugeMetricFamily(f"rovy_path_{name}", text, labels=PATH)
        for key, path in of_path.items():
            _add(family, key, getattr(path, name.partition("_")[0]))
        yield family


def _add(family: GaugeMetricFamily, key: Key, value: float | None) -> None:
    """What was not measured yet has no sample."""
    if value is not None:
        family.add_metric(key, value)


def _counts(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for key, count in counts.items():
        family.add_metric((str(key),), count)
    return family
