"""What Prometheus reads: complete, in its conventions, and parsed by its own parser."""

import dataclasses
import re
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from rovy.api.metrics import exposition
from rovy.dataplane.types import Drop
from rovy.node.events import Stats
from tests.unit.api.fakes import DHT, STATS, A, B, FakeControl, FakeNode, kept

DOCS = Path(__file__).resolve().parents[3] / "docs" / "api.md"
UNITS = ("seconds", "bytes", "ratio", "packets", "handshakes", "notices", "events", "requests")
"""What a name may end with, `_total` left out: base units, and nouns of what is counted."""
PLAIN = {"rovy_build_info", "rovy_sessions", "rovy_peerings", "rovy_peer_state"}
PLAIN |= {"rovy_network_nodes", "rovy_network_nodes_exact", "rovy_anchors"}
PLAIN |= {"rovy_dht_joined", "rovy_dht_contacts", "rovy_dht_buckets", "rovy_dht_values"}
PLAIN |= {"rovy_dht_published_values", "rovy_dht_lookups", "rovy_dht_found_lookups"}
PLAIN |= {"rovy_path_valid", "rovy_path_active", "process_open_fds", "process_max_fds"}


def families(control: FakeControl | None = None) -> dict[str, Metric]:
    text = exposition(control or FakeControl(peers={A: kept(A, "laptop")})).decode()
    found = list(text_string_to_metric_families(text))
    assert len({metric.name for metric in found}) == len(found)
    return {metric.name: metric for metric in found}


@pytest.fixture(scope="module")
def metrics() -> dict[str, Metric]:
    return families()


def values(metric: Metric, label: str) -> dict[str, float]:
    return {sample.labels[label]: sample.value for sample in metric.samples}


def test_names_follow_the_conventions(metrics):
    for metric in metrics.values():
        assert re.fullmatch(r"(rovy|process)(_[a-z0-9]+)+", metric.name)
        assert metric.name in PLAIN or metric.name.endswith(UNITS), metric.name
        assert metric.type in ("counter", "gauge")
        assert metric.documentation.endswith(".")
        for sample in metric.samples:
            assert sample.name == metric.name + "_total" * (metric.type == "counter")
            assert all(re.fullmatch("[a-z_]+", label) for label in sample.labels)


def test_no_series_twice(metrics):
    series = [
        (s.name, *sorted(s.labels.items())) for metric in metrics.values() for s in metric.samples
    ]
    assert len(set(series)) == len(series)


def test_every_drop_has_a_series_before_it_happens(metrics):
    dropped = values(metrics["rovy_dropped_packets"], "reason")
    assert set(dropped) >= {*Drop}
    assert (dropped["replay"], dropped["u_turn"]) == (3, 0)


def test_every_counter_of_the_node_is_there():
    """A new field of `Stats` needs a metric, too."""
    numbers = iter(range(1_000_001, 1_000_999))
    counted = {}
    for field in dataclasses.fields(Stats):
        of_dict = isinstance(getattr(STATS, field.name), dict)
        counted[field.name] = {"packets_sent": next(numbers)} if of_dict else next(numbers)
    control = FakeControl(node=FakeNode(counted=Stats(**counted)))
    shown = {s.value for metric in families(control).values() for s in metric.samples}
    for name, value in counted.items():
        wanted = value["packets_sent"] if isinstance(value, dict) else value
        assert wanted in shown, f"no metric has Stats.{name}"


def test_all_of_the_dht_is_there(metrics):
    shown = {s.value for name, m in metrics.items() if "dht" in name for s in m.samples}
    told = dataclasses.asdict(DHT)
    for name in ("contacts", "buckets", "published", "lookups", "found", "requests", "unanswered"):
        assert told.pop(name) in shown, f"no metric has DhtInfo.{name}"
    assert values(metrics["rovy_dht_values"], "kind") == told.pop("values")
    assert values(metrics["rovy_dht_answered_requests"], "type") == told.pop("answered")
    anchors = {"seated": 1, "candidate": 1, "self": 0}
    assert values(metrics["rovy_anchors"], "state") == anchors
    assert len(told.pop("anchors")) == sum(anchors.values())
    assert metrics["rovy_dht_joined"].samples[0].value == told.pop("joined")
    assert metrics["rovy_network_nodes"].samples[0].value == told.pop("size")
    assert metrics["rovy_network_nodes_exact"].samples[0].value == told.pop("exact")
    assert not told, "a new field of `DhtInfo` needs a metric, too"


def test_a_network_of_unknown_size_has_no_sample():
    found = families(FakeControl(FakeNode(dht=dataclasses.replace(DHT, size=None))))
    assert not found["rovy_network_nodes"].samples


def test_traffic_is_apart_from_faults(metrics):
    assert values(metrics["rovy_socket_packets"], "direction") == {"sent": 17, "received": 23}
    assert values(metrics["rovy_socket_bytes"], "direction") == {"sent": 19, "received": 0}
    assert values(metrics["rovy_socket_events"], "event") == {"truncated": 29}
    assert values(metrics["rovy_interface_bytes"], "direction") == {"read": 43, "written": 0}
    assert values(metrics["rovy_interface_events"], "event") == {"hop limit": 47}


def test_a_peer_is_in_one_state(metrics):
    states = metrics["rovy_peer_state"].samples
    assert {sample.labels["state"]: sample.value for sample in states} == {
        "up": 1,
        "session": 0,
        "connecting": 0,
    }
    assert {sample.labels["name"] for sample in states} == {"laptop"}


def test_paths_of_peers_are_measured(metrics):
    rtt = metrics["rovy_path_rtt_seconds"].samples
    assert [(s.labels["route"], s.value) for s in rtt] == [("192.0.2.1:1312", 0.0125)]
    assert values(metrics["rovy_path_mtu_bytes"], "route") == {
        "192.0.2.1:1312": 1400,
        "/rovyrt/01-02": 1400,
    }
    assert metrics["rovy_path_loss_ratio"].samples[0].value == 0.25
    traffic = ("sent_packets", "received_packets", "sent_bytes", "received_bytes")
    for offset, name in enumerate(traffic):
        assert metrics[f"rovy_peer_{name}"].samples[0].value == 101 + offset
        assert values(metrics[f"rovy_path_{name}"], "route")["/rovyrt/01-02"] == 401 + offset


def test_strangers_have_no_series_of_their_own(metrics):
    assert all(
        sample.labels.get("peer_id") != str(B)
        for metric in metrics.values()
        for sample in metric.samples
    )


def test_a_peer_out_of_reach_has_a_state_and_no_measurements():
    found = families(FakeControl(FakeNode(infos=[]), {B: kept(B, "")}))
    state = {s.labels["state"]: s.value for s in found["rovy_peer_state"].samples}
    assert state["connecting"] == 1
    assert not found["rovy_peer_rtt_seconds"].samples


def test_the_process_is_there(metrics):
    for name in ("resident_memory_bytes", "cpu_seconds", "open_fds", "start_time_seconds"):
        assert metrics[f"process_{name}"].samples[0].value > 0
    labels = metrics["rovy_build_info"].samples[0].labels
    assert set(labels) == {"version", "python", "data_plane"}


def test_docs_name_every_metric_and_no_other(metrics):
    text = DOCS.read_text().split("## GET /metrics")[1]
    documented = {
        re.compile(name.replace("…", "[a-z_]+"))
        for name in re.findall("`((?:rovy|process)_[^`]*)`", text)
    }
    real = {m.name + "_total" * (m.type == "counter") for m in metrics.values()}
    matches = {name: [p for p in documented if p.fullmatch(name)] for name in real}
    assert [name for name, found in matches.items() if not found] == []
    assert documented == {pattern for found in matches.values() for pattern in found}


def test_names_of_peers_are_escaped():
    found = families(FakeControl(peers={A: kept(A, 'quo"te\\\n')}))
    assert found["rovy_peer_state"].samples[0].labels["name"] == 'quo"te\\\n'
