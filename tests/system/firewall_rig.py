"""A node with a firewall in namespaces, and what can be tried on it.

The end of a veth pair stands for the TUN interface: rules ask for its name alone.
"""

import errno
import fcntl
import json
import os
import socket
import struct
import time
from contextlib import closing

import pytest

from rovy.address.keys import address_text
from rovy.fcnet.nft import Nft
from rovy.fcnet.rules import Rule
from rovy.io import nft_run
from testnet.namespace import inside
from tests.unit.fcnet.packets import OTHER, OWN, PEER

PATIENCE = 1.0
IPV6 = 0x86DD
ETHERNET = 14
SETTLED = 0.02
"""Seconds without a packet after which none is on its way: the links have no delay."""
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


DEAF = "table ip6 deaf { chain input { type filter hook prerouting priority raw; drop; }; }"
# Our clients are raw sockets: the node's kernel would reset the connections it knows nothing of.
NO_RESETS = f"""table ip6 quiet {{ chain output {{ type filter hook output priority raw;
    ip6 daddr {address_text(PEER)} tcp sport 40000-49999 tcp flags == rst drop; }}; }}"""


class World:
    """A node with a firewall, and a host outside that has two addresses."""

    def __init__(self, lab):
        self.node, self.outside = lab.host("node"), lab.host("outside")
        link = lab.link(self.node, self.outside)
        self.interface = link.interface(self.node)
        self.far = link.interface(self.outside)
        settle(self.node, self.interface, OWN)
        settle(self.outside, self.far, PEER, OTHER)
        self.near_mac = hardware(self.node, self.interface)
        self.far_mac = hardware(self.outside, self.far)
        for address in (PEER, OTHER):
            know(self.node, self.interface, address, self.far_mac)
        know(self.outside, self.far, OWN, self.near_mac)
        self.nft = self.firewall(self.interface)

    def firewall(self, interface, address=OWN):
        return Nft(interface, address, runner(self.node))

    def install(self, *rules):
        self.nft.install(map(Rule.parse, rules))

    def listen(self, host, address, port):
        return closing(bound(host, address, port, listen=True))

    def reaches(self, port, source=PEER):
        """What comes of a connection from outside: open, or the error's name, at once."""
        with closing(bound(self.outside, source, 0)) as sock:
            return outcome(lambda: sock.connect((address_text(OWN), port)))

    def asks(self, port, source=PEER):
        """What comes of a datagram from outside."""
        with closing(bound(self.outside, source, 0, socket.SOCK_DGRAM)) as sock:
            sock.connect((address_text(OWN), port))
            sock.send(b"?")
            return outcome(lambda: sock.recv(10))

    def pings(self, host, address):
        command = ["ping", "-n", "-c1", "-W1", address_text(address)]
        return host.run(command, check=False).returncode == 0


def runner(host):
    """Runs nft on a host, as a daemon there would."""

    def run(argv, stdin):
        with inside(host.namespace):
            return nft_run.run(argv, stdin)

    return run


def settle(host, interface, *addresses):
    """Give an interface addresses and the route."""
    for address in addresses:
        host.add_address(interface, f"{address_text(address)}/128")
    host.route("fc00::/8", dev=interface)


def hardware(host, interface):
    """The hardware address of an interface."""
    link = json.loads(host.run(["ip", "-j", "link", "show", interface]).stdout)
    return link[0]["address"]


def know(host, interface, address, mac):
    """A neighbour that need not be asked for: a TUN interface has none."""
    command = ["ip", "-6", "neigh", "replace", address_text(address), "dev", interface]
    host.run([*command, "lladdr", mac, "nud", "permanent"])


def bound(host, address, port, kind=socket.SOCK_STREAM, listen=False):
    with inside(host.namespace):
        sock = socket.socket(socket.AF_INET6, kind)
    sock.settimeout(PATIENCE)
    sock.bind((address_text(address), port))
    if listen:
        sock.listen()
    return sock


def outcome(work):
    started = time.monotonic()
    try:
        work()
    except TimeoutError:
        return "silence"
    except OSError as error:
        assert time.monotonic() - started < PATIENCE / 2
        return errno.errorcode[error.errno]
    return "open"


class Wire:
    """Raw packets between the node and an outside that never answers by itself."""

    def __init__(self, world):
        self._world, self._counters = world, world.nft.counters()
        # The outside is deaf; its packet socket still hears everything.
        world.outside.run(["nft", "-f", "-"], stdin=DEAF)
        world.node.run(["nft", "-f", "-"], stdin=NO_RESETS)
        world.node.sysctl("net.ipv6.icmp.ratelimit", "0")
        with inside(world.outside.namespace):
            self._far = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV6))
        self._far.bind((world.far, IPV6))
        self._far.settimeout(SETTLED)
        with inside(world.node.namespace):
            self._near = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._ends = bytes.fromhex((world.near_mac + world.far_mac).replace(":", "")) + b"\x86\xdd"

    def out(self, packet):
        """The node sends a packet; all that left it then."""
        destination = socket.inet_ntop(socket.AF_INET6, packet[24:40])
        self._near.sendto(packet, (destination, 0))
        return self._left()

    def into(self, packet):
        """A packet comes to the node: the counter it added to, or `passed`; and what left then."""
        self._far.send(self._ends + packet)
        left = self._left()
        before, self._counters = self._counters, self._world.nft.counters()
        moved = [name for name, packets in self._counters.items() if packets != before[name]]
        assert len(moved) <= 1
        return (moved or ["passed"])[0], left

    def _left(self):
        packets = []
        while True:
            try:
                frame, (_, _, kind, *_) = self._far.recvfrom(65536)
            except TimeoutError:
                return packets
            packet = frame[ETHERNET:]
            if kind != socket.PACKET_OUTGOING and packet[8:24] == OWN:  # not multicast listening
                packets.append(packet)

    def close(self):
        self._near.close()
        self._far.close()


def tunnel(host, name):
    """A TUN interface of a host, up; its descriptor takes whole packets."""
    try:
        with inside(host.namespace):
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(
                descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
            )
    except OSError as error:
        pytest.skip(f"/dev/net/tun cannot be opened: {error.strerror}; run as root, or chmod 0666")
    host.run(["ip", "link", "set", name, "up"])
    return descriptor


def listed(host):
    return host.run(["nft", "list", "ruleset"]).stdout
