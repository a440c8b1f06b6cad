"""The firewall where nftables is missing: the same rules, on packets as they pass the edge.

What this machine begins may be answered, and what a rule allows comes in; nothing that comes in
leaves anything behind but a fragment's number, so strangers cannot fill the tables.
"""

from collections import OrderedDict
from enum import Enum
from typing import Final, NamedTuple

from rovy.buckets import TokenBucket
from rovy.errors import Malformed
from rovy.fcnet.flows import Flow, Flows
from rovy.fcnet.headers import ICMPV6, TCP, UDP, Upper, upper
from rovy.fcnet.icmp6 import ECHO_REPLY, ECHO_REQUEST, FIRST_INFORMATIONAL, ICMP_HEADER
from rovy.fcnet.limits import ECHO_BURST, ECHO_RATE, REFUSAL_BURST, REFUSAL_RATE
from rovy.fcnet.refusal import ACK, FIN, RST, SYN, TCP_HEADER
from rovy.fcnet.rules import Protocol, Rule, Rules
from rovy.wire.ip6 import DESTINATION, HEADER, SOURCE, Bytes

HALF_OPEN, ESTABLISHED, CLOSING = 30.0, 7440.0, 300.0
"""Seconds a TCP flow lasts without a packet: unanswered, answered (RFC 5382 §5), ended."""
ICMP_LIFE: Final = 30.0
LIFE: Final = 180.0
"""The same for UDP and every other protocol."""
FRAGMENT_LIFE: Final = 30.0
FRAGMENTS: Final = 1024
"""First fragments let in that are remembered; the oldest gives way."""
PORTS: Final = 4
FLAGS: Final = 13  # offset in the TCP header
ECHO_ID, ECHO_ID_END = 4, 6
QUOTED: Final = 8
"""Bytes of an upper header that are enough in the quote of an ICMPv6 error."""
_LEAST: Final = {TCP: TCP_HEADER.size, UDP: 8, ICMPV6: ICMP_HEADER}
_NUMBERS: Final = {Protocol.TCP: TCP, Protocol.UDP: UDP}


class Action(Enum):
    """What to do with a packet."""

    PASS = 0
    REFUSE = 1
    """Answer with `refusal`, and drop."""
    DROP = 2


class Verdict(NamedTuple):
    """An action, and the counter it adds to."""

    action: Action
    reason: str


KNOWN: Final = Verdict(Action.PASS, "known")
ALLOWED: Final = Verdict(Action.PASS, "allowed")
PINGED: Final = Verdict(Action.PASS, "pinged")
REFUSED: Final = Verdict(Action.REFUSE, "refused")
DROPPED: Final = Verdict(Action.DROP, "dropped")
ECHO: Final = Verdict(Action.DROP, "echo")
UNRELATED: Final = Verdict(Action.DROP, "unrelated")
FRAGMENT: Final = Verdict(Action.DROP, "fragment")
MALFORMED: Final = Verdict(Action.DROP, "malformed")
_VERDICTS: Final = (
    KNOWN, ALLOWED, PINGED, REFUSED, DROPPED, ECHO, UNRELATED, FRAGMENT, MALFORMED,
)  # fmt: skip


class Filter:
    """Judges what comes in. `rules` may change meanwhile; flows that exist go on."""

    def __init__(self, rules: Rules, now: float) -> None:
        self._rules = rules
        self._flows = Flows()
        self._fragments: OrderedDict[bytes, float] = OrderedDict()
        self._echo = TokenBucket(ECHO_RATE, ECHO_BURST, now)
        self._refusals = TokenBucket(REFUSAL_RATE, REFUSAL_BURST, now)
        self._counts = dict.fromkeys((verdict.reason for verdict in _VERDICTS), 0)

    def use(self, rules: Rules) -> None:
        """Judge by other rules from now on; flows that exist go on."""
        self._rules = rules

    def counters(self) -> dict[str, int]:
        """Packets that came in, by verdict; names that nftables has too mean the same."""
        return dict(self._counts)

    def outgoing(self, packet: Bytes, now: float) -> None:
        """A packet leaves: its answers may come in."""
        try:
            found = upper(packet)
        except Malformed:
            return
        key = _key(packet, found, out=True)
        if not key:
            return
        flags = packet[found.at + FLAGS] if found.protocol == TCP else 0
        flow = self._flows.find(key, now)
        if flow is None or _begins(flags):
            if flags & RST:
                return
            flow = self._flows.begin(key, now)
        self._use(key, flow, found.protocol, flags, now)

    def incoming(self, packet: Bytes, now: float) -> Verdict:
        """Whether a packet for this machine may come in."""
        verdict = self._judge(packet, now)
        self._counts[verdict.reason] += 1
        return verdict

    def _judge(self, packet: Bytes, now: float) -> Verdict:
        try:
            found = upper(packet)
        except Malformed:
            return MALFORMED
        number = bytes(packet[SOURCE:DESTINATION]) + found.fragment
        if not found.first:
            return KNOWN if self._fragments.get(number, 0.0) > now else FRAGMENT
        verdict = self._begin(packet, found, now)
        if found.fragment and verdict.action is Action.PASS:
            self._remember(number, now)
        return verdict

    def _begin(self, packet: Bytes, found: Upper, now: float) -> Verdict:
        """Judge a packet that has its upper layer's header."""
        if len(packet) - found.at < _LEAST.get(found.protocol, 0):
            return MALFORMED
        if found.protocol == ICMPV6:
            kind = packet[found.at]
            if kind < FIRST_INFORMATIONAL:
                return KNOWN if self._quotes_ours(packet, found.at, now) else UNRELATED
            if kind == ECHO_REQUEST:
                return PINGED if self._echo.take(now) else ECHO
        key = _key(packet, found, out=False)
        flow = self._flows.find(key, now) if key else None
        flags = packet[found.at + FLAGS] if found.protocol == TCP else 0
        # A connection that stands is not opened again: that takes a rule.
        if flow is None or (_begins(flags) and flow.answered):
            return self._unasked(packet, found, now)
        self._use(key, flow, found.protocol, flags, now, answer=True)
        return KNOWN

    def _unasked(self, packet: Bytes, found: Upper, now: float) -> Verdict:
        source = bytes(packet[SOURCE:DESTINATION])
        port = 0
        if found.protocol in (TCP, UDP):
            port = (packet[found.at + 2] << 8) | packet[found.at + 3]
        if any(_admits(rule, found.protocol, port, source) for rule in self._rules):
            return ALLOWED
        if found.protocol == ICMPV6:
            return DROPPED
        return REFUSED if self._refusals.take(now) else DROPPED

    def _quotes_ours(self, packet: Bytes, at: int, now: float) -> bool:
        """Whether an ICMPv6 error is about a flow of ours (RFC 5927)."""
        quote = packet[at + ICMP_HEADER :]
        try:
            found = upper(quote)
        except Malformed:
            return False
        if quote[SOURCE:DESTINATION] != packet[DESTINATION:HEADER]:
            return False
        key = _key(quote, found, out=True, least=QUOTED)
        return bool(key) and self._flows.find(key, now) is not None

    def _use(
        self, key: bytes, flow: Flow, protocol: int, flags: int, now: float, *, answer: bool = False
    ) -> None:
        life = ICMP_LIFE if protocol == ICMPV6 else LIFE
        if protocol == TCP:
            flow.closing |= bool(flags & (FIN | RST))
            life = ESTABLISHED if answer or flow.answered else HALF_OPEN
            life = CLOSING if flow.closing else life
        self._flows.use(key, flow, now + life, answer=answer)

    def _remember(self, number: bytes, now: float) -> None:
        self._fragments[number] = now + FRAGMENT_LIFE
        self._fragments.move_to_end(number)
        if len(self._fragments) > FRAGMENTS:
            self._fragments.popitem(last=False)


def _begins(flags: int) -> bool:
    """Whether a TCP packet with these flags asks for a new connection."""
    return flags & (SYN | ACK | RST) == SYN


def _admits(rule: Rule, protocol: int, port: int, source: bytes) -> bool:
    if rule.peer and rule.peer.address != source:
        return False
    if rule.protocol is Protocol.ANY:
        return True
    return protocol == _NUMBERS[rule.protocol] and (rule.ports is None or port in rule.ports)


def _key(packet: Bytes, found: Upper, *, out: bool, least: int = 0) -> bytes:
    """Protocol, remote address, local and remote port or echo identifier; empty for no flow.

    A packet has its whole upper header, unless `least` bytes are said to be enough, as in a quote.
    """
    protocol, at = found.protocol, found.at
    if not found.first or len(packet) - at < (least or _LEAST.get(protocol, 0)):
        return b""
    remote = packet[DESTINATION:HEADER] if out else packet[SOURCE:DESTINATION]
    local: Bytes = b""
    if protocol in (TCP, UDP):
        first, second = packet[at : at + PORTS // 2], packet[at + PORTS // 2 : at + PORTS]
        local = b"".join((first, second) if out else (second, first))
    elif protocol == ICMPV6:
        if packet[at] != (ECHO_REQUEST if out else ECHO_REPLY):
            return b""
        local = packet[at + ECHO_ID : at + ECHO_ID_END]
    return b"".join((bytes((protocol,)), remote, local))
