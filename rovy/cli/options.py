"""What all commands share: --json, --socket, and errors in one line."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from rovy.cli.client import Client, Failed
from rovy.cli.output import show_json
from rovy.config.places import Places
from rovy.errors import Malformed, RovyError

FAILED, USAGE = 1, 2
GLANCE = 0.5
"""Seconds that the daemon has to help with completion."""
Command = Callable[..., None]


def with_json(command: Command) -> Command:
    """Add --json, and turn our errors into exit statuses."""

    @wraps(command)
    def run(*args: Any, as_json: bool, **options: Any) -> None:
        try:
            command(*args, as_json=as_json, **options)
        except RovyError as error:
            fail(error, as_json)

    return click.option("--json", "as_json", is_flag=True, help="Output for programs.")(run)


def with_daemon(command: Command) -> Command:
    """Add --json and --socket; the command gets a `client`."""

    @wraps(command)
    def run(*args: Any, socket: Path | None, **options: Any) -> None:
        client = Client(_socket(socket, click.get_current_context()))
        try:
            command(*args, client=client, **options)
        finally:
            client.close()

    option = click.option(
        "--socket",
        type=click.Path(path_type=Path),
        envvar="ROVY_SOCKET",
        help="API socket of rovyd; also in the variable ROVY_SOCKET.",
    )
    return with_json(option(run))


def complete_peers(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of peers, or the ids of those without, as the daemon knows them; none if it is mute."""
    client = Client(_socket(context.params.get("socket"), context), GLANCE)
    try:
        peers = client.call("GET", "/peers", timeout=GLANCE)["peers"]
        named = [(peer["name"] or peer["peer_id"], peer["peer_id"]) for peer in peers]
    except (RovyError, LookupError, TypeError):
        return []
    finally:
        client.close()
    return [CompletionItem(name, help=peer) for name, peer in named if name.startswith(incomplete)]


def _socket(named: Path | None, context: click.Context) -> Path:
    """What was said after the command, before it, or the socket that is there."""
    return named or context.find_root().params.get("socket") or places().found_socket()


def places() -> Places:
    """Default places of the user who runs us."""
    return Places.of(os.geteuid(), os.environ, Path(os.path.expanduser("~")))


def fail(error: RovyError, as_json: bool) -> None:
    """Show an error and end with its exit status."""
    if not isinstance(error, Failed):
        reason = "malformed" if isinstance(error, Malformed) else "failed"
        error = Failed(reason, str(error))
    if as_json:
        show_json(error.document(), indent=None)
    else:
        click.echo(f"{click.style('rovyctl:', fg='red')} {error.message}", err=True)
        if error.remedy:
            click.echo(f"  {error.remedy}", err=True)
    raise SystemExit(USAGE if error.usage else FAILED)


def examples(*lines: str) -> str:
    """Examples for the end of a help text."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
