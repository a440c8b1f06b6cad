"""From settings to a running daemon, and its signals."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rovy.address.keys import PrivateKey
from rovy.config.files import locked
from rovy.config.keys import load_or_create_key
from rovy.config.settings import PeerSetting, Settings
from rovy.config.state import State, load_state
from rovy.daemon.daemon import Daemon
from rovy.daemon.notify import Notifier
from rovy.daemon.stamps import AHEAD
from rovy.errors import UsageError

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
    """Run a daemon to its end. Raises `RovyError` where it cannot run."""
    settings = start.settings
    make_directory(settings)
    with locked(settings.state_dir):
        private, created = load_or_create_key(settings.key_file)
        state, damage = load_state(settings.state_file)
        if state is None:
            log.warning("%s", damage)
            state = State(stamp_bound=time.time_ns() + AHEAD)
        await _serve(start, private, state, created)


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


async def _serve(start: Start, private: PrivateKey, state: State, created: bool) -> None:
    from rovy.api.listener import listening
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
    )
    server = Server(daemon)
    with listening(settings.socket) as sock, _signals(daemon):
        async with daemon.running():
            await server.start(sock)
            try:
                _ready(start, daemon, created)
                await daemon.wait_stop()
            finally:
                start.notifier.stopping()
                await server.close()
    log.info("stopped")


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
