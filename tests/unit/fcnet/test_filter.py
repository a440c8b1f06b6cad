"""The stateful filter: closed unless asked for or allowed, and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.fcnet import filter as filter_module
from rovy.fcnet.filter import (
    ALLOWED,
    CLOSING,
    DROPPED,
    ECHO,
    ESTABLISHED,
    FRAGMENT,
    FRAGMENT_LIFE,
    FRAGMENTS,
    HALF_OPEN,
    ICMP_LIFE,
    KNOWN,
    LIFE,
    MALFORMED,
    PINGED,
    REFUSED,
    UNRELATED,
    Action,
    Filter,
)
from rovy.fcnet.flows import MOST, Flows
from rovy.fcnet.icmp6 import TIME_EXCEEDED, TOO_BIG, UNREACHABLE, Code
from rovy.fcnet.limits import ECHO_BURST, REFUSAL_BURST, REFUSAL_RATE
from rovy.fcnet.rules import Rule, Rules
from tests.unit.fcnet.packets import (
    OTHER,
    OWN,
    PEER,
    PEER_ID,
    fragments,
    icmp,
    ip6,
    options,
    ping,
    pong,
    solicitation,
    tcp,
    udp,
)
from tests.unit.wire.strategies import mutations

SCTP = {"nh": 132}


class World:
    """A filter, a clock, and packets of one node in both directions."""

    def __init__(self, *rules):
        self.now = 100.0
        self.rules = Rules(map(Rule.parse, rules))
        self.filter = Filter(self.rules, self.now)

    def out(self, *layers, to=PEER, **fields):
        self.filter.outgoing(ip6(OWN, to, *layers, **fields), self.now)

    def into(self, *layers, source=PEER, **fields):
        return self.filter.incoming(ip6(source, OWN, *layers, **fields), self.now)


def test_closed_by_default():
    world = World()
    assert world.into(tcp("S", 999, 22)) is REFUSED
    assert world.into(udp(999, 53)) is REFUSED
    assert world.into(b"x", **SCTP) is REFUSED
    assert world.into(solicitation()) is DROPPED
    assert world.into(pong()) is DROPPED
    assert world.into(ping()) is PINGED


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ("tcp/22", "tcp22"),
        ("tcp", "tcp22 tcp23"),
        ("udp/20-22", "udp22"),
        ("udp", "udp22 udp23"),
        ("any", "tcp22 tcp23 udp22 udp23 sctp ns"),
        (f"tcp/22 from {PEER_ID}", "tcp22"),
        (f"any from {PEER_ID}", "tcp22 tcp23 udp22 udp23 sctp ns"),
    ],
)
def test_a_rule_allows_what_it_says(rule, allowed):
    offers = {
        "tcp22": ((tcp("S", 999, 22),), {}),
        "tcp23": ((tcp("S", 999, 23),), {}),
        "udp22": ((options(), udp(999, 22)), {}),
        "udp23": ((udp(22, 23),), {}),
        "sctp": ((b"\0\x16\0\x16",), SCTP),
        "ns": ((solicitation(),), {}),
    }
    world = World(rule)
    verdicts = {name: world.into(*layers, **extra) for name, (layers, extra) in offers.items()}
    assert {name for name, verdict in verdicts.items() if verdict is ALLOWED} == set(
        allowed.split()
    )
    assert {verdict.action for verdict in verdicts.values()} - {Action.PASS} <= {
        Action.REFUSE,
        Action.DROP,
    }
    if "from" in rule:
        assert world.into(tcp("S", 999, 22), source=OTHER) is REFUSED


def test_rules_may_change_while_connections_go_on():
    world = World("tcp/22")
    assert world.into(tcp("S", 999, 22)) is ALLOWED
    world.out(tcp("SA", 22, 999))
    world.rules.deny(Rule.parse("tcp/22"))
    assert world.into(tcp("A", 999, 22)) is KNOWN
    assert world.into(tcp("S", 998, 22)) is REFUSED
    world.rules.allow(Rule.parse("tcp/22"))
    assert world.into(tcp("S", 998, 22)) is ALLOWED


def test_what_we_begin_is_answered():
    world = World()
    world.out(tcp("S", 40000, 80))
    world.out(udp(40000, 53))
    world.out(ping(5))
    world.out(b"x", **SCTP)
    assert world.into(tcp("SA", 80, 40000)) is KNOWN
    assert world.into(udp(53, 40000)) is KNOWN
    assert world.into(pong(5)) is KNOWN
    assert world.into(b"y", **SCTP) is KNOWN


def test_answers_to_something_else_are_not_answers():
    world = World()
    world.out(tcp("S", 40000, 80))
    world.out(udp(40000, 53))
    world.out(ping(5))
    assert world.into(tcp("SA", 80, 40001)) is REFUSED
    assert world.into(tcp("SA", 81, 40000)) is REFUSED
    assert world.into(tcp("SA", 80, 40000), source=OTHER) is REFUSED
    assert world.into(udp(80, 40000)) is REFUSED
    assert world.into(udp(40000, 53)) is REFUSED
    assert world.into(pong(6)) is DROPPED


def test_a_known_peer_cannot_open_a_connection_over_an_old_one():
    world = World()
    world.out(tcp("S", 40000, 80))
    assert world.into(tcp("S", 80, 40000)) is KNOWN  # both open at once
    world.out(tcp("A", 40000, 80))
    assert world.into(tcp("S", 80, 40000)) is REFUSED
    assert world.into(tcp("A", 80, 40000)) is KNOWN


@pytest.mark.parametrize(
    ("out", "answer", "life"),
    [
        (tcp("S", 40000, 80), None, HALF_OPEN),
        (tcp("S", 40000, 80), tcp("SA", 80, 40000), ESTABLISHED),
        (tcp("S", 40000, 80), tcp("RA", 80, 40000), CLOSING),
        (tcp("S", 40000, 80), tcp("FA", 80, 40000), CLOSING),
        (udp(40000, 53), None, LIFE),
        (udp(40000, 53), udp(53, 40000), LIFE),
        (ping(), pong(), ICMP_LIFE),
    ],
)
def test_flows_expire(out, answer, life):
    def after(seconds):
        world = World()
        world.out(out)
        if answer:
            assert world.into(answer) is KNOWN
        world.now += seconds
        reply = {6: tcp("A", 80, 40000), 17: udp(53, 40000), 58: pong()}
        return world.into(reply[ip6(OWN, PEER, out)[6]])

    assert after(life - 1) is KNOWN
    assert after(life) is not KNOWN


def test_an_ended_connection_does_not_last_because_of_its_last_packets():
    world = World()
    world.out(tcp("S", 40000, 80))
    world.into(tcp("SA", 80, 40000))
    world.out(tcp("FA", 40000, 80))
    world.into(tcp("A", 80, 40000))
    world.now += CLOSING
    assert world.into(tcp("A", 80, 40000)) is REFUSED
    world.out(tcp("S", 40000, 80))  # the same ports again
    assert world.into(tcp("SA", 80, 40000)) is KNOWN
    world.now += CLOSING
    assert world.into(tcp("A", 80, 40000)) is KNOWN


def test_our_own_resets_open_nothing():
    world = World()
    world.out(tcp("RA", 22, 999))
    assert world.into(tcp("A", 999, 22)) is REFUSED


def test_packets_that_are_let_in_leave_nothing_behind():
    world = World("udp/53")
    for port in range(1000, 1100):
        assert world.into(udp(port, 53)) is ALLOWED
    assert len(world.filter._flows) == 0


@pytest.mark.parametrize(
    "error",
    [
        icmp(UNREACHABLE, Code.PORT),
        icmp(TOO_BIG, rest=(1300).to_bytes(4, "big")),
        icmp(TIME_EXCEEDED),
    ],
)
def test_errors_pass_where_they_are_about_a_flow_of_ours(error):
    world = World("any")
    ours = [
        ip6(OWN, PEER, tcp("S", 40000, 80, bytes(100))),
        ip6(OWN, PEER, options(), udp(40000, 33434)),
        ip6(OWN, PEER, ping(5)),
        ip6(OWN, PEER, bytes(20), **SCTP),
    ]
    for packet in ours:
        assert world.into(error, packet, source=OTHER) is UNRELATED
        world.filter.outgoing(packet, world.now)
        assert world.into(error, packet, source=OTHER) is KNOWN
        assert world.into(error, packet[:44], source=OTHER) is UNRELATED
    strange = [
        ip6(OWN, PEER, tcp("S", 40001, 80)),
        ip6(OWN, OTHER, udp(40000, 33434)),
        ip6(OTHER, PEER, tcp("S", 40000, 80)),
        ip6(OWN, PEER, pong(5)),
        b"",
    ]
    for packet in strange:
        assert world.into(error, packet, source=OTHER) is UNRELATED


def test_an_error_does_not_prolong_a_flow():
    world = World()
    packet = ip6(OWN, PEER, udp(40000, 53))
    world.filter.outgoing(packet, world.now)
    world.now += LIFE - 1
    assert world.into(icmp(UNREACHABLE, Code.PORT), packet) is KNOWN
    world.now += 1
    assert world.into(udp(53, 40000)) is REFUSED


def test_fragments_follow_their_first():
    world = World("udp/53")
    first, later = fragments(ip6(PEER, OWN, udp(999, 53, bytes(64))), 40)
    closed, closed_later = fragments(ip6(PEER, OWN, udp(999, 54, bytes(64))), 40, number=100)
    judge = world.filter.incoming
    assert judge(later, world.now) is FRAGMENT
    assert judge(first, world.now) is ALLOWED
    assert judge(later, world.now) is KNOWN
    assert judge(closed, world.now) is REFUSED
    assert judge(closed_later, world.now) is FRAGMENT
    assert judge(later[:8] + OTHER + later[24:], world.now) is FRAGMENT
    world.now += FRAGMENT_LIFE
    assert judge(later, world.now) is FRAGMENT


def test_answers_in_fragments():
    world = World()
    for part in fragments(ip6(OWN, PEER, udp(40000, 53, bytes(64))), 40):
        world.filter.outgoing(part, world.now)
    for part in fragments(ip6(PEER, OWN, udp(53, 40000, bytes(64))), 40):
        assert world.filter.incoming(part, world.now) is KNOWN


def test_a_first_fragment_without_its_header_is_malformed():
    world = World("tcp")
    first, later = fragments(ip6(PEER, OWN, tcp("S", 999, 22, bytes(64))), 8)
    assert world.filter.incoming(first, world.now) is MALFORMED
    assert world.filter.incoming(later, world.now) is FRAGMENT


def test_remembered_fragments_are_bounded():
    world = World("udp/53")
    first, later = fragments(ip6(PEER, OWN, udp(1, 53, bytes(64))), 40)

    def judge(fragment, number):
        numbered = fragment[:44] + number.to_bytes(4, "big") + fragment[48:]
        return world.filter.incoming(numbered, world.now)

    for number in range(FRAGMENTS + 1):
        assert judge(first, number) is ALLOWED
    assert judge(later, 0) is FRAGMENT
    assert judge(later, 1) is KNOWN
    assert len(world.filter._fragments) == FRAGMENTS


def test_refusals_and_pings_are_limited():
    world = World()
    verdicts = [world.into(udp(1, 2)) for _ in range(REFUSAL_BURST + 5)]
    assert verdicts == [REFUSED] * REFUSAL_BURST + [DROPPED] * 5
    world.now += 1
    verdicts = [world.into(udp(1, 2)) for _ in range(REFUSAL_RATE + 5)]
    assert verdicts == [REFUSED] * REFUSAL_RATE + [DROPPED] * 5
    packet = ip6(PEER, OWN, ping())
    verdicts = [world.filter.incoming(packet, world.now) for _ in range(ECHO_BURST + 1)]
    assert verdicts[-2:] == [PINGED, ECHO]
    assert world.filter.counters() == {
        "known": 0,
        "allowed": 0,
        "pinged": ECHO_BURST,
        "refused": REFUSAL_BURST + REFUSAL_RATE,
        "dropped": 10,
        "echo": 1,
        "unrelated": 0,
        "fragment": 0,
        "malformed": 0,
    }


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.binary(max_size=100) | mutations(ip6(OWN, PEER, options(), tcp("S", 1, 2))),
        ),
        max_size=20,
    )
)
def test_hostile_packets_get_a_verdict(packets):
    world = World("tcp/2")
    for out, raw in packets:
        if out:
            world.filter.outgoing(raw, world.now)
        else:
            assert world.filter.incoming(raw, world.now) in filter_module._VERDICTS
    assert sum(world.filter.counters().values()) == sum(not out for out, _ in packets)


def begin(flows, number, now, *, answered):
    key = number.to_bytes(4, "big")
    flow = flows.begin(key, now)
    flows.use(key, flow, now + 10, answer=answered)
    return key


def test_a_full_table_loses_the_oldest_unanswered_flow_first():
    flows = Flows(most=4)
    talk = [begin(flows, number, 0.0, answered=True) for number in (1, 2)]
    flood = [begin(flows, number, 1.0, answered=False) for number in range(10, 20)]
    assert [key for key in talk + flood if flows.find(key, 2.0)] == talk + flood[-2:]
    more = [begin(flows, number, 3.0, answered=True) for number in (3, 4, 5)]
    assert [key for key in talk + flood + more if flows.find(key, 3.0)] == [talk[1], *more]
    flows.use(talk[1], flows.find(talk[1], 3.0), 20.0)
    begin(flows, 6, 3.0, answered=True)
    assert flows.find(talk[1], 3.0)
    assert not flows.find(more[0], 3.0)
    assert len(flows) == 4


def test_expired_flows_make_room():
    flows = Flows(most=1000)
    for number in range(100):
        begin(flows, number, float(number), answered=number % 2 == 0)
    assert len(flows) < 30


def test_the_table_holds_what_it_says():
    flows = Flows()
    for number in range(MOST + 10):
        begin(flows, number, 0.0, answered=False)
    assert len(flows) == MOST
