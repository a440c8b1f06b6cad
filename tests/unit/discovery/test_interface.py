"""Which interfaces are used, and which of the addresses named on them."""

import pytest

from rovy.address.multiaddr import Endpoint
from rovy.discovery.interface import Address, Interface, objection

LAN = Interface(
    "eth0",
    2,
    (Address("10.0.1.7", 24), Address("fe80::7", 64), Address("2001:db8::7", 64)),
)


@pytest.mark.parametrize(
    ("host", "zone"),
    [
        ("10.0.1.9", ""),
        ("10.0.1.7", ""),  # another daemon of this machine
        ("fe80::9", "eth0"),
        ("2001:db8::9", ""),
    ],
)
def test_addresses_on_the_link(host, zone):
    assert LAN.near(host, 1312) == Endpoint(host, 1312, zone)


@pytest.mark.parametrize(
    "host",
    [
        "192.0.2.1",
        "10.0.2.9",
        "2001:db8:1::9",
        "fc00::9",
        "127.0.0.1",
        "::1",
        "224.0.0.251",
        "ff02::fb",
        "0.0.0.0",
        "::",
        "169.254.1.1",
        "fe80::9%eth1",
        "",
        "eth0",
        "10.0.1.9\0",
    ],
)
def test_addresses_that_are_not_on_it(host):
    assert LAN.near(host, 1312) is None


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_bad_ports(port):
    assert LAN.near("10.0.1.9", port) is None


def test_link_local_needs_one_of_our_own():
    assert Interface("eth0", 2, (Address("10.0.1.7", 24),)).near("fe80::9", 1312) is None


def test_whole_internet_is_no_link():
    assert Interface("eth0", 2, (Address("10.0.1.7", 32),)).near("10.0.1.9", 1312) is None


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        (["0.0.0.0:4000", "[::]:4000"], (4000, ("10.0.1.7", "fe80::7", "2001:db8::7"))),
        (["0.0.0.0:4000"], (4000, ("10.0.1.7",))),
        (["[2001:db8::7]:4000"], (4000, ("2001:db8::7",))),
        (["127.0.0.1:4000", "[::]:4001"], (4001, ("fe80::7", "2001:db8::7"))),
        (["127.0.0.1:4000"], (0, ())),
        ([], (0, ())),
    ],
)
def test_what_is_announced(bound, said):
    assert LAN.announced([Endpoint.parse(text) for text in bound]) == said


def flags(**changes):
    return Interface("eth0", 2, LAN.addresses, **changes)


@pytest.mark.parametrize(
    ("interface", "patterns", "reason"),
    [
        (LAN, (), ""),
        (LAN, ("eth0",), ""),
        (LAN, ("wl*", "e??0"), ""),
        (LAN, ("wl*",), "not in"),
        (flags(loopback=True), ("eth0",), "no multicast"),
        (flags(multicast=False), (), "no multicast"),
        (flags(point_to_point=True), (), "a tunnel"),
        (flags(point_to_point=True), ("eth*",), ""),
        (Interface("eth0", 2, ()), (), "no address"),
        (Interface("rovy0", 2, LAN.addresses), ("*",), "rovy's own"),
    ],
)
def test_choice_of_interfaces(interface, patterns, reason):
    found = objection(interface, patterns, "rovy0")
    assert reason in found
    assert bool(reason) == bool(found)
