"""rovyctl: the commands."""

import os
from pathlib import Path

import click

from rovy import __version__
from rovy.cli.dht import dht
from rovy.cli.discovery import discovery
from rovy.cli.firewall import firewall
from rovy.cli.local import completion, config, keygen
from rovy.cli.lookup import lookup
from rovy.cli.map import map_command
from rovy.cli.node import counters, events, info, reload, sessions, stop, version
from rovy.cli.options import examples
from rovy.cli.peers import peer, peers
from rovy.cli.ping import ping
from rovy.cli.routes import resolve, routes
from rovy.cli.traceroute import traceroute
from rovy.cli.watch import watch

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 90}


@click.group(
    context_settings=SETTINGS,
    epilog=examples("rovyctl info", "rovyctl peers", "rovyctl ping laptop"),
)
@click.version_option(__version__, message="rovyctl %(version)s")
@click.option("--socket", type=click.Path(path_type=Path), help="API socket of rovyd.")
@click.pass_context
def cli(context: click.Context, socket: Path | None) -> None:
    """Look after a node of the rovy network.

    Every command takes --json and --help. Exit status: 0 done, 1 failed, 2 wrong usage.
    """
    if os.environ.get("NO_COLOR"):
        context.color = False


for command in (
    info,
    peers,
    peer,
    discovery,
    ping,
    routes,
    resolve,
    lookup,
    traceroute,
    map_command,
    dht,
    watch,
    firewall,
    sessions,
    counters,
    events,
    reload,
    stop,
    keygen,
    config,
    completion,
    version,
):
    cli.add_command(command)


def main() -> None:
    """The program."""
    cli(prog_name="rovyctl")


if __name__ == "__main__":
    main()
