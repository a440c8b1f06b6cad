"""rovyctl traceroute, with the output of traceroute(8)."""

from typing import Any

import click

from rovy.cli.client import Client
from rovy.cli.options import FAILED, complete_peers, examples, with_daemon
from rovy.cli.output import counted, milliseconds, shorten, show_json, who


@click.command(
    epilog=examples(
        "rovyctl traceroute laptop",
        "rovyctl traceroute --wide fc78:4ece:…",
        "rovyctl traceroute /rovyrt/03-1a-07",
    )
)
@click.argument("target", shell_complete=complete_peers)
@click.option(
    "-w",
    "timeout",
    type=click.FloatRange(0.01, 60),
    default=2.0,
    show_default=True,
    help="Seconds to wait for each answer.",
)
@click.option("--wide", is_flag=True, help="Whole peer ids.")
@with_daemon
def traceroute(client: Client, as_json: bool, target: str, timeout: float, wide: bool) -> None:
    """Ask every node along the route to a node who it is.

    Each is asked three times and signs its answers, so that none can pose as another. The times
    include the signing. TARGET is a peer's name or id, an fc00::/8 address, a route label, or
    an address with /rovy/<peer id>. Exit status 1 when it does not answer.
    """
    body = {"target": target, "timeout": timeout}
    answer = client.call("POST", "/traceroute", body, timeout=20 * timeout + 5)
    if as_json:
        show_json(answer)
    else:
        _show(_unnamed(answer) if wide else answer, wide)
    if not answer["reached"]:
        raise SystemExit(FAILED)


def _show(answer: dict[str, Any], wide: bool) -> None:
    hops, peer = answer["hops"], answer["peer_id"]
    every = {peer, *(hop[key] for hop in hops for key in ("peer_id", "expected"))} - {""}
    short = {each: each for each in every} if wide else shorten(every)
    target = f"{who(answer['name'], peer, short)} ({answer['address']})" if peer else "the end"
    along = f" along {answer['label']}" if answer["label"] else ""
    click.echo(f"traceroute to {target}, {counted(len(hops), 'hop')}{along}")
    for number, hop in enumerate(hops, 1):
        click.echo(f"{number:2}  {_line(hop, short)}")
    if not answer["reached"]:
        _show_fault(hops)


def _unnamed(answer: dict[str, Any]) -> dict[str, Any]:
    """The same without the names that stand in the place of ids."""
    return {**answer, "name": "", "hops": [{**hop, "name": ""} for hop in answer["hops"]]}


def _line(hop: dict[str, Any], short: dict[str, str]) -> str:
    times = "  ".join("*" if rtt is None else milliseconds(rtt) for rtt in hop["rtts"])
    peer, expected = hop["peer_id"], hop["expected"]
    if not peer:
        there = f"  ({short[expected]} should be there)" if expected else ""
        return " ".join("*" for _ in hop["rtts"]) + there
    wrong = f"  (the map has {short[expected]} there)" if expected not in ("", peer) else ""
    return f"{who(hop['name'], peer, short)} ({hop['address']})  {times}{wrong}"


def _show_fault(hops: list[dict[str, Any]]) -> None:
    answered = max((number for number, hop in enumerate(hops, 1) if hop["peer_id"]), default=0)
    fault = f"Nobody behind hop {answered} answered." if answered else "Nobody answered."
    if answered == len(hops):
        fault = "The route leads to another node."
    click.secho(fault, fg="yellow", err=True)
