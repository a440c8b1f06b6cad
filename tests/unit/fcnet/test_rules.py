"""Rules as text, and the list of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.errors import Malformed, UsageError
from rovy.fcnet.rules import MOST, Protocol, Rule, Rules
from tests.unit.fcnet.packets import PEER_ID

PEERS = st.none() | st.just(PEER_ID)
PORTS = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(
    lambda pair: range(min(pair), max(pair) + 1)
)
RULES = st.one_of(
    st.builds(Rule, st.sampled_from((Protocol.TCP, Protocol.UDP)), st.none() | PORTS, PEERS),
    st.builds(Rule, st.just(Protocol.ANY), st.none(), PEERS),
)


@given(RULES)
def test_round_trip(rule):
    assert Rule.parse(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "protocol", "ports", "peer"),
    [
        ("tcp/22", Protocol.TCP, range(22, 23), None),
        ("udp/5000-5010", Protocol.UDP, range(5000, 5011), None),
        ("tcp", Protocol.TCP, None, None),
        ("any", Protocol.ANY, None, None),
        (f"tcp/22 from {PEER_ID}", Protocol.TCP, range(22, 23), PEER_ID),
        (f"any from {PEER_ID}", Protocol.ANY, None, PEER_ID),
    ],
)
def test_forms(text, protocol, ports, peer):
    assert Rule.parse(text) == Rule(protocol, ports, peer)
    assert str(Rule.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" tcp/22 ", "tcp/22"),
        ("tcp/22-22", "tcp/22"),
        ("udp/00053", "udp/53"),
        (f"tcp/22 from  /rovy/{PEER_ID} ", f"tcp/22 from {PEER_ID}"),
        (f"tcp/22 from {str(PEER_ID).upper()}", f"tcp/22 from {PEER_ID}"),
    ],
)
def test_other_spellings(text, canonical):
    assert str(Rule.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "write one such as tcp/22"),
        ("22", "write one such as tcp/22"),
        ("sctp/22", "write one such as tcp/22"),
        ("TCP/22", "write one such as tcp/22"),
        ("any/22", "write tcp/… or udp/…"),
        ("tcp/", "ports are 1 to 65535"),
        ("tcp/0", "ports are 1 to 65535"),
        ("tcp/65536", "ports are 1 to 65535"),
        ("tcp/-5", "ports are 1 to 65535"),
        ("tcp/5-", "ports are 1 to 65535"),
        ("tcp/1-2-3", "ports are 1 to 65535"),
        ("tcp/2²", "ports are 1 to 65535"),
        ("tcp/ssh", "ports are 1 to 65535"),
        ("tcp/22 from", "ports are 1 to 65535"),
        ("tcp/9-8", "the lower one first"),
        ("tcp/22 from laptop", "write a peer id"),
        ("tcp/22 from ", "write a peer id"),
    ],
)
def test_errors_name_the_remedy(text, remedy):
    with pytest.raises(Malformed, match=remedy):
        Rule.parse(text)


@given(st.text(max_size=80) | RULES.map(str).flatmap(lambda text: st.text().map(text.__add__)))
def test_hostile_text_is_malformed(text):
    try:
        rule = Rule.parse(text)
    except Malformed:
        return
    assert Rule.parse(str(rule)) == rule


def test_rules_keep_their_order_and_none_is_there_twice():
    rules = Rules(map(Rule.parse, ("tcp/22", "any", "udp/1-9")))
    assert not rules.allow(Rule.parse("tcp/22"))
    assert rules.allow(Rule.parse("tcp/80"))
    rules.deny(Rule.parse("any"))
    assert [str(rule) for rule in rules] == ["tcp/22", "udp/1-9", "tcp/80"]
    assert len(rules) == 3


def test_the_list_is_bounded():
    rules = Rules(Rule.parse(f"tcp/{port}") for port in range(1, MOST + 1))
    with pytest.raises(UsageError, match="256 rules already"):
        rules.allow(Rule.parse("udp/1"))
    assert not rules.allow(Rule.parse("tcp/1"))
    rules.deny(Rule.parse("tcp/1"))
    assert rules.allow(Rule.parse("udp/1"))


def test_what_is_not_allowed_cannot_be_denied():
    with pytest.raises(UsageError, match="no rule tcp/80; there are: none, all is closed"):
        Rules().deny(Rule.parse("tcp/80"))
    rules = Rules(map(Rule.parse, ("tcp/22", "udp/1-9")))
    with pytest.raises(UsageError, match="no rule tcp/80; there are: tcp/22, udp/1-9"):
        rules.deny(Rule.parse("tcp/80"))
    assert len(rules) == 2
