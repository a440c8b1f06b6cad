"""The firewall's rules: those of the configuration and those added while the daemon runs."""

from collections.abc import Callable, Iterable

from rovy.address.keys import PeerID
from rovy.address.target import Target
from rovy.api.control import AllowedRule, NotFound
from rovy.daemon.gate import Gate
from rovy.errors import UsageError
from rovy.fcnet.rules import FROM, Rule

CONFIG, ADDED = "config", "added"


class RuleBook:
    """Which rules there are, and where that was said. Keeps the gate in step."""

    def __init__(
        self,
        gate: Gate,
        added: Iterable[Rule],
        configured: Iterable[Rule],
        find: Callable[[str], Target],
    ) -> None:
        self._gate, self._find = gate, find
        self._configured: tuple[Rule, ...] = tuple(configured)
        self.added: tuple[Rule, ...] = tuple(added)
        """To be written down."""
        for rule in dict.fromkeys((*self._configured, *self.added)):
            gate.rules.allow(rule)

    def all(self) -> list[AllowedRule]:
        """Every rule with its origin."""
        configured = [AllowedRule(rule, CONFIG) for rule in self._configured]
        added = [rule for rule in self.added if rule not in self._configured]
        return configured + [AllowedRule(rule, ADDED) for rule in added]

    async def configure(self, rules: Iterable[Rule]) -> None:
        """Take over what the configuration says now."""
        await self._apply(tuple(rules), self.added)

    async def allow(self, text: str) -> tuple[Rule, bool]:
        """Add a rule; and whether it is new."""
        rule = self._read(text)
        new = rule not in (*self._configured, *self.added)
        if new:
            await self._apply(self._configured, (*self.added, rule))
        return rule, new

    async def deny(self, text: str) -> tuple[Rule, str]:
        """Take a rule away; and a note on what will bring it back."""
        rule = self._read(text)
        if rule not in (*self._configured, *self.added):
            there = ", ".join(str(each.rule) for each in self.all()) or "none, all is closed"
            raise NotFound(f"no rule {rule}; there are: {there}")
        note = ""
        if rule in self._configured:
            note = "it comes back at the next start or reload: the configuration has it"
        configured = tuple(each for each in self._configured if each != rule)
        await self._apply(configured, tuple(each for each in self.added if each != rule))
        return rule, note

    async def _apply(self, configured: tuple[Rule, ...], added: tuple[Rule, ...]) -> None:
        await self._gate.replace(dict.fromkeys((*configured, *added)))
        self._configured, self.added = configured, added

    def _read(self, text: str) -> Rule:
        """A rule, whose peer may be named as everywhere."""
        what, separator, who = text.partition(FROM)
        if separator:
            peer = self._find(who)
            if not isinstance(peer, PeerID):
                raise UsageError(f"{who.strip()} is no peer id, and no peer here has that name")
            text = f"{what}{FROM}{peer}"
        return Rule.parse(text)
