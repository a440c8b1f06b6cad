"""Commands about what others may begin."""

from typing import Any, Final

import click

from rovy.cli.client import Client, segment
from rovy.cli.options import examples, with_daemon
from rovy.cli.output import shorten, show_json, show_table, who

GUARDS: Final = {
    "": "the interface is off: rules take effect once it is on",
    "off": "the firewall is off: everything comes in, unless something else stops it",
}


@click.group()
def firewall() -> None:
    """Say what others may begin; everything else is closed.

    Answers to what this machine began always come in.
    """


@firewall.command("list", epilog=examples("rovyctl firewall list", "rovyctl firewall list --json"))
@click.option("--wide", is_flag=True, help="Whole peer ids.")
@with_daemon
def list_rules(client: Client, as_json: bool, wide: bool) -> None:
    """List the rules, and what became of packets that came in."""
    answer = client.call("GET", "/firewall")
    if as_json:
        show_json(answer)
        return
    rules = answer["rules"]
    if rules:
        short = shorten(filter(None, (_peer(rule) for rule in rules)))
        rows = [(rule["rule"] if wide else _text(rule, short), rule["origin"]) for rule in rules]
        show_table(("RULE", "ORIGIN"), rows)
    else:
        click.echo("no rules: nothing that others begin comes in")
    kind, counts = answer["kind"], answer["counters"]
    if kind in GUARDS:
        click.secho(GUARDS[kind], fg="yellow")
        return
    packets = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    guard = "rovy itself" if kind == "filter" else kind
    click.echo(f"guarded by {guard}" + (f"; packets: {packets}" if packets else ""))


def _joined(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> str:
    """The words of a rule, which need no quotes."""
    if len(words) > 1 and (len(words) != 3 or words[1] != "from"):
        raise click.BadParameter("write a rule such as tcp/22, or tcp/22 from PEER")
    return " ".join(words)


@firewall.command(
    epilog=examples(
        "rovyctl firewall allow tcp/22",
        "rovyctl firewall allow tcp/80 from laptop",
        "rovyctl firewall allow any from bafzqai…llee",
    )
)
@click.argument("rule", nargs=-1, required=True, callback=_joined)
@with_daemon
def allow(client: Client, as_json: bool, rule: str) -> None:
    """Let something in, from now on and after restarts.

    RULE is a port such as tcp/22, a range such as udp/5000-5010, tcp or udp for all ports, or
    any. «from PEER» behind it lets in that node only; PEER is a name or id.
    """
    answer = client.call("POST", "/firewall", {"rule": rule})
    if as_json:
        show_json(answer)
    else:
        click.echo(f"{'allowed' if answer['new'] else 'was allowed already:'} {answer['rule']}")


@firewall.command(
    epilog=examples("rovyctl firewall deny tcp/22", "rovyctl firewall deny tcp/80 from laptop")
)
@click.argument("rule", nargs=-1, required=True, callback=_joined)
@with_daemon
def deny(client: Client, as_json: bool, rule: str) -> None:
    """Take a rule away, so that what it let in is closed again."""
    answer = client.call("DELETE", f"/firewall/{segment(rule)}")
    if as_json:
        show_json(answer)
        return
    click.echo(f"denied {answer['rule']}")
    if answer.get("note"):
        click.secho(answer["note"], fg="yellow")


def _peer(rule: dict[str, Any]) -> str:
    return str(rule["rule"]).partition(" from ")[2]


def _text(rule: dict[str, Any], short: dict[str, str]) -> str:
    """The rule with its node as people call it."""
    peer = _peer(rule)
    text = str(rule["rule"])
    return text.replace(peer, who(rule["name"], peer, short)) if peer else text
