"""A look at a daemon, for people."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

from rovy.cli.output import counted, milliseconds, seconds, shorten, size, table, who

RTT, OUT, IN = "    RTT", "   OUT/s", "    IN/s"
"""Wide enough that columns stay where they are when the numbers change."""
PEERS: Final = ("PEER", "STATE", "PATH", RTT, "LOSS", OUT, IN)
ROUTES: Final = ("ROUTE TO", "LABEL", "HOPS", RTT, OUT, IN)
DROPS: Final = ("DROPS", "REASON", "COUNT", "/s")
Document = dict[str, Any]


def view(look: Document) -> list[str]:
    """All but the events."""
    short = shorten(each["peer_id"] for each in (*look["peers"], *look["routes"]))
    lines = _head(look["info"], look["time"])
    peers = [row for peer in look["peers"] for row in _peer_rows(peer, short)]
    lines += _section(PEERS, peers, flexible=2) if peers else ["", "no peers"]
    direct = {peer["peer_id"] for peer in look["peers"]}
    routed = [r for r in look["routes"] if len(r["hops"]) > 1 or r["peer_id"] not in direct]
    if routed:
        lines += _section(ROUTES, [_route_row(route, short) for route in routed], flexible=1)
    if look["drops"]:
        lines += _section(DROPS, [_drop_row(drop) for drop in look["drops"]], flexible=1)
    return lines


def events_view(events: Sequence[Document]) -> list[str]:
    """The newest events, the last one last."""
    if not events:
        return []
    short = shorten(event["peer_id"] for event in events)
    lines = ["", click.style("EVENTS", bold=True)]
    for event in events:
        clock = time.strftime("%H:%M:%S", time.localtime(event["time"]))
        peer = who(event["name"], event["peer_id"], short)
        lines.append(f"{clock} {event['kind']:<20} {peer} {event['detail']}".rstrip())
    return lines


def _head(info: Document, now: float) -> list[str]:
    interface = info["interface"]
    local = "no interface" if interface["state"] == "off" else "{name} {state}".format(**interface)
    lines = [
        click.style(info["peer_id"], bold=True) + time.strftime("  %H:%M:%S", time.localtime(now)),
        f"{info['address']}, up {seconds(info['uptime'])}, {local}",
        f"{counted(info['peers'], 'peer')}, {counted(info['sessions'], 'session')}, map of "
        f"{counted(info['map']['nodes'], 'node')} and {counted(info['map']['links'], 'link')}",
    ]
    return lines + [click.style(f"Problem: {text}", fg="yellow") for text in info["problems"]]


def _section(headers: Sequence[str], rows: Sequence[Sequence[str]], flexible: int) -> list[str]:
    first, *rest = table(headers, rows, flexible=flexible)
    return ["", click.style(first, bold=True), *rest]


def _peer_rows(peer: Document, short: dict[str, str]) -> Iterable[tuple[str, ...]]:
    """One for each path that works; * marks the one that carries the data."""
    first = who(peer["name"], peer["peer_id"], short), peer["state"]
    paths = [path for path in peer["paths"] if path["valid"] or path["active"]]
    twins = Counter(path["route"] for path in paths)
    for path in paths:
        local = f"{path['local']}->" if twins[path["route"]] > 1 and path["local"] else ""
        yield (
            *first,
            ("* " if path["active"] else "  ") + local + path["route"],
            milliseconds(path["rtt"]),
            f"{path['loss']:.0%}",
            _rate(path["sent_rate"]),
            _rate(path["received_rate"]),
        )
        first = "", ""
    if not paths:
        yield (*first, "  -", "-", "-", "-", "-")


def _route_row(route: Document, short: dict[str, str]) -> tuple[str, ...]:
    return (
        who(route["name"], route["peer_id"], short),
        route["label"] or route["via"],
        str(len(route["hops"])),
        milliseconds(route["rtt"]),
        _rate(route["sent_rate"]),
        _rate(route["received_rate"]),
    )


def _drop_row(drop: Document) -> tuple[str, ...]:
    return drop["group"], drop["name"], str(drop["count"]), f"{drop['rate']:.3g}"


def _rate(value: float | None) -> str:
    return "-" if value is None else size(value)
