"""Two looks at a daemon, and what happened in between."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from rovy.cli.client import Client

DROPS: Final = ("dropped", "handshakes refused", "interface")
"""Groups of counters that count what was lost or turned away."""
TRAFFIC: Final = ("bytes_sent", "bytes_received")
_NO_DROP: Final = ("packets_", "bytes_", "firewall known", "firewall allowed", "firewall pinged")
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    info: Document
    peers: list[Document]
    """Each with the `loss` of the path in use, and its `paths`."""
    routes: list[Document]
    """Those in use."""
    drops: dict[tuple[str, str], int]
    """By group and name."""
    at: float = field(default_factory=time.monotonic)

    @classmethod
    def take(cls, client: Client) -> Self:
        """Ask the daemon. Raises `Failed`."""
        sessions = client.call("GET", "/sessions")["sessions"]
        paths = {session["peer_id"]: session["paths"] for session in sessions}
        peers = [
            _peer(p, paths.get(p["peer_id"], [])) for p in client.call("GET", "/peers")["peers"]
        ]
        routes = client.call("GET", "/routes")["routes"]
        counters = client.call("GET", "/counters")["counters"]
        drops = {
            (group, name): count
            for group in DROPS
            for name, count in counters.get(group, {}).items()
            if not name.startswith(_NO_DROP)
        }
        active = [route for route in routes if route["state"] == "active"]
        return cls(client.call("GET", "/info"), peers, active, drops)


def difference(now: Sample, before: Sample | None) -> Document:
    """The later look as a document, with rates a second where there was one before."""
    passed = now.at - before.at if before else None
    peers = {peer["peer_id"]: peer for peer in before.peers} if before else {}
    routes = {_name(route): route for route in before.routes} if before else {}
    drops = before.drops if before else {}
    return {
        "time": time.time(),
        "interval": passed,
        "info": now.info,
        "peers": [_with_paths(peer, peers.get(peer["peer_id"]), passed) for peer in now.peers],
        "routes": [_rated(route, routes.get(_name(route)), passed) for route in now.routes],
        "drops": [
            {"group": group, "name": name, "count": count, "rate": _rate(count, old, passed)}
            for (group, name), count in now.drops.items()
            if before and count > (old := drops.get((group, name), 0))
        ],
    }


def _peer(peer: Document, paths: list[Document]) -> Document:
    active = next((path for path in paths if path["active"]), None)
    return {**peer, "loss": active["loss"] if active else None, "paths": paths}


def _with_paths(peer: Document, before: Document | None, passed: float | None) -> Document:
    former = {_name(path): path for path in before["paths"]} if before else {}
    paths = [_rated(path, former.get(_name(path)), passed) for path in peer["paths"]]
    return {**_rated(peer, before, passed), "paths": paths}


def _rated(now: Document, before: Mapping[str, Any] | None, passed: float | None) -> Document:
    """With `sent_rate` and `received_rate`, bytes a second or null."""
    rates = {
        name.removeprefix("bytes_") + "_rate": _rate(now[name], before[name], passed)
        if before
        else None
        for name in TRAFFIC
    }
    return {**now, **rates}


def _rate(now: int, before: int, passed: float | None) -> float | None:
    """How fast it grows; one that has begun again counts from 0."""
    grown = now - before if now >= before else now
    return grown / passed if passed else None


def _name(way: Document) -> tuple[str, ...]:
    """What tells paths of a peer, and routes, apart."""
    return tuple(str(way.get(key, "")) for key in ("peer_id", "label", "via", "route", "local"))
