"""Commands that need no daemon."""

import os
from pathlib import Path
from typing import Any

import click

from rovy.cli.client import Failed
from rovy.cli.options import examples, places, with_json
from rovy.cli.output import show_fields, show_json
from rovy.errors import UsageError

FILE = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        "rovyctl keygen -o ~/.local/state/rovy/key.toml",
        "rovyctl keygen --network        the key of a private network",
    )
)
@click.option("-o", "--output", type=FILE, help="File to create, readable by its owner only.")
@click.option("--network", is_flag=True, help="Make a network key instead.")
@with_json
def keygen(as_json: bool, output: Path | None, network: bool) -> None:
    """Make a new key; without -o it is printed.

    An existing file is never overwritten: a key that is gone cannot be made again.
    """
    if network:
        _network_key(as_json, output)
        return
    from rovy.address.keyfile import KeyFile
    from rovy.address.keys import PrivateKey, address_text
    from rovy.config.keys import create_key

    private = PrivateKey.generate(os.urandom)
    peer = str(private.peer_id)
    public = {"peer_id": peer, "address": address_text(private.peer_id.address)}
    if output is None:
        text = KeyFile(private).emit()
        show_json({**public, "key_file": text}) if as_json else click.echo(text, nl=False)
        return
    try:
        create_key(output, private)
    except FileExistsError:
        raise Failed(
            "exists",
            f"{output} exists and is not overwritten",
            "name another file, or move that one away if its identity is no longer needed",
        ) from None
    if as_json:
        show_json({**public, "file": str(output)})
    else:
        show_fields([("PeerID", peer), ("Address", public["address"]), ("File", str(output))])


def _network_key(as_json: bool, output: Path | None) -> None:
    from rovy.config.values import NETWORK_KEY_BYTES, write_network_key

    if output is not None:
        raise click.UsageError("--network prints its key: put it into the configuration file")
    key = write_network_key(os.urandom(NETWORK_KEY_BYTES))
    show_json({"network_key": key}) if as_json else click.echo(f'network_key = "{key}"')


@click.group()
def config() -> None:
    """Look at configuration files."""


@config.command(epilog=examples("rovyctl config check", "rovyctl config check new.toml"))
@click.argument("file", type=FILE, required=False)
@with_json
def check(as_json: bool, file: Path | None) -> None:
    """Check a configuration file, by default the one rovyd reads."""
    from rovy.config.reader import read_settings

    path = (file or places().config_file).absolute()
    read_settings(path, places(), required=file is not None)
    exists = path.exists()
    if as_json:
        show_json({"file": str(path), "exists": exists, "ok": True})
    else:
        click.echo(f"{path}: {'good' if exists else 'not there; rovyd runs with its defaults'}")


@config.command(epilog=examples("rovyctl config show", "rovyctl config show --json"))
@click.argument("file", type=FILE, required=False)
@with_json
def show(as_json: bool, file: Path | None) -> None:
    """Show all settings as a file and the defaults give them, without secrets.

    Each with its origin. Options of rovyd go before the file.
    """
    from rovy.config.reader import read_lines, read_settings
    from rovy.config.show import document, origins, toml

    path = (file or places().config_file).absolute()
    settings = read_settings(path, places(), required=file is not None)
    found = origins(path, *read_lines(path))
    if as_json:
        show_json({**document(settings), "origins": found})
    else:
        click.echo(toml(settings, found), nl=False)


@click.command(
    epilog=examples(
        "rovyctl completion bash > ~/.local/share/bash-completion/completions/rovyctl",
        "rovyctl completion zsh > ~/.zfunc/_rovyctl",
        "rovyctl completion fish > ~/.config/fish/completions/rovyctl.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
@with_json
def completion(context: click.Context, as_json: bool, shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}")
    root: Any = context.find_root().command
    script = kind(root, {}, "rovyctl", "_ROVYCTL_COMPLETE").source()
    show_json({"shell": shell, "script": script}) if as_json else click.echo(script)
