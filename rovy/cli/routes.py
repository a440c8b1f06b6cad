"""Commands about the ways to other nodes."""

from collections.abc import Iterable
from typing import Any

import click

from rovy.cli.client import Client, Failed
from rovy.cli.lookup import show_steps
from rovy.cli.options import complete_peers, examples, with_daemon
from rovy.cli.output import (
    CUT,
    milliseconds,
    seconds,
    shorten,
    show_fields,
    show_json,
    show_table,
    size,
    who,
)


@click.command(
    epilog=examples("rovyctl routes", "rovyctl routes laptop --hops", "rovyctl routes --json")
)
@click.argument("peer", required=False, shell_complete=complete_peers)
@click.option("-v", "--hops", "--wide", is_flag=True, help="Every hop with its whole id, and why.")
@with_daemon
def routes(client: Client, as_json: bool, peer: str | None, hops: bool) -> None:
    """List the routes to nodes there are sessions with.

    PEER is a name or id. The route in state active carries the data; warm is held ready;
    offered is known from the map and not in use.
    """
    found = client.call("GET", "/routes")["routes"]
    if peer is not None:
        found = [route for route in found if _is(route, peer)]
        if not found:
            raise Failed(
                "not found",
                f"there is no session with {peer}",
                f"`rovyctl resolve {peer}` looks for routes and opens one",
            )
    if as_json:
        show_json({"routes": found})
    elif not found:
        click.echo("no routes: there are no sessions; `rovyctl resolve` and `ping` open them")
    elif hops:
        _show_whole(found)
    else:
        _show_table(found)


@click.command(
    epilog=examples(
        "rovyctl resolve laptop",
        "rovyctl resolve /rovy/bafzqai…",
        "rovyctl resolve --dht laptop",
        "rovyctl resolve fc78:4ece:… --json | jq -r .routes[0].label",
    )
)
@click.argument("target", shell_complete=complete_peers)
@click.option(
    "-W",
    "timeout",
    type=click.FloatRange(0.01, 600),
    default=5.0,
    show_default=True,
    help="Seconds to wait for the node.",
)
@click.option("--dht", is_flag=True, help="Look it up in the DHT first, and show the steps.")
@with_daemon
def resolve(client: Client, as_json: bool, target: str, timeout: float, dht: bool) -> None:
    """Find the routes to a node, the best first.

    The node has to answer over one of them. TARGET is a peer's name or id, an fc00::/8 address,
    a route label, or an address with /rovy/<peer id>. Exit status 1 when it cannot be reached.
    """
    body = {"target": target, "timeout": timeout, "dht": dht}
    # It may take that long for the lookup, for the session, and for the proof that it works.
    patience = (3 if dht else 2) * timeout + 5
    try:
        answer = client.call("POST", "/resolve", body, timeout=patience)
    except Failed as error:
        if error.steps and not as_json:
            show_steps(error.steps)
        raise
    if as_json:
        show_json(answer)
        return
    if answer["steps"]:
        show_steps(answer["steps"])
        click.echo()
    fields = [("PeerID", answer["peer_id"]), ("Address", answer["address"])]
    if answer["name"]:
        fields.insert(0, ("Name", answer["name"]))
    show_fields([*fields, ("Took", milliseconds(answer["took"]))])
    if not answer["routes"]:
        click.echo("That is this node itself.")
    for route in answer["routes"]:
        click.echo()
        _show_route(route)


def _show_table(found: list[dict[str, Any]]) -> None:
    """One row a label: of the paths of a peering, the best one."""
    short = shorten(route["peer_id"] for route in found)
    rows, last = [], ""
    best = {(route["peer_id"], route["label"]): route for route in reversed(found)}
    for route in reversed(best.values()):
        peer = route["peer_id"]
        rows.append(
            (
                who(route["name"], peer, short) if peer != last else "",
                route["label"] or route["via"],
                str(len(route["hops"])),
                milliseconds(route["cost"]),
                milliseconds(route["rtt"]),
                str(route["mtu"]),
                route["state"],
                seconds(route["age"]),
            )
        )
        last = peer
    show_table(("PEER", "LABEL", "HOPS", "COST", "RTT", "MTU", "STATE", "AGE"), rows, flexible=1)


def _show_whole(found: Iterable[dict[str, Any]]) -> None:
    last = ""
    for route in found:
        peer = route["peer_id"]
        if peer != last:
            click.secho(f"{chr(10) if last else ''}{route['name'] or peer}", bold=True)
        _show_route(route)
        last = peer


def _show_route(route: dict[str, Any]) -> None:
    """Its label, how well it does, and who stands along it."""
    via = f", {route['via']}" if route["via"] else ""
    click.echo(f"{route['label'] or 'no label'}  {_state(route['state'])}: {route['why']}{via}")
    times = f"cost {milliseconds(route['cost'])}, RTT {milliseconds(route['rtt'])}"
    age = f", age {seconds(route['age'])}" if route["age"] is not None else ""
    traffic = f", {size(route['bytes_sent'])} out, {size(route['bytes_received'])} in"
    moved = traffic if route["packets_sent"] or route["packets_received"] else ""
    click.echo(f"    {times}, MTU {route['mtu']}{age}{moved}")
    for number, hop in enumerate(route["hops"], 1):
        peer = hop["peer_id"] or "not in the map"
        click.echo(f"  {number:3}  {peer}  {hop['name']}".rstrip())


def _state(state: str) -> str:
    colour = {"active": "green", "suspect": "yellow"}.get(state)
    return click.style(state, fg=colour) if colour else state


def _is(route: dict[str, Any], text: str) -> bool:
    """Whether a route leads to the node that a person named so."""
    text = text.strip().removeprefix("/rovy/")
    start, cut, end = text.replace("...", CUT).partition(CUT)
    peer = route["peer_id"]
    if cut and peer.startswith(start) and peer.endswith(end):
        return True
    return text in (route["name"], peer, route["address"])
