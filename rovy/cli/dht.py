"""Commands about the DHT: what nodes say under names, and how it does."""

import base64
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from rovy.cli.client import Client
from rovy.cli.options import FAILED, Command, complete_peers, examples, with_daemon
from rovy.cli.output import (
    counted,
    milliseconds,
    population,
    seconds,
    shorten,
    show_fields,
    show_json,
    show_table,
    who,
)

MAX_BODY: Final = 1024
"""Bytes of a record's body."""
MAX_TTL: Final = 86400
KINDS: Final = {"name": "what the node calls itself", "service": "what it offers"}
Document = dict[str, Any]


def complete_kinds(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Kinds that have a name."""
    found = (kind for kind in KINDS if kind.startswith(incomplete))
    return [CompletionItem(kind, help=KINDS[kind]) for kind in found]


def _patience(what: str) -> Callable[[Command], Command]:
    return click.option(
        "-W",
        "timeout",
        type=click.FloatRange(0.01, 600),
        default=10.0,
        show_default=True,
        help=f"Seconds to {what}.",
    )


@click.group()
def dht() -> None:
    """Read and write what the network keeps: short signed records of its nodes."""


@dht.command(
    epilog=examples(
        "rovyctl dht get service www --peer laptop",
        "rovyctl dht get 128 blob --raw > blob",
    )
)
@click.argument("kind", shell_complete=complete_kinds)
@click.argument("name")
@click.option(
    "--peer",
    default="",
    shell_complete=complete_peers,
    help="Whose record: a peer's name, id or address; by default this node's.",
)
@click.option("--raw", is_flag=True, help="Print the body alone, byte for byte.")
@_patience("look for it")
@with_daemon
def get(
    client: Client, as_json: bool, kind: str, name: str, peer: str, raw: bool, timeout: float
) -> None:
    """Show what a node has said under a name.

    KIND is name, service or a number from 128 to 255. The record is found by who signed it, so
    nobody else can answer in its place. Exit status 1 when nobody keeps it.
    """
    body = {"kind": kind, "name": name, "peer": peer, "timeout": timeout}
    answer = client.call("POST", "/dht/get", body, timeout=2 * timeout + 5)
    if as_json:
        show_json(answer)
    elif raw:
        click.echo(_bytes(answer), nl=False)
    else:
        _show_record(answer)


def _show_record(answer: Document) -> None:
    signed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(answer["sequence"] / 1000))
    left = f"{seconds(answer['left'])} of {seconds(answer['ttl'])} left"
    signer = f"{answer['peer_name']} {answer['peer_id']}".strip()
    body = answer["body"]
    if answer["encoding"] != "text":
        body = f"{counted(len(_bytes(answer)), 'byte')}, not text; --raw writes them: {body}"
    show_fields(
        [
            ("Record", f"{answer['kind']} {_printable(answer['name'])}"),
            ("Signed by", signer),
            ("Signed", f"{signed}, {left}"),
            ("Body", _printable(body)),
        ]
    )


def _bytes(answer: Document) -> bytes:
    text = str(answer["body"])
    return text.encode() if answer["encoding"] == "text" else base64.b64decode(text)


def _printable(text: str) -> str:
    """What others wrote, without what would steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _read_body(context: click.Context, parameter: click.Parameter, text: str) -> bytes:
    if text == "-":
        body = sys.stdin.buffer.read(MAX_BODY + 1)
    else:
        body = os.fsencode(text)
    if len(body) > MAX_BODY:
        raise click.BadParameter(f"longer than {MAX_BODY} bytes: say where it is to be had instead")
    return body


@dht.command(
    epilog=examples(
        "rovyctl dht put service www 'tcp/80 my pages'",
        "rovyctl dht put name home laptop --ttl 3600",
        "rovyctl dht put 128 blob - < blob",
    )
)
@click.argument("kind", shell_complete=complete_kinds)
@click.argument("name")
@click.argument("body", callback=_read_body)
@click.option(
    "--ttl",
    type=click.IntRange(1, MAX_TTL),
    default=MAX_TTL,
    show_default=True,
    help="Seconds that it counts.",
)
@_patience("find who keeps it")
@with_daemon
def put(
    client: Client, as_json: bool, kind: str, name: str, body: bytes, ttl: int, timeout: float
) -> None:
    """Say something under a name, signed by this node, for everybody to read.

    KIND is name, service or a number from 128 to 255; BODY has at most 1024 bytes, - reads it
    from standard input. The nodes nearest to it keep it; while the daemon runs it is handed out
    again until its time is over. What was said under the name before is replaced. Exit status 1
    when nobody keeps it yet.
    """
    request = {"kind": kind, "name": name, "ttl": ttl, "timeout": timeout}
    coded = {"body": base64.b64encode(body).decode("ascii"), "encoding": "base64"}
    answer = client.call("POST", "/dht/put", {**request, **coded}, timeout=timeout + 5)
    if as_json:
        show_json(answer)
    else:
        _show_stored(answer)
    if not answer["stored"]:
        raise SystemExit(FAILED)


def _show_stored(answer: Document) -> None:
    if answer["stored"]:
        click.echo(f"kept by {answer['stored']} of {counted(answer['asked'], 'node')} asked")
    else:
        asked = f"{counted(answer['asked'], 'node')} asked" if answer["asked"] else "none is known"
        text = f"no other node keeps it yet, {asked}; this one tries again while it runs"
        click.secho(text, fg="yellow")
    if answer["refused"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in answer["refused"].items())
        click.echo(f"not kept: {reasons}")


@dht.command(epilog=examples("rovyctl dht stats", "rovyctl dht stats --json | jq .network_size"))
@click.option("--wide", is_flag=True, help="Whole peer ids.")
@with_daemon
def stats(client: Client, as_json: bool, wide: bool) -> None:
    """Show how this node's part of the DHT does, and the anchors it has a way to."""
    answer = client.call("GET", "/dht")
    if as_json:
        show_json(answer)
        return
    show_fields(_fields(answer))
    click.echo()
    anchors = answer["anchors"]
    if not anchors:
        click.echo("no anchors: there is a way to none")
        return
    short = shorten(anchor["peer_id"] for anchor in anchors)
    rows = [
        (
            anchor["peer_id"] if wide else _anchor(anchor, short),
            anchor["state"],
            str(anchor["hops"]),
            milliseconds(anchor["cost"] if anchor["hops"] else None),
            anchor["address"],
        )
        for anchor in anchors
    ]
    headers = ("ANCHOR", "STATE", "HOPS", "COST", "ADDRESS")
    show_table(headers, rows, flexible=None if wide else 4)


def _anchor(anchor: Document, short: dict[str, str]) -> str:
    if anchor["state"] == "self":
        return "this node"
    return who(anchor["name"], anchor["peer_id"], short)


def _fields(answer: Document) -> list[tuple[str, str]]:
    joined = "joined" if answer["joined"] else "not joined yet"
    contacts = counted(answer["contacts"], "node")
    asked, failed = counted(answer["requests"], "request"), answer["unanswered"]
    return [
        ("Network", population(answer["network_size"])),
        ("Contacts", f"{contacts} in {counted(answer['buckets'], 'bucket')}, {joined}"),
        ("Keeps", _counts(answer["values"]) or "nothing for others yet"),
        ("Published", counted(answer["published"], "own value")),
        ("Lookups", f"{answer['lookups']}, {answer['found']} found what they looked for"),
        ("Asked", f"{asked}, {failed} without an answer"),
        ("Answered", _counts(answer["answered"]) or "nobody yet"),
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(_count(count, kind) for kind, count in counts.items() if count)


def _count(count: int, kind: str) -> str:
    return f"{count} of kind {kind}" if kind.isdigit() else counted(count, kind)
