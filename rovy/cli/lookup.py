"""rovyctl lookup: where a node is, as the DHT has it, and how that was found out."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from rovy.cli.client import Client
from rovy.cli.options import FAILED, complete_peers, examples, with_daemon
from rovy.cli.output import (
    counted,
    milliseconds,
    seconds,
    shorten,
    show_fields,
    show_json,
    show_table,
    who,
)

Document = dict[str, Any]


@click.command(
    epilog=examples(
        "rovyctl lookup laptop",
        "rovyctl lookup fc78:4ece:…",
        "rovyctl lookup 00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff      who is near that id",
    )
)
@click.argument("target", shell_complete=complete_peers)
@click.option(
    "-W",
    "timeout",
    type=click.FloatRange(0.01, 600),
    default=10.0,
    show_default=True,
    help="Seconds the lookup may take.",
)
@click.option("--wide", is_flag=True, help="Whole peer ids and routes.")
@with_daemon
def lookup(client: Client, as_json: bool, target: str, timeout: float, wide: bool) -> None:
    """Look a node up in the DHT, whatever is known of it here.

    Shows who was asked and what came back, the locator in which the node says where it is, and
    the nodes nearest to its id. TARGET is a peer's name or id, an fc00::/8 address, or any id of
    40 hex digits. Exit status 1 when nobody has the locator, or for an id when nobody answered.
    """
    body = {"target": target, "timeout": timeout}
    answer = client.call("POST", "/lookup", body, timeout=timeout + 5)
    bare = answer["target"] == target.strip().lower()
    if as_json:
        show_json(answer)
    else:
        _show(answer, bare, wide)
    if not (answer["nearest"] if bare else answer["locator"]):
        raise SystemExit(FAILED)


def show_steps(steps: Sequence[Document], *, wide: bool = False) -> None:
    """Print the questions of a lookup and what came back."""
    short = _short((step["peer_id"] for step in steps), wide)
    rows = [
        (
            str(number),
            step["peer_id"] if wide else who(step["name"], step["peer_id"], short),
            step["route"] or "-",
            str(step["shared"]),
            milliseconds(step["rtt"]),
            _result(step),
        )
        for number, step in enumerate(steps, 1)
    ]
    headers = ("STEP", "ASKED", "OVER", "BITS", "RTT", "ANSWER")
    show_table(headers, rows, flexible=None if wide else 2)


def _result(step: Document) -> str:
    if step["result"] == "value":
        return "found it"
    if step["result"] == "contacts":
        return counted(step["contacts"], "node") if step["contacts"] else "nobody nearer"
    return str(step["result"])


def _show(answer: Document, bare: bool, wide: bool) -> None:
    if answer["steps"]:
        show_steps(answer["steps"], wide=wide)
        click.echo()
    locator = answer["locator"]
    took = f"{milliseconds(answer['took'])}, {counted(len(answer['steps']), 'request')}"
    show_fields([*(_fields(locator, wide) if locator else []), ("Took", took)])
    if answer["nearest"]:
        click.echo()
        _show_nearest(answer["nearest"], wide)
    elif not answer["steps"]:
        click.secho("nobody to ask is known: `rovyctl peers` shows who is there", fg="yellow")
    elif bare:
        click.secho("nobody answered", fg="yellow")
    if not bare and not locator:
        text = "nobody has its locator: see whether that node runs, and is spelled right"
        click.secho(text, fg="yellow")


def _fields(locator: Document, wide: bool) -> list[tuple[str, str]]:
    paths, links = locator["anchors"], locator["links"]
    nodes = (node["peer_id"] for path in (*paths, links, [locator]) for node in path)
    short = _short(filter(None, nodes), wide)
    left = f"{seconds(locator['left'])} of {seconds(locator['ttl'])} left"
    return [
        *([("Name", locator["name"])] if locator["name"] else []),
        ("PeerID", locator["peer_id"]),
        ("Address", locator["address"]),
        *(("Anchor", _way(path, locator, short)) for path in paths or [None]),
        ("Links", ", ".join(_node(link, short) for link in links) or "none"),
        *(("Reached at", endpoint) for endpoint in locator["endpoints"]),
        ("Locator", f"{locator['size']} bytes, {left}"),
    ]


def _way(path: list[Document] | None, locator: Document, short: Mapping[str, str]) -> str:
    """Whom one passes from an anchor to the node."""
    if path is None:
        return "none leads to it"
    if not path:
        return "it is one itself"
    return " > ".join(_node(node, short) for node in (*path, locator))


def _node(node: Document, short: Mapping[str, str]) -> str:
    """By name or id if this node knows whose it is, else by the start of its id in the DHT."""
    return who(node["name"], node["peer_id"], short) if node["peer_id"] else str(node["short"])


def _show_nearest(nearest: Sequence[Document], wide: bool) -> None:
    short = _short((node["peer_id"] for node in nearest), wide)
    rows = [
        (
            node["peer_id"] if wide else who(node["name"], node["peer_id"], short),
            str(node["shared"]),
            node["address"],
        )
        for node in nearest
    ]
    show_table(("NEAREST", "BITS", "ADDRESS"), rows)


def _short(peers: Any, wide: bool) -> dict[str, str]:
    every = set(peers)
    return {peer: peer for peer in every} if wide else shorten(every)
