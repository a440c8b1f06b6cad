"""Commands about the daemon as a whole."""

import re
import time
from typing import Any, Final

import click

from rovy import __version__
from rovy.cli.client import Client, Failed
from rovy.cli.options import examples, with_daemon
from rovy.cli.output import (
    counted,
    milliseconds,
    population,
    seconds,
    shorten,
    show_fields,
    show_json,
    show_table,
    size,
)

STOP_TIME: Final = 10.0
"""Seconds a daemon has to stop."""


@click.command(epilog=examples("rovyctl info", "rovyctl info --json | jq -r .peer_id"))
@with_daemon
def info(client: Client, as_json: bool) -> None:
    """Show who this node is and how it does."""
    answer = client.call("GET", "/info")
    if as_json:
        show_json(answer)
        return
    show_fields(
        [
            ("PeerID", answer["peer_id"]),
            ("Address", answer["address"]),
            ("Network", f"{answer['network']}, {population(answer['network_size'])}"),
            ("Peers", f"{answer['peers']} up, {counted(answer['sessions'], 'session')}"),
            ("Map", _map(answer["map"])),
            ("Interface", _interface(answer["interface"])),
            *(("Listens", text) for text in answer["listen"]),
            *(("Reached at", text) for text in answer["addresses"]),
            ("Uptime", f"{seconds(answer['uptime'])}, process {answer['pid']}"),
            ("User", ", ".join((answer["user"], *answer["capabilities"]))),
            ("Version", answer["version"]),
            ("Config", answer["config_file"] or "none, all defaults"),
            ("State", answer["state_dir"]),
            ("Socket", answer["socket"]),
        ]
    )
    for problem in answer["problems"]:
        click.secho(f"Problem: {problem}", fg="yellow")


def _map(size: dict[str, int]) -> str:
    return f"{counted(size['nodes'], 'node')}, {counted(size['links'], 'link')}"


def _interface(interface: dict[str, Any]) -> str:
    if interface["state"] == "off":
        return "off: other programs do not reach the network"
    return f"{interface['name']}, {interface['state']}, MTU {interface['mtu']}"


@click.command(epilog=examples("rovyctl stop"))
@with_daemon
def stop(client: Client, as_json: bool) -> None:
    """Stop the daemon and wait until it has ended."""
    answer = client.call("POST", "/stop")
    client.close()
    deadline = time.monotonic() + STOP_TIME
    while not client.gone():
        if time.monotonic() > deadline:
            raise Failed("no end", f"rovyd still runs after {STOP_TIME:g} s", "see its log")
        time.sleep(0.02)
    if as_json:
        show_json({"stopped": True, "pid": answer["pid"]})
    else:
        click.echo("rovyd has stopped")


@click.command(
    epilog=examples("rovyctl reload", "rovyctl config check && rovyctl reload"),
)
@with_daemon
def reload(client: Client, as_json: bool) -> None:
    """Make the daemon read its configuration again.

    Settings that can change while it runs are applied, the others are named.
    """
    answer = client.call("POST", "/reload")
    if as_json:
        show_json(answer)
        return
    click.echo(f"applied: {', '.join(answer['applied']) or 'nothing changed'}")
    if answer["restart"]:
        click.secho(f"at the next start: {', '.join(answer['restart'])}", fg="yellow")


@click.command(epilog=examples("rovyctl sessions", "rovyctl sessions --json"))
@click.option("--wide", is_flag=True, help="Whole peer ids and routes.")
@with_daemon
def sessions(client: Client, as_json: bool, wide: bool) -> None:
    """List sessions and their paths; * marks the path that carries the data."""
    answer = client.call("GET", "/sessions")
    if as_json:
        show_json(answer)
        return
    names = shorten(session["peer_id"] for session in answer["sessions"])
    rows = [
        row
        for session in answer["sessions"]
        for row in _session_rows(session, session["peer_id"] if wide else names[session["peer_id"]])
    ]
    if not rows:
        click.echo("no sessions")
        return
    headers = ("PEER", "STATE", "AGE", "PATH", "RTT", "MTU", "SENT", "RECEIVED")
    show_table(headers, rows, flexible=None if wide else 3)


def _session_rows(session: dict[str, Any], peer: str) -> list[tuple[str, ...]]:
    first = (session["name"] or peer, session["state"], seconds(session["age"]))
    rows = [
        (
            *(first if number == 0 else ("", "", "")),
            ("* " if path["active"] else "  ") + path["route"],
            milliseconds(path["rtt"]),
            str(path["mtu"]),
            size(path["bytes_sent"]),
            size(path["bytes_received"]),
        )
        for number, path in enumerate(session["paths"])
    ]
    return rows or [(*first, "-", "-", "-", "-", "-")]


@click.command(epilog=examples("rovyctl counters", "rovyctl counters --all --json"))
@click.option("--all", "everything", is_flag=True, help="Show those that are zero too.")
@with_daemon
def counters(client: Client, as_json: bool, everything: bool) -> None:
    """Show all counters; every dropped packet is in one of them."""
    answer = client.call("GET", "/counters")
    if as_json:
        show_json(answer)
        return
    rows = [
        (group, name, str(count))
        for group, counts in answer["counters"].items()
        for name, count in sorted(counts.items())
        if count or everything
    ]
    show_table(("GROUP", "COUNTER", "COUNT"), rows, flexible=1)


@click.command(epilog=examples("rovyctl events", "rovyctl events --json | jq .kind"))
@with_daemon
def events(client: Client, as_json: bool) -> None:
    """Show what happens, until interrupted."""
    try:
        for event in client.stream("/events"):
            if as_json:
                show_json(event, indent=None)
                continue
            clock = time.strftime("%H:%M:%S", time.localtime(event["time"]))
            who = event["name"] or shorten([event["peer_id"]])[event["peer_id"]]
            click.echo(f"{clock} {event['kind']:<20} {who} {event['detail']}".rstrip())
    except KeyboardInterrupt:
        return
    raise Failed("stopped", "rovyd has stopped")


@click.command(epilog=examples("rovyctl version", "rovyctl version --json"))
@with_daemon
def version(client: Client, as_json: bool) -> None:
    """Show the versions of this program, of the daemon that runs, and of what they stand on."""
    import platform

    try:
        daemon = client.call("GET", "/info")
    except Failed:
        daemon = {}
    versions = {
        "rovyctl": __version__,
        "rovyd": daemon.get("version"),
        "data_plane": daemon.get("data_plane"),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
    }
    if as_json:
        show_json({**versions, "libraries": _libraries()})
        return
    fields = {**versions, **_libraries()}
    show_fields((name.replace("_", " "), text or "not reached") for name, text in fields.items())


def _libraries() -> dict[str, str]:
    """Versions of the libraries that are required, as installed here."""
    from importlib import metadata

    try:
        lines = metadata.requires("rovy") or []
    except metadata.PackageNotFoundError:  # run from its sources
        return {}
    found = {}
    for name in (
        re.split(r"[<>=!~; ]", line, maxsplit=1)[0] for line in lines if "extra" not in line
    ):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found
