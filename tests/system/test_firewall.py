"""The firewall in a real kernel: what it closes and opens, and that the filter judges alike."""

import os
import socket
from contextlib import closing

import pytest

from rovy.address.keys import address_text
from rovy.errors import UsageError
from rovy.fcnet.filter import Action, Filter
from rovy.fcnet.icmp6 import TIME_EXCEEDED, TOO_BIG, UNREACHABLE, Code
from rovy.fcnet.limits import REFUSAL_BURST
from rovy.fcnet.nft import Nft
from rovy.fcnet.refusal import refusal
from rovy.fcnet.rules import Rule, Rules
from rovy.io import nft_run
from rovy.wire.ip6 import checksum, pseudo_header
from testnet.namespace import inside
from tests.system.firewall_rig import Wire, World, bound, know, listed, outcome, settle, tunnel
from tests.unit.fcnet.packets import (
    OTHER,
    OWN,
    PEER,
    PEER_ID,
    icmp,
    ip6,
    options,
    ping,
    pong,
    solicitation,
    tcp,
    udp,
)

pytestmark = pytest.mark.system

SECOND = bytes.fromhex("fc99000000000000000000000000abcd")


@pytest.fixture
def world(lab):
    return World(lab)


def test_closed_by_default(world):
    with world.listen(world.node, OWN, 2222):
        assert world.reaches(2222) == "open"
        world.install()
        assert world.reaches(2222) == "ECONNREFUSED"
        assert world.asks(2222) == "ECONNREFUSED"
    assert world.pings(world.outside, OWN)
    assert world.nft.counters()["refused"] == 2


def test_a_rule_opens_what_it_says(world):
    world.install("tcp/2222", "udp/3000-3001")
    with world.listen(world.node, OWN, 2222), world.listen(world.node, OWN, 2223):
        assert world.reaches(2222) == "open"
        assert world.reaches(2223) == "ECONNREFUSED"
    for port, answer in ((2999, "ECONNREFUSED"), (3000, "silence"), (3001, "silence")):
        with closing(bound(world.node, OWN, port, socket.SOCK_DGRAM)) as sock:
            assert world.asks(port) == answer
            sock.setblocking(False)
            assert outcome(lambda sock=sock: sock.recv(10)) == (
                "open" if answer == "silence" else "EAGAIN"
            )
    assert world.nft.counters()["allowed"] >= 3


def test_a_rule_for_one_node_is_not_for_others(world):
    world.install(f"tcp/2222 from {PEER_ID}")
    with world.listen(world.node, OWN, 2222):
        assert world.reaches(2222, PEER) == "open"
        assert world.reaches(2222, OTHER) == "ECONNREFUSED"
    world.nft.replace_rules([Rule.parse(f"any from {PEER_ID}")])
    with world.listen(world.node, OWN, 2223):
        assert world.reaches(2223, PEER) == "open"
        assert world.reaches(2223, OTHER) == "ECONNREFUSED"


def test_what_the_node_begins_is_answered_and_lasts(world):
    world.install("tcp/2222")
    address = address_text(PEER)
    assert world.pings(world.node, PEER)
    with (
        world.listen(world.outside, PEER, 80) as server,
        closing(bound(world.node, OWN, 0)) as sock,
    ):
        sock.connect((address, 80))
        far = server.accept()[0]
        far.send(b"hello")
        assert sock.recv(10) == b"hello"
        world.nft.replace_rules([])
        far.send(b"again")
        assert sock.recv(10) == b"again"
        far.close()
    with closing(bound(world.node, OWN, 0)) as sock:
        assert outcome(lambda: sock.connect((address, 81))) == "ECONNREFUSED"


def test_connections_outlive_their_rule(world):
    world.install("tcp/2222")
    with (
        world.listen(world.node, OWN, 2222) as server,
        closing(bound(world.outside, PEER, 0)) as sock,
    ):
        sock.connect((address_text(OWN), 2222))
        near = server.accept()[0]
        world.nft.replace_rules([])
        sock.send(b"still")
        assert near.recv(10) == b"still"
        near.close()
        assert world.reaches(2222) == "ECONNREFUSED"


def test_beyond_the_limit_it_is_silent(world):
    world.install()
    count = REFUSAL_BURST + 30
    with closing(bound(world.outside, PEER, 0, socket.SOCK_DGRAM)) as sock:
        for _ in range(count):
            sock.sendto(b"?", (address_text(OWN), 9))
    counters = world.nft.counters()
    assert counters["refused"] + counters["dropped"] == count
    assert REFUSAL_BURST <= counters["refused"] < count


def test_rules_change_in_one_step_and_counters_go_on(world):
    world.install()
    assert world.reaches(2222) == "ECONNREFUSED"
    world.nft.replace_rules(map(Rule.parse, ("tcp/2222", "udp", "any")))
    assert world.nft.counters()["refused"] == 1
    rules = [Rule.parse(f"udp/{port}") for port in range(1, 257)]
    world.nft.replace_rules(rules)
    assert listed(world.node).count("udp dport") == len(rules)
    assert world.reaches(2222) == "ECONNREFUSED"
    assert world.nft.counters()["refused"] == 2


def test_nothing_is_left_after_removal_and_others_tables_stay(world):
    world.node.run(["nft", "add table ip6 rovy; add table inet filter"])
    before = listed(world.node)
    assert world.nft.available()
    assert listed(world.node) == before
    assert not world.nft.installed()
    world.install("tcp/22")
    world.install("tcp/23")  # as after a crash
    assert world.nft.installed()
    world.nft.remove()
    world.nft.remove()
    assert listed(world.node) == before
    with pytest.raises(UsageError, match="No such file or directory"):
        world.nft.counters()


def test_a_table_that_somebody_took_away_is_made_again(world):
    world.install()
    world.node.run(["nft", "flush", "ruleset"])
    assert not world.nft.installed()
    world.nft.replace_rules([])
    assert world.nft.installed()
    assert world.reaches(2222) == "ECONNREFUSED"


def test_a_kernel_that_refuses_is_quoted(world):
    def powerless(argv, stdin):
        with inside(world.node.namespace):
            return nft_run.run(
                ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", *argv], stdin
            )

    nft = Nft(world.interface, OWN, powerless)
    assert not nft.available()
    with pytest.raises(UsageError, match="Operation not permitted"):
        nft.install([])


IN_RULES = ("tcp/22", "udp/5000-5010", f"tcp/80 from {PEER_ID}", "tcp/7000-7999")
SAME = {"known": "passed", "pinged": "passed", "unrelated": "dropped"}
UNKNOWN = 253


def unknown(source, destination):
    """A protocol without ports; the kernel refuses only what has a checksum that could be right."""
    total = checksum(pseudo_header(source, destination, 20, UNKNOWN))
    return ip6(source, destination, total.to_bytes(2, "big") + bytes(18), nh=UNKNOWN)


OURS = {
    "tcp": ip6(OWN, PEER, tcp("S", 40000, 80, seq=100, options=bytes.fromhex("02040578"))),
    "udp": ip6(OWN, PEER, udp(40000, 53, bytes(100))),
    "ping": ip6(OWN, PEER, ping(5)),
    "unknown": unknown(OWN, PEER),
}


def about(error, packet, source=OTHER):
    return ip6(source, OWN, error, packet)


TRAFFIC = [
    ("in", ip6(PEER, OWN, tcp("S", 999, 22))),
    ("in", ip6(OTHER, OWN, tcp("S", 999, 22))),
    ("in", ip6(PEER, OWN, options(), tcp("S", 998, 22))),
    ("in", ip6(PEER, OWN, tcp("S", 999, 23))),
    ("in", ip6(PEER, OWN, options(), tcp("S", 999, 23, seq=77))),
    ("in", ip6(PEER, OWN, tcp("S", 999, 80))),
    ("in", ip6(OTHER, OWN, tcp("S", 999, 80))),
    *(("in", ip6(PEER, OWN, tcp(flags, 1000 + n, 81, b"data", seq=n, ack=9)))
      for n, flags in enumerate(("A", "PA", "FA", "R", "RA", "SA", "F"))),
    ("in", ip6(PEER, OWN, udp(999, 4999))),
    ("in", ip6(PEER, OWN, udp(999, 5000))),
    ("in", ip6(PEER, OWN, udp(999, 5011, bytes(1400)))),
    ("in", unknown(PEER, OWN)),
    ("in", ip6(PEER, OWN, ping())),
    ("in", ip6(PEER, OWN, pong())),
    ("in", ip6(PEER, OWN, solicitation(OTHER))),
    *(("in", about(icmp(TIME_EXCEEDED), packet)) for packet in OURS.values()),
    *(("out", packet) for packet in OURS.values()),
    *(("in", about(icmp(TIME_EXCEEDED), packet)) for packet in OURS.values()),
    ("in", about(icmp(TOO_BIG, rest=(1300).to_bytes(4, "big")), OURS["udp"])),
    ("in", about(icmp(UNREACHABLE, Code.PORT), OURS["udp"], PEER)),
    ("in", about(icmp(UNREACHABLE, Code.PORT), ip6(OWN, PEER, udp(40001, 53)))),
    ("in", ip6(PEER, OWN, udp(53, 40000))),
    ("in", ip6(OTHER, OWN, udp(53, 40000))),
    ("in", ip6(PEER, OWN, udp(54, 40000))),
    ("in", ip6(PEER, OWN, pong(5))),
    ("in", ip6(PEER, OWN, pong(6))),
    ("in", unknown(PEER, OWN)),
    ("in", unknown(OTHER, OWN)),
    ("in", ip6(PEER, OWN, tcp("SA", 80, 40000, seq=500, ack=101))),
    ("out", ip6(OWN, PEER, tcp("A", 40000, 80, seq=101, ack=501))),
    ("in", ip6(PEER, OWN, tcp("PA", 80, 40000, b"data", seq=501, ack=101))),
    ("in", ip6(OTHER, OWN, tcp("PA", 80, 40000, b"data", seq=501, ack=101))),
    ("in", ip6(PEER, OWN, tcp("FA", 80, 40000, seq=505, ack=101))),
    ("out", ip6(OWN, PEER, tcp("FA", 40000, 80, seq=101, ack=506))),
    ("in", ip6(PEER, OWN, tcp("A", 80, 40000, seq=506, ack=102))),
    ("in", ip6(PEER, OWN, tcp("S", 80, 40000, seq=900))),
    ("out", ip6(OWN, PEER, tcp("S", 40002, 80, seq=1))),
    ("in", ip6(PEER, OWN, tcp("RA", 80, 40002, seq=0, ack=2))),
]  # fmt: skip


def test_the_filter_judges_as_the_kernel_does(world):
    world.install(*IN_RULES)
    guard = Filter(Rules(map(Rule.parse, IN_RULES)), 0.0)
    with closing(Wire(world)) as wire:
        for number, (direction, packet) in enumerate(TRAFFIC):
            now = 0.1 * number
            if direction == "out":
                left = wire.out(packet)
                assert [body(other) for other in left] == [body(packet)]
            else:
                verdict = guard.incoming(packet, now)
                name, left = wire.into(packet)
                assert (number, SAME.get(verdict.reason, verdict.reason)) == (number, name)
                if verdict.action is Action.REFUSE:
                    answer = refusal(packet)
                    refusals = [body(answer)] if answer else []
                    assert (number, [body(other) for other in left]) == (number, refusals)
                    left = []
            for other in left:
                guard.outgoing(other, now)


def body(packet):
    """A packet without flow label and hop limit, which are its maker's choice."""
    return packet[6:7] + packet[8:]


def test_nobody_on_the_lan_poses_as_a_node(lab, world):
    lan = lab.host("lan")
    link = lab.link(lan, world.node, v6="fd00:1::/64")
    lan.add_address(link.interface(lan), f"{address_text(PEER)}/128")
    lan.route("fc00::/8", via="fd00:1::2")
    world.install("any")
    address = "fd00:1::2"

    def arrives(source, destination):
        with (
            closing(bound(world.node, bytes(16), 5353, socket.SOCK_DGRAM)) as server,
            closing(bound(lan, source, 0, socket.SOCK_DGRAM)) as sock,
        ):
            sock.sendto(b"?", (destination, 5353))
            server.settimeout(0.1)
            return outcome(lambda: server.recv(10)) == "open"

    honest = socket.inet_pton(socket.AF_INET6, "fd00:1::1")
    assert arrives(honest, address)
    assert not arrives(PEER, address)
    assert not arrives(honest, address_text(OWN))
    assert world.nft.counters()["spoofed"] == 2
    world.nft.remove()
    assert arrives(PEER, address)
    assert arrives(honest, address_text(OWN))


def test_no_lan_is_opened_by_either_end(lab, world):
    lan = lab.host("lan")
    lab.link(lan, world.node, v6="fd00:1::/64")
    lan.route("default", via="fd00:1::2")
    world.node.forward()
    world.outside.route("fd00:1::/64", dev=world.far)
    honest = socket.inet_pton(socket.AF_INET6, "fd00:1::1")
    know(world.outside, world.far, honest, world.near_mac)
    assert world.pings(world.outside, honest)
    assert world.pings(lan, PEER)
    world.install("any")
    assert not world.pings(world.outside, honest)
    assert not world.pings(lan, PEER)
    assert world.nft.counters()["forwarded"] == 2


def test_two_daemons_do_not_meet(lab, world):
    """Two TUN interfaces on one machine, each with its own table."""
    first, second = (tunnel(world.node, name) for name in ("rovy0", "rovy1"))
    settle(world.node, "rovy0", OWN)
    settle(world.node, "rovy1", SECOND)
    own, other = world.firewall("rovy0"), world.firewall("rovy1", SECOND)
    own.install([Rule.parse("udp/1000")])
    other.install([Rule.parse("udp/2000")])

    def offers(interface, destination):
        for port in (1000, 2000):
            os.write(interface, ip6(PEER, destination, udp(9, port)))

    def seen(nft):
        counters = nft.counters()
        return counters["allowed"], counters["refused"], counters["spoofed"]

    offers(first, OWN)
    assert (seen(own), seen(other)) == ((1, 1, 0), (0, 0, 0))
    offers(second, SECOND)
    assert (seen(own), seen(other)) == ((1, 1, 0), (1, 1, 0))
    offers(second, OWN)  # the first daemon's address, by the wrong interface
    assert seen(own) == (1, 1, 2)
    other.remove()
    offers(first, OWN)
    assert seen(own) == (2, 2, 2)
    own.remove()
    assert "table" not in listed(world.node)
    os.close(first)
    os.close(second)
