"""rovyctl map: the nodes that are known."""

import click

from rovy.cli.client import Client
from rovy.cli.options import examples, with_daemon
from rovy.cli.output import counted, milliseconds, shorten, show_json, show_table, who


@click.command("map", epilog=examples("rovyctl map", "rovyctl map --wide", "rovyctl map --json"))
@click.option("--wide", is_flag=True, help="Whole peer ids.")
@with_daemon
def map_command(client: Client, as_json: bool, wide: bool) -> None:
    """List the nodes that are known, the nearest first."""
    answer = client.call("GET", "/map")
    if as_json:
        show_json(answer)
        return
    nodes = answer["nodes"]
    short = shorten(node["peer_id"] for node in nodes)
    rows = [
        (
            "this node" if node["hops"] == 0 else who(node["name"], node["peer_id"], short),
            *((node["peer_id"],) if wide else ()),
            str(node["hops"]),
            milliseconds(node["cost"] if node["hops"] else None),
            str(len(node["links"])),
            node["address"],
        )
        for node in nodes
    ]
    show_table(("PEER", *(("PEERID",) if wide else ()), "HOPS", "COST", "LINKS", "ADDRESS"), rows)
    beyond = answer["radius"]
    rest = (
        "" if beyond is None else f"; nodes that cost more than {milliseconds(beyond)} are left out"
    )
    click.echo(f"{counted(len(nodes), 'node')}, {counted(answer['links'], 'link')}{rest}")
