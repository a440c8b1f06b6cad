"""Endpoints, multiaddrs, and what a person may type for a destination."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import multiaddr as library

import rovy.address.interop  # noqa: F401  (registers the protocols with the library)
from rovy.address.keys import PeerID
from rovy.address.label import MAX_LABEL, Label
from rovy.address.multiaddr import Endpoint, Multiaddr
from rovy.address.target import NodeAddress, RoutedAddr, parse_target
from rovy.address.varint import decode_varint, encode_varint
from rovy.errors import Malformed

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "addresses.json").read_text())
PEER = PeerID.parse(VECTORS["valid"][0]["peer_id"])
ADDRESS = VECTORS["valid"][0]["address"]

PORTS = st.integers(1, 65535)
IP4 = st.ip_addresses(v=4).map(str)
IP6 = st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None).map(str)
LINK_LOCAL = st.ip_addresses(network="fe80::/10").map(str)
ZONES = st.sampled_from(["eth0", "2", "wlp3s0.100", "br-lan", "a"])
NAMES = st.sampled_from(["example.org", "a", "xn--bcher-kva.example", "_x.b-c.d1"])
ENDPOINTS = st.one_of(
    st.builds(Endpoint, IP4, PORTS),
    st.builds(Endpoint, IP6, PORTS),
    st.builds(Endpoint, LINK_LOCAL, PORTS, ZONES),
)
PEERS = st.sampled_from([None, PEER])
MULTIADDRS = st.one_of(
    st.builds(Multiaddr.of, ENDPOINTS, PEERS),
    st.builds(Multiaddr, st.sampled_from(["dns4", "dns6"]), NAMES, PORTS, st.just(""), PEERS),
)


@given(ENDPOINTS)
def test_endpoint_text_round_trips(endpoint):
    assert Endpoint.parse(str(endpoint)) == endpoint
    assert len(endpoint.packed) == (16 if endpoint.is_v6 else 4)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1:1312", "192.0.2.1:1312"),
        ("[fe80::1%eth0]:1312", "[fe80::1%eth0]:1312"),
        ("[2001:DB8:0:0::1]:1", "[2001:db8::1]:1"),
        ("[::ffff:192.0.2.1]:65535", "192.0.2.1:65535"),
        ("[fe80::1]:7", "[fe80::1]:7"),
    ],
)
def test_endpoints(text, canonical):
    assert str(Endpoint.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:01",
        "192.0.2.1:65536",
        "192.0.2.1:99999999999",
        "192.0.2.1:-1",
        "192.0.2.1:１",
        "192.0.2.01:1",
        "[192.0.2.1]:1",
        "192.0.2.1%eth0:1",
        "2001:db8::1:1312",
        "[2001:db8::1%eth0]:1",
        "[::ffff:1.2.3.4%eth0]:1",
        "[fe80::1%]:1",
        "[fe80::1%a b]:1",
        "[fe80::1%a/b]:1",
        "[fe80::1%an-interface-too-long]:1",
        "[fe80::1]:1\n",
        "example.org:1",
        "[" * 10_000,
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_not_an_endpoint(text):
    with pytest.raises(Malformed):
        Endpoint.parse(text)


@pytest.mark.parametrize(
    "arguments",
    [("fe80::1%eth0", 1), ("::1", 0), ("::1", 65536), ("::1", 1, "eth0"), ("x", 1), ("", 1)],
)
def test_no_such_endpoint(arguments):
    with pytest.raises(Malformed):
        Endpoint(*arguments)


@given(MULTIADDRS)
def test_multiaddrs_round_trip(multiaddr):
    assert Multiaddr.parse(str(multiaddr)) == multiaddr
    assert Multiaddr.from_bytes(multiaddr.to_bytes()) == multiaddr
    assert parse_target(str(multiaddr)) == multiaddr
    if multiaddr.endpoint is not None:
        assert Multiaddr.of(multiaddr.endpoint, multiaddr.peer) == multiaddr


@given(st.one_of(st.builds(Endpoint, IP4, PORTS), st.builds(Endpoint, IP6, PORTS)), PEERS)
@settings(max_examples=25, deadline=None)
def test_multiaddrs_agree_with_the_library(endpoint, peer):
    ours = Multiaddr.of(endpoint, peer)
    theirs = library.parse(str(ours))
    assert bytes(theirs) == ours.to_bytes()
    assert Multiaddr.parse(str(library.decode(ours.to_bytes()))) == ours


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("/ip4/192.0.2.1/udp/1312", "04c0000201 91020520"),
        ("/ip6/2001:db8::1/udp/1", "2920010db8000000000000000000000001 91020001"),
        (
            "/ip6zone/eth0/ip6/fe80::1/udp/1312",
            "2a0465746830 29fe800000000000000000000000000001 91020520",
        ),
        ("/dns4/example.org/udp/1312", "360b6578616d706c652e6f7267 91020520"),
        ("/dns6/a/udp/1312", "370161 91020520"),
        (
            f"/ip4/192.0.2.1/udp/1312/rovy/{PEER}",
            f"04c0000201 91020520 a60324 01730020{PEER.key.hex()}",
        ),
    ],
)
def test_multiaddr_vectors(text, data):
    multiaddr = Multiaddr.parse(text)
    assert str(multiaddr) == text
    assert multiaddr.to_bytes() == bytes.fromhex(data)
    assert Multiaddr.from_bytes(bytes.fromhex(data)) == multiaddr


def test_multiaddrs_are_normalised():
    text = f"/ip6/2001:DB8:0::1/udp/1/rovy/{str(PEER).upper()}"
    assert str(Multiaddr.parse(text)) == f"/ip6/2001:db8::1/udp/1/rovy/{PEER}"
    assert str(Multiaddr.parse("/dns4/Example.ORG/udp/1")) == "/dns4/example.org/udp/1"
    assert Multiaddr.parse("/dns4/a/udp/1").endpoint is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "ip4/192.0.2.1/udp/1",
        "/ip4/192.0.2.1",
        "/ip4/192.0.2.1/udp",
        "/ip4/192.0.2.1/udp/",
        "/ip4/192.0.2.1/udp/0",
        "/ip4/192.0.2.1/udp/65536",
        "/ip4/192.0.2.1/tcp/1",
        "/ip4/::1/udp/1",
        "/ip6/192.0.2.1/udp/1",
        "/ip6/::ffff:192.0.2.1/udp/1",
        "/ip6/fe80::1%eth0/udp/1",
        "/ip6zone/eth0/ip4/192.0.2.1/udp/1",
        "/ip6zone/eth0/ip6/2001:db8::1/udp/1",
        "/ip6zone//ip6/fe80::1/udp/1",
        "/ip6zone/eth0",
        "/ip6/fe80::1/ip6zone/eth0/udp/1",
        "/dns/example.org/udp/1",
        "/dns4//udp/1",
        "/dns4/-a/udp/1",
        "/dns4/a-/udp/1",
        "/dns4/a..b/udp/1",
        "/dns4/a./udp/1",
        "/dns4/bücher.example/udp/1",
        "/dns4/a b/udp/1",
        "/dns4/a\n/udp/1",
        "/dns4/" + "a" * 64 + "/udp/1",
        "/dns4/" + "a." * 127 + "a/udp/1",
        "/ip4/192.0.2.1/udp/1/",
        "/ip4/192.0.2.1/udp/1/rovy",
        "/ip4/192.0.2.1/udp/1/rovy/",
        f"/ip4/192.0.2.1/udp/1/rovy/{PEER}/",
        f"/ip4/192.0.2.1/udp/1/p2p/{PEER}",
        "/ip4" * 10_000,
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_not_a_multiaddr(text):
    with pytest.raises(Malformed):
        Multiaddr.parse(text)


@pytest.mark.parametrize("kind", ["dns", "ip5", ""])
def test_no_such_kind(kind):
    with pytest.raises(Malformed):
        Multiaddr(kind, "a", 1)


def test_a_host_name_has_a_port_and_no_zone():
    with pytest.raises(Malformed):
        Multiaddr("dns6", "a", 0)
    with pytest.raises(Malformed):
        Multiaddr("dns6", "a", 1, "eth0")


@pytest.mark.parametrize(
    "data",
    [
        "",
        "04",
        "04c00002",
        "04c0000201",
        "04c0000201 9102",
        "04c0000201 910205",
        "04c0000201 91020000",
        "04c0000201 11020520",
        "8400c0000201 91020520",
        "04c0000201 91020520 00",
        "04c0000201 91020520 a603",
        "04c0000201 91020520 a60300",
        "04c0000201 91020520 a7030101",
        "2a00 29fe800000000000000000000000000001 91020520",
        "2a0161 04c0000201 91020520",
        "2a0161",
        "2920010db80000000000000000000000 91020520",
        "2900000000000000000000ffffc0000201 91020520",
        "3601ff 91020520",
        "36ff01 91020520",
        "36808001 91020520",
        "00",
        "ff",
        "ffff",
        "36" * 600,
    ],
)
def test_not_multiaddr_bytes(data):
    with pytest.raises(Malformed):
        Multiaddr.from_bytes(bytes.fromhex(data))


def test_trailing_bytes_are_refused():
    for extra in (b"\0", b"\x04", Multiaddr.parse("/dns4/a/udp/1").to_bytes()):
        for value in (Multiaddr.parse(f"/dns4/a/udp/1/rovy/{PEER}"), RoutedAddr(Label(), PEER)):
            with pytest.raises(Malformed):
                type(value).from_bytes(value.to_bytes() + extra)


@given(MULTIADDRS, st.data())
def test_hostile_bytes_are_malformed_or_read(multiaddr, data):
    whole = bytearray(multiaddr.to_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for read in (Multiaddr.from_bytes, RoutedAddr.from_bytes):
        for hostile in (bytes(whole), cut, data.draw(st.binary(max_size=40))):
            try:
                value = read(hostile)
            except Malformed:
                continue
            if value.to_bytes() != hostile:  # only a host name has two spellings in bytes
                assert value.to_bytes() == hostile.lower() or b"\x36" <= hostile[:1] <= b"\x37"


WORDS = ["/", "ip4", "ip6", "ip6zone", "dns4", "udp", "rovy", "rovyrt", "::1", "1", "a", "01-02"]


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from([*WORDS, "/", str(PEER), ADDRESS]), max_size=12).map("".join),
    )
)
@settings(deadline=None)
def test_hostile_text_is_malformed_or_read(text):
    for read in (
        parse_target,
        Multiaddr.parse,
        Endpoint.parse,
        RoutedAddr.parse,
        NodeAddress.parse,
    ):
        try:
            value = read(text)
        except Malformed:
            continue
        assert read(str(value)) == value


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (str(PEER), PEER),
        (f"  {PEER}\n", PEER),
        (PEER.path, PEER),
        (ADDRESS, NodeAddress(PEER.address)),
        (f"/ip6/{ADDRESS}", NodeAddress(PEER.address)),
        ("/rovyrt/7c-37", Label.of(0x7C, 0x37)),
        ("/rovyrt/", Label()),
        ("/rovyrt", Label()),
        (f"/rovyrt/7c-37/rovy/{PEER}", RoutedAddr(Label.of(0x7C, 0x37), PEER)),
        (f"/rovyrt/rovy/{PEER}", RoutedAddr(Label(), PEER)),
        (f"/rovyrt//rovy/{PEER}", RoutedAddr(Label(), PEER)),
        ("/ip4/192.0.2.1/udp/1312", Multiaddr("ip4", "192.0.2.1", 1312)),
        (f"/dns6/a/udp/1/rovy/{PEER}", Multiaddr("dns6", "a", 1, "", PEER)),
    ],
    ids=lambda value: str(value)[:30],
)
def test_destinations(text, target):
    assert parse_target(text) == target
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "example.org",
        "2001:db8::1",
        "/ip6/2001:db8::1",
        "/ip4/192.0.2.1",
        "/rovyrt/7c/rovy/",
        f"/rovyrt/7c/ip6/{ADDRESS}",
        "/rovyrtx/7c",
        "/nothing",
        "x" * 100_000,
        "/rovyrt/" + "/rovy/" * 10_000,
    ],
    ids=lambda text: text[:30],
)
def test_no_destination(text):
    with pytest.raises(Malformed) as caught:
        parse_target(text)
    assert len(str(caught.value)) < 500


def test_an_unknown_word_is_answered_with_what_is_accepted():
    with pytest.raises(Malformed, match="a destination is a peer id, an fc00::/8 address"):
        parse_target("hello")


def test_a_node_address_is_the_start_of_the_node_id():
    address = NodeAddress.parse(ADDRESS)
    assert str(address) == ADDRESS
    assert PEER.node_id.startswith(address.id_prefix)
    assert len(address.id_prefix) == 15
    for packed in (b"", bytes(16), PEER.address + b"\0"):
        with pytest.raises(Malformed):
            NodeAddress(packed)


@given(st.lists(st.integers(1, 3839), max_size=MAX_LABEL // 2))
@settings(deadline=None)
def test_routes_with_a_peer_round_trip(slots):
    routed = RoutedAddr(Label.of(*slots), PEER)
    assert RoutedAddr.parse(str(routed)) == routed
    assert RoutedAddr.from_bytes(routed.to_bytes()) == routed
    if slots:
        assert bytes(library.parse(str(routed))) == routed.to_bytes()
        assert str(library.decode(routed.to_bytes())) == str(routed)


def test_routes_as_bytes_are_bounded():
    with pytest.raises(Malformed, match="513 bytes"):
        RoutedAddr.from_bytes(bytes(513))


@given(st.integers(0, 2**14 - 1))
def test_varints(number):
    data = encode_varint(number)
    assert decode_varint(b"\0" + data + b"\xff", 1) == (number, 1 + len(data))


@pytest.mark.parametrize("data", ["", "80", "8000", "ff00", "808001", "ffffff7f"])
def test_not_a_varint(data):
    with pytest.raises(Malformed):
        decode_varint(bytes.fromhex(data), 0)
