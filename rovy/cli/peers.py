"""Commands about peers."""

from typing import Any

import click

from rovy.cli.client import Client, segment
from rovy.cli.options import complete_peers, examples, with_daemon
from rovy.cli.output import milliseconds, seconds, shorten, show_json, show_table, size


@click.command(epilog=examples("rovyctl peers", "rovyctl peers --wide", "rovyctl peers --json"))
@click.option("--wide", is_flag=True, help="Whole peer ids and routes, and traffic.")
@with_daemon
def peers(client: Client, as_json: bool, wide: bool) -> None:
    """List peers, and those that are to be."""
    answer = client.call("GET", "/peers")
    if as_json:
        show_json(answer)
        return
    if not answer["peers"]:
        click.echo("no peers; add one: rovyctl peer add /ip4/…/udp/…/rovy/…")
        return
    short = shorten(peer["peer_id"] for peer in answer["peers"])
    rows = [_row(peer, short, wide) for peer in answer["peers"]]
    more = ("SENT", "RECEIVED") if wide else ()
    headers = ("PEER", "NAME", "STATE", "SLOT", "ROUTE", "RTT", "AGE", *more)
    show_table(headers, rows, flexible=None if wide else 4)


def _row(peer: dict[str, Any], short: dict[str, str], wide: bool) -> tuple[str, ...]:
    more = (size(peer["bytes_sent"]), size(peer["bytes_received"]))
    return (
        peer["peer_id"] if wide else short[peer["peer_id"]],
        peer["name"] if wide or len(peer["name"]) <= 12 else peer["name"][:11] + "…",
        peer["state"],
        str(peer["slot"] or "-"),
        peer["route"] or "-",
        milliseconds(peer["rtt"]),
        seconds(peer["age"]),
        *(more if wide else ()),
    )


@click.group()
def peer() -> None:
    """Add and remove peers."""


@peer.command(
    epilog=examples(
        "rovyctl peer add /ip4/192.0.2.1/udp/1312/rovy/bafzqai… --name laptop",
        "rovyctl peer add /dns6/node.example.org/udp/1312/rovy/bafzqai…",
    )
)
@click.argument("address")
@click.option("--name", default="", help="A name for it, to be used in other commands.")
@with_daemon
def add(client: Client, as_json: bool, address: str, name: str) -> None:
    """Keep a peer connected, from now on and after restarts.

    ADDRESS says where it is and who: `rovyctl info` shows both on the other node.
    """
    answer = client.call("POST", "/peers", {"address": address, "name": name})
    if as_json:
        show_json(answer)
        return
    what = "added" if answer["new"] else "known already, address noted:"
    click.echo(f"{what} {answer['name']} {answer['peer_id']}".replace("  ", " "))


@peer.command(
    epilog=examples("rovyctl peer remove laptop", "rovyctl peer remove bafzqai…llee"),
)
@click.argument("which", metavar="PEER", shell_complete=complete_peers)
@with_daemon
def remove(client: Client, as_json: bool, which: str) -> None:
    """Keep a peer no longer. PEER is its name or id."""
    answer = client.call("DELETE", f"/peers/{segment(which)}")
    if as_json:
        show_json(answer)
        return
    click.echo(f"removed {answer['peer_id']}")
    if answer.get("note"):
        click.secho(answer["note"], fg="yellow")
