"""The firewall as a table of nftables, and the nft(8) command that puts it in place.

The table belongs to one interface and is named after it (`rovy-rovy0`), so nobody else's rules are
touched and several daemons do not meet. What others' tables drop stays dropped: this one closes
the interface and opens nothing that is closed elsewhere.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from string import Template
from typing import Any, Final

from rovy.errors import UsageError
from rovy.fcnet.limits import ECHO_BURST, ECHO_RATE, REFUSAL_BURST, REFUSAL_RATE
from rovy.fcnet.rules import Protocol, Rule, port_text

FAMILY: Final = "ip6"
MOST_NAME: Final = 15
"""Characters of an interface's name (IFNAMSIZ)."""
_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")

# A TUN interface is of type 65534 (ARPHRD_NONE): other daemons' packets are theirs to judge.
_TABLE: Final = Template("""\
table ip6 $table {
    counter allowed { }
    counter echo { }
    counter refused { }
    counter dropped { }
    counter forwarded { }
    counter spoofed { }

    chain spoofed {
        type filter hook prerouting priority raw; policy accept;
        iifname { "$interface", "lo" } accept
        ip6 daddr $address counter name "spoofed" drop
        meta iiftype != 65534 ip6 saddr fc00::/8 counter name "spoofed" drop
    }

    chain input {
        type filter hook input priority filter; policy accept;
        iifname != "$interface" accept
        ct state established,related accept
        icmpv6 type echo-request limit rate $echo accept
        icmpv6 type echo-request counter name "echo" drop
        jump allowed
        meta l4proto ipv6-icmp counter name "dropped" drop
        limit rate over $refusals counter name "dropped" drop
        counter name "refused"
        meta l4proto tcp reject with tcp reset
        reject with icmpv6 port-unreachable
    }

    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname "$interface" counter name "forwarded" drop
        oifname "$interface" counter name "forwarded" drop
    }

    chain allowed {
$rules    }
}
""")


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    status: int
    output: str = ""
    error: str = ""


Run = Callable[[Sequence[str], str], Done]
"""Runs a command with that standard input; `FileNotFoundError` where it is not installed."""


class NftMissing(UsageError):
    """The nft command is not installed."""

    def __init__(self) -> None:
        super().__init__("nft is not installed: install the package nftables")


class Nft:
    """The table of one interface. Each call runs nft once and waits for it."""

    def __init__(self, interface: str, address: bytes, run: Run) -> None:
        """`address`: the node's own, 16 bytes. Raises `UsageError` on names nft cannot take."""
        if not (0 < len(interface) <= MOST_NAME and set(interface) <= _NAME):
            raise UsageError(
                f"interface {interface!r}: choose a name of 1 to {MOST_NAME} letters, digits,"
                " '-', '_' or '.'"
            )
        self.interface, self.table = interface, f"rovy-{interface}"
        self._address, self._run = str(IPv6Address(address)), run

    def available(self) -> bool:
        """Whether nft is there, and the kernel would let us have such a table."""
        try:
            self._nft("--check", "--file", "-", stdin=self._fresh(()))
        except UsageError:
            return False
        return True

    def install(self, rules: Iterable[Rule]) -> None:
        """Put the table in place, in one step, instead of one a former run may have left.

        This and all below raise `NftMissing`, and `UsageError` with nft's words.
        """
        self._load(self._fresh(rules))

    def replace_rules(self, rules: Iterable[Rule]) -> None:
        """Change the rules in one step, and keep the counters; a lost table is made again."""
        self._load(f"{self._declared}flush table {FAMILY} {self.table}\n{self.text(rules)}")

    def remove(self) -> None:
        """Take the table away, if it is there."""
        self._load(self._deleted)

    def installed(self) -> bool:
        """Whether the table is there: anybody's `nft flush ruleset` takes it away."""
        listed = self._json("list", "tables", FAMILY)
        return any(item.get("table", {}).get("name") == self.table for item in listed)

    def counters(self) -> dict[str, int]:
        """Packets by name: allowed, echo, refused, dropped, forwarded, spoofed.

        All but the first were dropped: `echo` above the rate, `forwarded` between interfaces.
        """
        listed = self._json("list", "counters", "table", FAMILY, self.table)
        found = [item["counter"] for item in listed if "counter" in item]
        return {counter["name"]: counter["packets"] for counter in found}

    def text(self, rules: Iterable[Rule]) -> str:
        """The table in the language of nft."""
        return _TABLE.substitute(
            table=self.table,
            interface=self.interface,
            address=self._address,
            echo=f"{ECHO_RATE}/second burst {ECHO_BURST} packets",
            refusals=f"{REFUSAL_RATE}/second burst {REFUSAL_BURST} packets",
            rules="".join(f"        {_statement(rule)}\n" for rule in rules),
        )

    @property
    def _declared(self) -> str:
        """Makes sure that the table is there, so that it can be emptied or deleted."""
        return f"add table {FAMILY} {self.table}\n"

    @property
    def _deleted(self) -> str:
        return f"{self._declared}delete table {FAMILY} {self.table}\n"

    def _fresh(self, rules: Iterable[Rule]) -> str:
        return self._deleted + self.text(rules)

    def _load(self, text: str) -> None:
        self._nft("--file", "-", stdin=text)

    def _json(self, *arguments: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self._nft("--json", *arguments))["nftables"]
        return listed

    def _nft(self, *arguments: str, stdin: str = "") -> str:
        try:
            done = self._run(["nft", *arguments], stdin)
        except FileNotFoundError:
            raise NftMissing from None
        if done.status != 0:
            lines = [line for line in done.error.splitlines() if line.strip()]
            reason = lines[0] if lines else f"exit status {done.status}"
            raise UsageError(
                f"the firewall: nft says: {reason}; it needs CAP_NET_ADMIN, and a kernel with"
                " nf_tables"
            )
        return done.output


def _statement(rule: Rule) -> str:
    who = f"ip6 saddr {IPv6Address(rule.peer.address)} " if rule.peer else ""
    what = ""
    if rule.ports:
        what = f"{rule.protocol} dport {port_text(rule.ports)} "
    elif rule.protocol is not Protocol.ANY:
        what = f"meta l4proto {rule.protocol} "
    return f'{who}{what}counter name "allowed" accept'
