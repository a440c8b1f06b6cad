"""rovyctl ping, with the output of ping(8)."""

import time
from dataclasses import dataclass, field
from typing import Any

import click

from rovy.cli.client import Client, Failed
from rovy.cli.options import FAILED, complete_peers, examples, with_daemon
from rovy.cli.output import milliseconds, shorten, show_json

FATAL = {"not found", "not running", "stale socket", "no permission", "no socket"}
"""Reasons that another try does not change."""


@dataclass(slots=True)
class Tally:
    """What came back so far."""

    sent: int = 0
    times: list[float] = field(default_factory=list)
    """Round trips, ms."""
    started: float = field(default_factory=time.monotonic)

    def document(self) -> dict[str, Any]:
        """The summary for programs."""
        answered = len(self.times)
        return {
            "type": "summary",
            "sent": self.sent,
            "answered": answered,
            "loss": 1 - answered / self.sent if self.sent else 0.0,
            "duration_ms": (time.monotonic() - self.started) * 1000,
            **self._spread(),
        }

    def lines(self) -> list[str]:
        """The summary for people."""
        answer = self.document()
        counts = (
            f"{self.sent} sent, {answer['answered']} answered, {answer['loss'] * 100:.3g}% lost"
        )
        lines = [f"{counts}, time {answer['duration_ms']:.0f} ms"]
        if self.times:
            spread = "/".join(f"{value:.3f}" for value in self._spread().values())
            lines.append(f"rtt min/avg/max/mdev = {spread} ms")
        return lines

    def _spread(self) -> dict[str, float]:
        if not self.times:
            return {}
        mean = sum(self.times) / len(self.times)
        square = sum(value * value for value in self.times) / len(self.times)
        return {
            "min_ms": min(self.times),
            "avg_ms": mean,
            "max_ms": max(self.times),
            "mdev_ms": max(0.0, square - mean * mean) ** 0.5,
        }


@click.command(
    epilog=examples(
        "rovyctl ping laptop",
        "rovyctl ping -c 3 /rovy/bafzqai…",
        "rovyctl ping -c 1 -W 1 fc78:4ece:…",
        "rovyctl ping /rovyrt/03-1a-07",
    )
)
@click.argument("target", shell_complete=complete_peers)
@click.option("-c", "count", type=click.IntRange(1), help="Stop after so many.")
@click.option(
    "-i",
    "interval",
    type=click.FloatRange(0.01, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between them.",
)
@click.option(
    "-s",
    "size",
    type=click.IntRange(0, 16384),
    default=56,
    show_default=True,
    help="Bytes each carries.",
)
@click.option(
    "-W",
    "timeout",
    type=click.FloatRange(0.01, 600),
    default=5.0,
    show_default=True,
    help="Seconds to wait for each.",
)
@with_daemon
def ping(
    client: Client,
    as_json: bool,
    target: str,
    count: int | None,
    interval: float,
    size: int,
    timeout: float,
) -> None:
    """Measure round trips to a node.

    TARGET is a peer's name or id, an fc00::/8 address, a route label, or an address with
    /rovy/<peer id>. Exit status 1 when nothing came back.
    """
    tally = Tally()
    if not as_json:
        click.echo(f"PING {target}: {size} bytes")
    try:
        while count is None or tally.sent < count:
            began = time.monotonic()
            tally.sent += 1
            _one(client, as_json, tally, {"target": target, "size": size, "timeout": timeout})
            if tally.sent != count:
                time.sleep(max(0.0, began + interval - time.monotonic()))
    except KeyboardInterrupt:
        if not as_json:
            click.echo()
    if as_json:
        show_json(tally.document(), indent=None)
    else:
        click.echo(f"--- {target} ping statistics ---")
        click.echo("\n".join(tally.lines()))
    if not tally.times:
        raise SystemExit(FAILED)


def _one(client: Client, as_json: bool, tally: Tally, request: dict[str, Any]) -> None:
    """One probe; what makes no sense to repeat is raised."""
    try:
        answer = client.call("POST", "/ping", request, timeout=request["timeout"] + 5)
    except Failed as error:
        if error.usage or (error.reason in FATAL and not error.passing):
            raise
        _show_lost(as_json, tally.sent, error)
        return
    tally.times.append(answer["rtt"] * 1000)
    if as_json:
        show_json(_reply(tally.sent, answer), indent=None)
        return
    peer = shorten([answer["peer_id"]])[answer["peer_id"]]
    click.echo(
        f"{answer['size']} bytes from {peer}: seq={tally.sent} via {answer['route']}"
        f" time={milliseconds(answer['rtt'])}"
    )


def _show_lost(as_json: bool, number: int, error: Failed) -> None:
    if as_json:
        show_json({"type": "lost", "seq": number, **error.document()}, indent=None)
    else:
        click.echo(f"{error.message} seq={number}")


def _reply(number: int, answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "reply",
        "seq": number,
        "peer_id": answer["peer_id"],
        "route": answer["route"],
        "size": answer["size"],
        "time_ms": answer["rtt"] * 1000,
    }
