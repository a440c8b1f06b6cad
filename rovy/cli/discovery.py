"""Command about the local network."""

from typing import Any

import click

from rovy.cli.client import Client
from rovy.cli.options import examples, with_daemon
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

MODES = {
    "on": "on: this node is announced, and looks for others",
    "listen": "listen: it looks for others, and is not announced",
    "off": 'off; turn it on with: discovery = "on"',
}
Document = dict[str, Any]


@click.command(epilog=examples("rovyctl discovery", "rovyctl discovery --json | jq .nodes"))
@click.option("--wide", is_flag=True, help="Whole peer ids, all endpoints, interfaces left out.")
@with_daemon
def discovery(client: Client, as_json: bool, wide: bool) -> None:
    """Show who was found on the local network, and whether finding works there."""
    answer = client.call("GET", "/discovery")
    if as_json:
        show_json(answer)
        return
    nodes, interfaces = answer["nodes"], answer["interfaces"]
    fields = [("Discovery", MODES[answer["mode"]])]
    if answer["mode"] != "off":
        wanted = sum(node["wanted"] for node in nodes)
        text = f"{counted(len(nodes), 'node')}, {wanted} of at most {answer['lan_peers']} chosen"
        fields.append(("Found", text))
    show_fields(fields)
    _show(
        ("INTERFACE", "STATE", "ANNOUNCED", "HEARD BACK", "OTHERS", "LAST", "ADDRESSES"),
        [_interface(each) for each in interfaces if wide or each["state"] != "left out"],
        None if wide else 6,
    )
    short = shorten(node["peer_id"] for node in nodes)
    _show(
        ("NODE", "STATE", "CHOSEN", "RTT", "ON", "AT", "TRIED"),
        [_node(node, short, wide) for node in nodes],
        None if wide else 5,
    )
    for problem in answer["problems"]:
        click.secho(f"Problem: {problem}", fg="yellow")


def _show(headers: tuple[str, ...], rows: list[tuple[str, ...]], flexible: int | None) -> None:
    if rows:
        click.echo()
        show_table(headers, rows, flexible=flexible)


def _interface(each: Document) -> tuple[str, ...]:
    back = {True: "yes", False: "no", None: "-"}[each["heard_back"]]
    state = each["state"]
    return (
        each["name"],
        f"{state}: {each['problem']}" if state == "left out" else state,
        "yes" if each["announced"] else "no",
        back,
        str(each["others"]),
        seconds(each["heard"]),
        " ".join(each["addresses"]) or "-",
    )


def _node(node: Document, short: dict[str, str], wide: bool) -> tuple[str, ...]:
    again = f"waiting {seconds(node['again'])}" if node["state"] == "waiting" else node["state"]
    return (
        node["peer_id"] if wide else who(node["name"], node["peer_id"], short),
        again,
        "yes" if node["wanted"] else "no",
        milliseconds(node["rtt"]),
        ",".join(node["interfaces"]) or "-",
        (" ".join(node["endpoints"]) if wide else next(iter(node["endpoints"]), "")) or "-",
        f"{node['attempts']}, {node['failures']} failed"
        if node["failures"]
        else str(node["attempts"]),
    )
