"""Commands about the daemon as a whole."""

import time
from typing import Any, Final

import click

from rovy import __version__
from rovy.cli.client import Client, Failed
from rovy.cli.options import examples, with_daemon
from rovy.cli.output import (
    milliseconds,
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
            ("Network", answer["network"]),
            ("Peers", f"{answer['peers']} up, {answer['sessions']} sessions"),
            *(("Listens", text) for text in answer["listen"]),
            *(("Reached at", text) for text in answer["addresses"]),
            ("Uptime", f"{seconds(answer['uptime'])}, process {answer['pid']}"),
            ("Version", answer["version"]),
            ("Config", answer["config_file"] or "none, all defaults"),
            ("State", answer["state_dir"]),
            ("Socket", answer["socket"]),
        ]
    )
    for problem in answer["problems"]:
        click.secho(f"Problem: {problem}", fg="yellow")


@click.command(epilog=examples("rovyctl stop"))
@with_daemon
def stop(client: Client, as_json: bool) -> None:
    """Stop the daemon and wait until it has ended."""
    answer = client.call("POST", "/stop")
    client.close()
    deadline = time.monotonic() + STOP_TIME
    while client.alive():
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
    show_table(("GROUP", "COUNTER", "COUNT"), rows)


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
    """Show the version of this program and of the daemon that runs."""
    try:
        daemon = client.call("GET", "/info")["version"]
    except Failed:
        daemon = None
    if as_json:
        show_json({"rovyctl": __version__, "rovyd": daemon})
        return
    show_fields([("rovyctl", __version__), ("rovyd", daemon or "not reached")])
