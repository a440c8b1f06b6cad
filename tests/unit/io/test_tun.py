"""What needs no interface: names, refusals, and which routes stand in the way."""

import errno
import os
from ipaddress import IPv6Network

import pytest

from rovy.errors import UsageError
from rovy.io.rtmessages import HEADER, ROUTE, Kind, Route, RouteAttribute, attribute
from rovy.io.tun import TunInterface
from rovy.io.tundevice import _not_made, _not_open
from rovy.io.tunsetup import concerns, is_inside, prepared

UNICAST, LOCAL, UNREACHABLE = 1, 2, 7


@pytest.mark.parametrize("name", ["", "a/b", "sixteen-letters-", "tun%d", "a b", "a.b", "ü"])
def test_names_that_are_none(name):
    with pytest.raises(UsageError, match="names no interface"):
        TunInterface(name)


@pytest.mark.parametrize("mtu", [1279, 65536])
def test_mtus_that_are_none(mtu):
    with pytest.raises(UsageError, match="choose 1280 to 65535"):
        TunInterface(mtu=mtu)


def test_what_is_written_to_a_closed_interface_is_counted():
    interface = TunInterface()
    interface.write([b"one", memoryview(b"two")])
    interface.close()
    assert interface.counters() == {"interface not open": 2}


@pytest.mark.parametrize(
    ("prefix", "kind", "inside"),
    [
        ("fc00::/8", UNICAST, True),
        ("fcff::1/128", UNICAST, True),
        ("fc00::/7", UNICAST, True),
        ("fc00::/6", UNICAST, False),
        ("::/0", UNICAST, False),
        ("fd00::/8", UNICAST, False),
        ("fb00::/8", UNICAST, False),
        ("fe80::/64", UNICAST, False),
        ("fc01::1/128", LOCAL, False),
        ("fc00::/8", UNREACHABLE, True),
        ("fc00::/7", UNREACHABLE, False),
    ],
)
def test_routes_into_the_network(prefix, kind, inside):
    network = IPv6Network(prefix)
    packed, bits = network.network_address.packed, network.prefixlen
    assert is_inside(Route(packed, bits, 254, kind, (2,))) == inside
    if inside:
        assert concerns(news(Kind.NEW_ROUTE, packed, bits))
        assert concerns(news(Kind.DELETE_ROUTE, packed, bits))


def test_only_news_of_routes_elsewhere_is_ignored():
    elsewhere = news(Kind.NEW_ROUTE, IPv6Network("2001:db8::/32").network_address.packed, 32)
    assert not concerns(elsewhere + elsewhere)
    assert concerns(elsewhere + news(Kind.NEW_ADDRESS, bytes(16), 128))
    assert not concerns(b"")


def news(kind, prefix, bits):
    body = ROUTE.pack(10, bits, 0, 0, 254, 4, 0, UNICAST, 0) + attribute(RouteAttribute.TO, prefix)
    return HEADER.pack(HEADER.size + len(body), kind, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOENT, "modprobe tun"),
        (errno.ENODEV, "modprobe tun"),
        (errno.EACCES, "run as root"),
        (errno.EPERM, "run as root"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_device_that_does_not_open(code, remedy):
    assert remedy in _not_open(OSError(code, os.strerror(code)))


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("rovy-none", errno.EPERM, "as root: `ip tuntap add rovy-none mode tun user "),
        ("lo", errno.EPERM, "as root: `ip tuntap delete lo mode tun && ip tuntap add lo mode tun"),
        ("lo", errno.EINVAL, "lo exists and is another kind of interface"),
        ("lo", errno.EBUSY, "used by another process"),
        ("lo", errno.EMFILE, "lo cannot be made: Too many open files"),
    ],
)
def test_interface_that_is_not_made(name, code, said):
    commands = prepared(name, 8955, bytes.fromhex("fc01" + "00" * 14))
    assert said in _not_made(name, OSError(code, os.strerror(code)), commands)


def test_preparation_is_complete():
    commands = prepared("rovy0", 8955, bytes.fromhex("fc01" + "00" * 13 + "01")).split(" && ")
    assert commands == [
        f"ip tuntap add rovy0 mode tun user {os.geteuid()}",
        "ip link set rovy0 mtu 8955 addrgenmode none",
        "ip -6 address add fc01::1/128 dev rovy0",
        "ip link set rovy0 up",
        "ip -6 route add fc00::/8 dev rovy0",
    ]
