"""The link emulator, measured from outside: what a link promises is what packets meet."""

import contextlib
import math
import os
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from testnet.emulator import Direction, LinkQuality
from testnet.namespace import inside
from testnet.netns import Lab, LabError, wait_until

pytestmark = pytest.mark.system

NET, V6 = "10.0.1.0/24", "fd00:1::/64"
B, V6_B = "10.0.1.2", "fd00:1::2"
ETHERNET, HEADERS = 14, 28  # bytes: the frame's, and IPv4 and UDP
RECEIVE_BUFFER = 1 << 25
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35  # asm-generic/socket.h
STAMP = struct.Struct("!Qd")  # number, time of sending
BURST = 50  # packets sent before what has arrived is read; another user's receiver holds some 270
QUIET = 0.3  # seconds without a packet after which none is expected any more
SIGMAS = 5


@dataclass(frozen=True, slots=True)
class Arrival:
    number: int
    at: float
    latency: float


class Pair:
    """Two hosts on an emulated link, a UDP socket on each."""

    def __init__(self, lab, quality):
        self.a, self.b = lab.host("a"), lab.host("b")
        self.link = lab.emulated(self.a, self.b, net=NET, v6=V6, quality=quality)
        self.sockets = contextlib.ExitStack()
        self.sender, self.receiver = (self.udp(host) for host in (self.a, self.b))
        self.receiver.bind((B, 5000))
        self.receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        with contextlib.suppress(PermissionError):  # root's receiver outlasts a stalled test
            self.receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        for target in (B, V6_B):
            self.ping(count=1, target=target)  # the neighbours are known from here on

    def udp(self, host):
        with inside(host.namespace):
            return self.sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def ping(self, *options, count=20, target=B, check=True):
        """The round trips in seconds."""
        command = ["ping", "-n", f"-c{count}", "-i0.01", "-W2", *options, target]
        output = self.a.run(command, check=check).stdout
        return [float(found) / 1000 for found in re.findall(r"time=([\d.]+)", output)]

    def send(self, count, rate=10_000, size=100):
        """Send datagrams at `rate` a second, frames of `size` bytes; what arrives at B."""
        padding = bytes(size - ETHERNET - HEADERS - STAMP.size)
        arrivals, sent, begin = [], 0, time.monotonic()
        while sent < count:
            due = min(count, sent + BURST, int((time.monotonic() - begin) * rate) + 1)
            for number in range(sent, due):
                self.sender.sendto(STAMP.pack(number, time.time()) + padding, (B, 5000))
            sent = max(sent, due)
            arrivals += self.arrived(timeout=0.0002)
        while batch := self.arrived(timeout=QUIET):
            arrivals += batch
        return arrivals

    def arrived(self, timeout):
        arrivals = []
        select.select([self.receiver], [], [], timeout)
        while True:
            try:
                data, ancillary, _, _ = self.receiver.recvmsg(2048, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return arrivals
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            number, sent = STAMP.unpack_from(data)
            at = seconds + nanoseconds / 1e9
            arrivals.append(Arrival(number, at, at - sent))


@pytest.fixture
def pair(tun, lab, request):
    pair = Pair(lab, getattr(request, "param", LinkQuality()))
    with pair.sockets:
        yield pair


def quality(**fields):
    return pytest.mark.parametrize("pair", [LinkQuality(**fields)], indirect=True)


def within(count, total, probability):
    """Whether a count is one that a fair coin of this probability may show."""
    spread = math.sqrt(total * probability * (1 - probability))
    return abs(count - total * probability) <= SIGMAS * spread


@pytest.mark.parametrize("delay", [0.001, 0.025, 0.1])
@pytest.mark.parametrize("target", [B, V6_B])
def test_round_trip_is_twice_the_delay(pair, target, delay):
    pair.link.set(delay=delay)
    trips = pair.ping(target=target)
    assert len(trips) == 20
    assert min(trips) >= 2 * delay
    assert statistics.median(trips) <= 2 * delay + 0.003


@quality(delay=0.02)
def test_twenty_thousand_packets_a_second_arrive_on_time(pair):
    latencies = [arrival.latency for arrival in pair.send(10_000, rate=20_000)]
    assert len(latencies) >= 9_900
    assert min(latencies) >= 0.02
    assert statistics.median(latencies) <= 0.02 + 0.005


@quality(delay=0.02, jitter=0.01)
def test_jitter_spreads_the_delay_and_keeps_the_order(pair):
    arrivals = pair.send(200, rate=10_000)
    assert [arrival.number for arrival in arrivals] == list(range(200))
    trips = pair.ping(count=50)
    assert 0.02 <= min(trips) < 0.035
    assert max(trips) > 0.045
    assert 0.033 <= statistics.median(trips) <= 0.05


def test_lost_share_is_as_asked(pair):
    pair.link.set("ab", loss=0.2)
    before = pair.link.counters()["ab"]
    arrivals = pair.send(3000)
    assert within(3000 - len(arrivals), 3000, 0.2)
    after = pair.link.counters()["ab"]
    assert after.taken - before.taken >= 3000
    assert 3000 - len(arrivals) <= after.lost <= 3000 - len(arrivals) + 20
    pair.link.set("ab", loss=0.0)
    pair.link.set("ba", loss=0.5)
    assert within(len(pair.ping("-i0.002", count=200, check=False)), 200, 0.5)


def test_chances_repeat_with_the_seed():
    def fates(seed):
        uneasy = LinkQuality(delay=1.0, jitter=0.5, loss=0.3, duplicate=0.2, reorder=0.1)
        direction = Direction(uneasy, seed)
        return [direction.take(100, float(now)) for now in range(200)]

    assert fates("one") == fates("one") != fates("two")


@quality(rate=8_000_000)
def test_rate_of_datagrams(pair):
    arrivals = pair.send(1500, rate=1500, size=1000)
    duration = arrivals[-1].at - arrivals[0].at
    assert (len(arrivals) - 1) * 1000 * 8 / duration == pytest.approx(8_000_000, rel=0.15)
    assert pair.link.counters()["ab"].queue_full >= 1500 - len(arrivals) > 200
    assert max(arrival.latency for arrival in arrivals) <= 0.1 + 0.03  # the queue's limit


@quality(rate=8_000_000, queue_bytes=10_000)
def test_queue_is_bounded_in_bytes_too(pair):
    arrivals = pair.send(100, rate=100_000, size=1000)
    assert 10 <= len(arrivals) <= 20
    assert [arrival.number for arrival in arrivals[:10]] == list(range(10))


@quality(rate=20_000_000, delay=0.005)
def test_rate_of_a_tcp_stream(pair):
    size = 2_500_000
    with inside(pair.b.namespace):
        listener = pair.sockets.enter_context(socket.create_server((B, 6000)))
    with inside(pair.a.namespace):
        client = pair.sockets.enter_context(socket.create_connection((B, 6000), timeout=10))
    with listener.accept()[0] as server:
        writer = threading.Thread(target=client.sendall, args=(bytes(size),))
        begin = time.monotonic()
        writer.start()
        left = size
        while left:
            left -= len(server.recv(65536))
        duration = time.monotonic() - begin
        writer.join()
    frames = size * 1514 / 1448  # of which the payload is this share
    assert frames * 8 / duration == pytest.approx(20_000_000, rel=0.15)


@quality(mtu=1300)
@pytest.mark.parametrize(("target", "header"), [(B, 28), (V6_B, 48)])
def test_larger_packets_than_the_mtu_vanish_or_are_refused(pair, target, header):
    fits, exceeds = (["-Mdo", f"-s{size - header}"] for size in (1300, 1301))
    assert len(pair.ping(*fits, target=target, count=3)) == 3
    silent = pair.a.run(["ping", "-c2", "-i0.1", "-W0.4", *exceeds, target], check=False)
    assert silent.returncode == 1
    assert "mtu" not in silent.stdout + silent.stderr
    assert pair.link.counters()["ab"].too_big == 2
    pair.link.set("ab", icmp=True)
    told = pair.a.run(["ping", "-c2", "-i0.1", "-W0.4", *exceeds, target], check=False)
    assert "1300" in told.stdout + told.stderr


@quality(delay=0.001, duplicate=0.25)
def test_duplicates(pair):
    numbers = [arrival.number for arrival in pair.send(1000)]
    assert set(numbers) == set(range(1000))
    assert within(len(numbers) - 1000, 1000, 0.25)


@quality(delay=0.02, reorder=0.1)
def test_reordered_packets_overtake(pair):
    arrivals = pair.send(1000)
    early = [arrival for arrival in arrivals if arrival.latency < 0.02]
    assert within(len(early), 1000, 0.1)
    late = [arrival.number for arrival in arrivals if arrival.latency >= 0.02]
    assert late == sorted(late)
    assert len(arrivals) == 1000


def test_quality_changes_while_packets_flow(pair):
    log = pair.a.lab.log_directory / "ping"
    pair.a.spawn(["ping", "-n", "-i0.02", B], log=log)

    def latest():
        trips = re.findall(r"time=([\d.]+)", log.read_text())
        return float(trips[-1]) / 1000 if trips else math.nan

    wait_until(lambda: latest() < 0.02, timeout=5)
    pair.link.set(delay=0.03)
    wait_until(lambda: latest() >= 0.06, timeout=5)
    pair.link.set("ba", delay=0.0)
    wait_until(lambda: 0.03 <= latest() < 0.05, timeout=5)
    pair.link.set(delay=0.0)
    wait_until(lambda: latest() < 0.02, timeout=5)
    assert pair.link.qualities["ab"] == LinkQuality()


@quality(delay=0.05)
def test_cut_link_loses_what_is_on_its_way(pair):
    pair.sender.sendto(STAMP.pack(0, time.time()), (B, 5000))
    wait_until(lambda: pair.link.counters()["ab"].taken > pair.link.counters()["ab"].delivered)
    pair.link.down()
    pair.link.up()
    assert pair.arrived(timeout=QUIET) == []
    assert len(pair.ping(count=3)) == 3


def test_each_direction_is_cut_alone(pair):
    pair.link.down("ba")
    assert not pair.ping(count=3, check=False)
    assert len(pair.send(10)) == 10
    pair.link.up("ba")
    assert len(pair.ping(count=3)) == 3


def test_down_link_takes_its_interfaces_along_when_asked(pair):
    show = ["ip", "-o", "link", "show", pair.link.interface(pair.a)]
    pair.link.down()
    assert "state DOWN" not in pair.a.run(show).stdout
    pair.link.down(interfaces=True)
    assert "state DOWN" in pair.a.run(show).stdout
    pair.link.up()
    assert len(pair.ping(count=3)) == 3


def test_bad_qualities_are_refused(pair):
    for field, value in (("loss", 1.5), ("delay", -1.0), ("rate", 0), ("mtu", 67)):
        with pytest.raises(ValueError, match=field):
            pair.link.set(**{field: value})
    assert pair.link.qualities["ab"] == LinkQuality()


class Nat:
    """`a` behind a router; `b` and `c` outside, on one network."""

    def __init__(self, lab, kind):
        a, router, self.b = (lab.host(name) for name in ("a", "router", "b"))
        inner = lab.link(a, router, net="10.0.1.0/24")
        outer = lab.link(router, self.b, net="10.0.2.0/24")
        self.b.add_address(outer.interface(self.b), "10.0.2.3/24")
        a.route("default", via="10.0.1.2")
        self.b.route("10.0.1.0/24", via="10.0.2.1")
        self.sockets = contextlib.ExitStack()
        self.inside = self.udp(a, "10.0.1.1", 1312)
        self.outside = [self.udp(self.b, f"10.0.2.{n}", 1312) for n in (2, 3)]
        names = inner.interface(router), outer.interface(router)
        self.nat = lab.nat(router, *names, kind=kind, udp_timeout=1)

    def udp(self, host, address, port):
        with inside(host.namespace):
            made = self.sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made.bind((address, port))
        made.settimeout(0.25)
        return made

    def mapping(self, peer=0):
        """Write to a peer outside; the address it sees."""
        self.inside.sendto(b"out", self.outside[peer].getsockname())
        return self.outside[peer].recvfrom(100)[1]

    def lets_in(self, mapping, peer=0):
        """Whether a datagram from a peer outside to the mapping gets in."""
        self.outside[peer].sendto(b"in", mapping)
        try:
            return self.inside.recvfrom(100)[1] == self.outside[peer].getsockname()
        except TimeoutError:
            return False


@pytest.fixture
def nat(lab, request):
    nat = Nat(lab, request.param)
    with nat.sockets:
        yield nat


@pytest.mark.parametrize("nat", ["port-restricted"], indirect=True)
def test_port_restricted_nat_has_one_mapping_for_all_who_were_written_to(nat):
    mapping = nat.mapping(0)
    assert mapping[0] == "10.0.2.1"
    assert nat.lets_in(mapping, 0)
    assert not nat.lets_in(mapping, 1)
    assert nat.mapping(1) == mapping
    assert nat.lets_in(mapping, 1)
    assert not nat.lets_in(("10.0.1.1", 1312), 0)


@pytest.mark.parametrize("nat", ["symmetric"], indirect=True)
def test_symmetric_nat_has_a_mapping_for_each_peer(nat):
    first, second = nat.mapping(0), nat.mapping(1)
    assert first[1] != second[1]
    assert nat.lets_in(first, 0)
    assert nat.lets_in(second, 1)
    assert not nat.lets_in(second, 0)


@pytest.mark.parametrize("nat", ["port-restricted", "symmetric"], indirect=True)
def test_mapping_expires_and_is_rebound(nat):
    mapping = nat.mapping()
    assert nat.lets_in(mapping)
    time.sleep(1.3)
    assert not nat.lets_in(mapping)
    mapping = nat.mapping()
    assert nat.lets_in(mapping)
    nat.nat.expire()
    assert not nat.lets_in(mapping)
    mapping = nat.mapping()
    nat.nat.rebind()
    assert not nat.lets_in(mapping)
    assert nat.mapping() != mapping


def test_nothing_of_an_emulated_link_outlives_the_lab(tun):
    with Lab() as lab:
        a, b = lab.host("a"), lab.host("b")
        lab.emulated(a, b, net=NET)
        lab.emulated(a, b)
        pid = lab.emulation.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    assert not Path("/run/netns/a").exists()
    assert [name for _, name in socket.if_nameindex()] == ["lo"]


def test_death_of_the_emulator_is_told(tun):
    lab = Lab()
    link = lab.emulated(lab.host("a"), lab.host("b"))
    os.kill(lab.emulation.pid, signal.SIGKILL)
    with pytest.raises(LabError, match="emulator died, status -9"):
        link.set(delay=1.0)
    with pytest.raises(LabError, match="emulator died, status -9"):
        lab.close()
    assert not Path("/run/netns/a").exists()


def test_missing_device_is_told():
    script = "from testnet.netns import *\nwith Lab() as l: l.emulated(l.host('a'), l.host('b'))"
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"]
    done = subprocess.run([*hide, sys.executable, "-c", script], capture_output=True, text=True)
    assert "LabError: the link emulator cannot add: links need /dev/net/tun: No such" in done.stderr
    assert "modprobe tun" in done.stderr
