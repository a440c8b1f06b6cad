"""What all commands share: --json, --socket, and errors in one line."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from rovy.cli.client import Client, Failed
from rovy.cli.output import show_json
from rovy.config.places import Places
from rovy.errors import Malformed, RovyError

FAILED, USAGE = 1, 2
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
        named = socket or click.get_current_context().find_root().obj
        client = Client(named or places().found_socket())
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
