"""rovyd: options, environment, and errors in one line."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rovy import __version__
from rovy.address.multiaddr import Multiaddr
from rovy.config.places import Places
from rovy.config.reader import read_settings
from rovy.config.settings import KEY_FILE, LOG_FORMATS, LOG_LEVELS, PeerSetting, Settings
from rovy.config.values import read_listen, read_network_key, read_peer
from rovy.discovery.const import MODES as DISCOVERY_MODES
from rovy.errors import Malformed, RovyError

log = logging.getLogger("rovy.daemon")
EPILOG = """\b
Examples:
  rovyd                                   run with the defaults
  rovyd --peer /ip4/192.0.2.1/udp/1312/rovy/bafzqai…
  rovyd --listen /ip4/0.0.0.0/udp/4000 --log-level debug
  rovyd --state-dir /tmp/b --socket /tmp/b/api.sock    a second node

Signals: SIGTERM and SIGINT stop it, SIGHUP reads the configuration again.
"""


class Reads(click.ParamType[Any]):
    """An option whose text is read by one of our readers."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name, self._read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except Malformed as error:
            self.fail(str(error), param, ctx)


FILE = click.Path(path_type=Path)


@click.command(
    epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 90}
)
@click.option("--config", type=FILE, envvar="ROVY_CONFIG", help="Configuration file, TOML.")
@click.option("--key", type=FILE, help="Key file; made when it is missing.")
@click.option(
    "--listen",
    type=Reads("multiaddr", read_listen),
    multiple=True,
    help="Address to receive on, instead of those of the file. May be repeated.",
)
@click.option(
    "--peer",
    type=Reads("multiaddr", read_peer),
    multiple=True,
    help="Peer to keep, besides those of the file. May be repeated.",
)
@click.option(
    "--network-key",
    type=Reads("key", read_network_key),
    envvar="ROVY_NETWORK_KEY",
    help="Key of a private network. Other users see the command line: better in the file, or in"
    " the variable ROVY_NETWORK_KEY.",
)
@click.option(
    "--discovery",
    type=click.Choice(DISCOVERY_MODES),
    help="Find nodes on the local network, and be found; listen: find them only.",
)
@click.option("--state-dir", type=FILE, help="Directory the daemon writes to.")
@click.option("--socket", type=FILE, envvar="ROVY_SOCKET", help="API socket.")
@click.option("--log-level", type=click.Choice(LOG_LEVELS), help="Least urgent messages logged.")
@click.option("--log-format", type=click.Choice(LOG_FORMATS), help="For people or for programs.")
@click.version_option(__version__, message="rovyd %(version)s")
def command(config: Path | None, **options: Any) -> None:
    """Run a node of the rovy network.

    Without options it reads the configuration file if there is one, makes a key when it is run
    for the first time, and keeps to the foreground.
    """
    places = Places.of(os.geteuid(), os.environ, Path(os.path.expanduser("~")))
    path = (config or places.config_file).absolute()

    def read() -> Settings:
        file = read_settings(path, places, required=config is not None)
        return with_options(file, **options)

    file = str(path) if config or path.exists() else ""
    run(read, file, set(options["peer"]), options["log_format"] or "text")


def run(
    read: Callable[[], Settings], config_file: str, named: set[PeerSetting], log_format: str
) -> None:
    """Start with these settings; what goes wrong ends in one line and exit status 1.

    `log_format` is that of what goes wrong before the settings are known.
    """
    from rovy.daemon import logs

    try:
        settings = read()
        log_format = settings.log_format
        logs.set_up(settings.log_level, log_format)
        from rovy.daemon.notify import Notifier
        from rovy.daemon.start import Start, serve

        notifier = Notifier.take(os.environ, os.getpid())

        def origin(entry: PeerSetting) -> str:
            return "command line" if entry in named else "config"

        _run_loop(serve(Start(settings, read, config_file, origin, notifier, _show)))
    except RovyError as error:
        if log_format == "json":
            logs.set_up("error", log_format)
            log.critical("%s", error)
        else:
            print(f"rovyd: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        log.critical("a mistake of rovyd", exc_info=True)
        sys.exit(1)


def with_options(
    settings: Settings,
    *,
    key: Path | None,
    listen: tuple[Multiaddr, ...],
    peer: tuple[PeerSetting, ...],
    network_key: bytes | None,
    discovery: str | None,
    state_dir: Path | None,
    socket: Path | None,
    log_level: str | None,
    log_format: str | None,
) -> Settings:
    """The file's settings with those of the command line put over them."""
    if state_dir and settings.key_file == settings.state_dir / KEY_FILE:
        settings = replace(settings, key_file=state_dir.absolute() / KEY_FILE)
    given = {
        "key_file": key and key.absolute(),
        "listen": listen,
        "network_key": network_key,
        "discovery": discovery,
        "state_dir": state_dir and state_dir.absolute(),
        "socket": socket and socket.absolute(),
        "log_level": log_level,
        "log_format": log_format,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value}
    settings = replace(settings, **changes, peers=settings.peers + peer)
    settings.check()
    return settings


def main() -> None:
    """The program."""
    command(prog_name="rovyd")


def _show(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        log.info("%s", line)


def _run_loop(work: Any) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
