"""rovyctl watch: what a node does, as it does it."""

import time
from collections import deque
from contextlib import ExitStack
from threading import Thread
from typing import Any, Final

import click

from rovy.cli import screen
from rovy.cli.client import Client, Failed
from rovy.cli.options import examples, with_daemon
from rovy.cli.output import show_json
from rovy.cli.sample import Sample, difference
from rovy.cli.view import events_view, view

REMEMBERED: Final = 8
"""Events that the full screen shows."""
UNREAD: Final = 1000
"""Events between two looks; the oldest give way."""


@click.command(
    epilog=examples(
        "rovyctl watch",
        "rovyctl watch --interval 5 | tee log",
        "rovyctl watch --once",
        "rovyctl watch --json | jq -c .drops",
    )
)
@click.option(
    "-i",
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between looks.",
)
@click.option("--once", is_flag=True, help="One look, after one interval, then end.")
@with_daemon
def watch(client: Client, as_json: bool, interval: float, once: bool) -> None:
    """Show peers, traffic, drops and events, until interrupted.

    On a terminal it fills the screen and is drawn anew, elsewhere each look is a block of lines;
    with --json it is one object a line. Rates are those since the look before.
    """
    try:
        with ExitStack() as stack:
            full = not as_json and not once and screen.usable()
            drawn = stack.enter_context(screen.Screen()) if full else None
            _watch(client, as_json, interval, once, drawn)
    except KeyboardInterrupt:
        return


def _watch(
    client: Client, as_json: bool, interval: float, once: bool, drawn: screen.Screen | None
) -> None:
    events, last = Events(client), deque[dict[str, Any]](maxlen=REMEMBERED)
    before: Sample | None = None
    while True:
        began = time.monotonic()
        now = Sample.take(client)
        if before or not once:
            fresh = events.take()
            last.extend(fresh)
            look = {**difference(now, before), "events": fresh}
            if as_json:
                show_json(look, indent=None)
            elif drawn:
                drawn.show(view(look), events_view(last))
            else:
                click.echo("\n".join([*view(look), *events_view(fresh), ""]))
        if before and once:
            return
        before = now
        time.sleep(max(0.0, began + interval - time.monotonic()))


class Events:
    """What happens meanwhile, read by a thread."""

    def __init__(self, client: Client) -> None:
        self._client = Client(client.path)
        self._unread: deque[dict[str, Any]] = deque(maxlen=UNREAD)
        Thread(target=self._read, daemon=True).start()

    def take(self) -> list[dict[str, Any]]:
        """Those not taken yet."""
        return [self._unread.popleft() for _ in range(len(self._unread))]

    def _read(self) -> None:
        try:
            self._unread.extend(self._client.stream("/events"))
        except Failed:
            pass  # the next look will find the same, and say it
