"""From settings to a running daemon, and its signals."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rovy.address.keys import PrivateKey
from rovy.config.files import locked
from rovy.config.keys import load_or_create_key
from rovy.config.settings import PeerSetting, Settings
from rovy.config.state import State, load_state
from rovy.daemon.daemon import Daemon
from rovy.daemon.lan import Media
from rovy.daemon.notify import Notifier
from rovy.daemon.privileges import DAC_OVERRIDE, NET_ADMIN, NET_BIND_SERVICE, drop_privileges
from rovy.daemon.stamps import AHEAD
from rovy.discovery.mdns import open_mdns
from rovy.errors import UsageError
from rovy.io.lan import lan_interfaces

UNPRIVILEGED: Final = 1024
"""The lowest port that everybody may bind."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """All that a daemon is started with."""

    settings: Settings
    read: Callable[[], Settings]
    """Reads the settings again."""
    config_file: str
    origin: Callable[[PeerSetting], str]
    """Who named a peer."""
    notifier: Notifier
    show: Callable[[str], None]
    """Prints a line for the person who started it."""


async def serve(start: Start) -> None:
    """Run a daemon to its end. Raises `RovyError` where it cannot run.

    The socket goes last: when it is gone, the next daemon can start.
    """
    from rovy.api.listener import listening

    settings = start.settings
    make_directory(settings)
    with listening(settings.socket) as sock, locked(settings.state_dir):
        private, created = load_or_create_key(settings.key_file)
        state, damage = load_state(settings.state_file)
        if state is None:
            log.warning("%s", damage)
            state = State(stamp_bound=time.time_ns() + AHEAD)
        await _serve(start, sock, private, state, created)


def make_directory(settings: Settings) -> None:
    """The state directory, for its owner only where it is new."""
    directory = settings.state_dir
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
    else:
        if os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            return
        reason = "no permission to write there"
    raise UsageError(
        f"{directory}: cannot be used as the state directory: {reason}; mend its owner, or name"
        " another one with --state-dir"
    )


def needed(settings: Settings, config_file: str) -> set[str]:
    """Capabilities a daemon that runs as root cannot do without."""
    keep = {NET_ADMIN}
    if any(address.port < UNPRIVILEGED for address in settings.listen):
        keep.add(NET_BIND_SERVICE)
    places = [settings.state_dir, settings.socket.parent]
    if config_file:
        places.append(Path(config_file).parent)
    if os.geteuid() == 0 and not all(map(_usable_without, places)):
        log.info("keeping the capability %s: directories belong to others", DAC_OVERRIDE)
        keep.add(DAC_OVERRIDE)
    return keep


def _usable_without(directory: Path) -> bool:
    """Whether a directory is our own, and in one that everybody may enter or that is ours, too."""
    directory = directory.resolve()
    stats = [each.stat() for each in (directory, *directory.parents)]
    own = os.geteuid()
    return stats[0].st_uid == own and all(s.st_uid == own or s.st_mode & 0o001 for s in stats)


async def _serve(
    start: Start, sock: socket.socket, private: PrivateKey, state: State, created: bool
) -> None:
    with _no_certificates():
        from rovy.api.server import Server  # brings aiohttp

    settings = start.settings
    daemon = Daemon(
        settings,
        private,
        state,
        read=start.read,
        config_file=start.config_file,
        origin=start.origin,
        notifier=start.notifier,
        media=Media(open_mdns, lan_interfaces, os.urandom),
    )
    server = Server(daemon)
    with _signals(daemon):
        drop_privileges(needed(settings, start.config_file))
        async with daemon.running():
            await server.start(sock)
            try:
                if settings.metrics_listen:
                    await server.serve_metrics(settings.metrics_listen)
                _ready(start, daemon, created)
                await daemon.wait_stop()
            finally:
                start.notifier.stopping()
                await server.close()
    log.info("stopped")


@contextlib.contextmanager
def _no_certificates() -> Iterator[None]:
    """For aiohttp, which reads every authority of the machine, 2 MB, when it is imported."""
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    former = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _ready(start: Start, daemon: Daemon, created: bool) -> None:
    peer, port = daemon.node.peer_id, daemon.node.sockets[0].bound.port
    log.info("%s is ready on UDP port %d, API on %s", peer, port, start.settings.socket)
    if created:
        for line in daemon.lines():
            start.show(line)
        start.show("Next     rovyctl peer add /ip4/…/udp/…/rovy/…   then   rovyctl peers")
    start.notifier.ready(f"UDP port {port}")


@contextlib.contextmanager
def _signals(daemon: Daemon) -> Iterator[None]:
    """SIGTERM and SIGINT stop, the second one at once; SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def stop(number: signal.Signals) -> None:
        log.info("stopping: %s", number.name)
        daemon.stop()
        loop.remove_signal_handler(number)

    def reload() -> None:
        task = loop.create_task(daemon.reload_and_log())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        for task in tasks:
            task.cancel()
