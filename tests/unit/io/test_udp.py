"""Real sockets on loopback, on both event loops, with and without the kernel's offloads."""

import asyncio
import errno
import os
import socket
from contextlib import asynccontextmanager

import pytest
import uvloop

from rovy.address.keys import PrivateKey
from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.types import Run
from rovy.errors import UsageError
from rovy.io.udp import UDP_SEGMENT, UdpUnderlay
from rovy.node import Node, NodeConfig

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
LOCAL = {4: "127.0.0.1", 6: "::1"}


class Inbox:
    """A receiver that keeps what it is given."""

    def __init__(self):
        self.batches = []
        """(source, datagrams)"""
        self.failed = []
        self.changed = 0
        self._news = asyncio.Event()

    def receive(self, buffer, length, size, source):
        data = bytes(memoryview(buffer)[:length])
        self.batches.append((source, [data[at : at + size] for at in range(0, length, size)]))
        self._news.set()

    def knows(self, source):
        return True

    def send_failed(self, path, reason, size):
        self.failed.append((path, reason, size))
        self._news.set()

    def addresses_changed(self):
        self.changed += 1

    @property
    def datagrams(self):
        return [datagram for _, batch in self.batches for datagram in batch]

    async def wait(self, done):
        async with asyncio.timeout(2):
            while not done(self):
                self._news.clear()
                await self._news.wait()


@pytest.fixture(params=sorted(LOOPS))
def on_loop(request):
    """Runs a coroutine on each kind of event loop."""

    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main)

    return run


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@asynccontextmanager
async def opened(*hosts, offload=True, port=None):
    """An underlay on these addresses, its sockets, and what it receives."""
    underlay, inbox = UdpUnderlay(offload=offload), Inbox()
    port = port or free_port()
    listen = [Endpoint(host, port) for host in hosts]
    sockets = await underlay.open(listen, inbox)
    try:
        yield underlay, sockets, inbox
    finally:
        await underlay.close()


def path_to(underlay_socket, local="", number=0):
    return Direct(number, underlay_socket.bound, local)


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("version", [4, 6])
def test_runs_arrive_whole_and_in_order(on_loop, version, offload):
    async def main():
        async with (
            opened(LOCAL[version], offload=offload) as (a, [here], _),
            opened(LOCAL[version], offload=offload) as (b, [there], inbox),
        ):
            wanted = []
            for size, count, last in ((1200, 150, 1200), (33, 7, 5), (9000, 20, 1)):
                run = [bytes((n,)) * size for n in range(count)] + [b"x" * last]
                a.send(Run(path_to(there), size, b"".join(run)))
                wanted += run
            await inbox.wait(lambda box: len(box.datagrams) >= len(wanted))
            assert inbox.datagrams == wanted
            [source] = {source for source, _ in inbox.batches}
            assert source.remote == here.bound
            assert source.local == LOCAL[version]
            assert offload or all(len(batch) == 1 for _, batch in inbox.batches)
            octets = sum(map(len, wanted))
            assert a.counters() == {"packets_sent": len(wanted), "bytes_sent": octets}
            assert b.counters() == {"packets_received": len(wanted), "bytes_received": octets}

    on_loop(main())


def test_offload_saves_calls_where_the_kernel_has_it(on_loop):
    async def main():
        async with opened("127.0.0.1") as (a, _, _), opened("127.0.0.1") as (b, [there], inbox):
            if not b._sockets[0]._gro:
                pytest.skip("this kernel has no UDP_GRO")
            a.send(Run(path_to(there), 1000, bytes(60_000)))
            await inbox.wait(lambda box: len(box.datagrams) >= 60)
            if a.counters().get("offload refused"):
                pytest.skip("this kernel has no UDP_SEGMENT")
            assert len(inbox.batches) < 10

    on_loop(main())


def test_both_families_share_a_port(on_loop):
    async def main():
        async with opened("::1", "127.0.0.1") as (a, [six, four], inbox):
            assert six.bound.port == four.bound.port
            assert [each.number for each in (six, four)] == [0, 1]
            a.send(Run(path_to(four, number=1), 3, b"one"))
            a.send(Run(path_to(six, number=0), 3, b"two"))
            a.send(Run(path_to(six, number=7), 3, b"no such socket"))
            await inbox.wait(lambda box: len(box.datagrams) >= 2)
            assert {s.socket: d for s, d in inbox.batches} == {1: [b"one"], 0: [b"two"]}
            assert {s.remote.host for s, _ in inbox.batches} == {"::1", "127.0.0.1"}

    on_loop(main())


def test_the_next_port_where_one_is_taken(on_loop):
    async def main():
        async with opened("127.0.0.1") as (_, [first], _):
            port = first.bound.port
            async with opened("::1", "127.0.0.1", port=port) as (_, sockets, _):
                assert len({each.bound.port for each in sockets}) == 1
                assert port < sockets[0].bound.port <= port + 16
            taken = UdpUnderlay(0)
            with pytest.raises(UsageError, match=f"{port}.*another address or port"):
                await taken.open([Endpoint("127.0.0.1", port)], Inbox())

    on_loop(main())


def test_no_port_is_left_above_the_last(on_loop):
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 65535))
            with pytest.raises(UsageError):
                await UdpUnderlay().open([Endpoint("127.0.0.1", 65535)], Inbox())

    on_loop(main())


@pytest.mark.parametrize(
    "listen", [[], [Endpoint("192.0.2.1", 5000)], [Endpoint("fe80::1", 1, "no0")]]
)
def test_addresses_that_cannot_be_bound(on_loop, listen):
    async def main():
        before = descriptors()
        with pytest.raises(UsageError):
            await UdpUnderlay().open(listen, Inbox())
        assert descriptors() == before

    on_loop(main())


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def test_closing_leaves_nothing_open(on_loop):
    async def main():
        before = descriptors()
        async with opened("::1", "127.0.0.1") as (a, [six, _], inbox):
            assert len(descriptors()) > len(before)
            a.send(Run(path_to(six), 3, b"abc"))
            await inbox.wait(lambda box: box.datagrams)
            a.send(Run(path_to(six), 3, b"too late"))
        assert descriptors() == before
        await asyncio.sleep(0.01)
        assert len(inbox.datagrams) == 1
        a.send(Run(path_to(six), 3, b"closed"))
        await a.close()

    on_loop(main())


def test_sends_that_fail_are_reported(on_loop):
    async def main():
        async with opened("::", "0.0.0.0") as (a, [six, four], inbox):
            there = Endpoint("127.0.0.1", four.bound.port)
            too_big = Direct(1, there)
            not_ours = Direct(1, there, "192.0.2.1")
            not_ours6 = Direct(0, Endpoint("::1", six.bound.port), "2001:db8::1")
            a.send(Run(too_big, 65508, bytes(65508)))
            a.send(Run(not_ours, 3, b"abc"))
            a.send(Run(not_ours6, 3, b"abc"))
            await inbox.wait(lambda box: len(box.failed) >= 3)
            assert inbox.failed[0] == (too_big, "too big", 65508)
            assert [path for path, _, _ in inbox.failed[1:]] == [not_ours, not_ours6]
            assert all(reason in errno.errorcode.values() for _, reason, _ in inbox.failed[1:])
            assert a.counters()["send error: EMSGSIZE"] == 1
            a.send(Run(Direct(1, there), 4, b"fine"))
            await inbox.wait(lambda box: box.datagrams == [b"fine"])

    on_loop(main())


def test_the_source_address_is_the_paths(on_loop):
    async def main():
        async with opened("0.0.0.0") as (a, _, _), opened("0.0.0.0") as (b, [there], inbox):
            for number, local in enumerate(("127.0.0.1", "127.0.0.2", "127.0.0.1")):
                to = Endpoint(f"127.0.0.{5 + number}", there.bound.port)
                a.send(Run(Direct(0, to, local), 1, b"x"))
            await inbox.wait(lambda box: len(box.datagrams) >= 3)
            sources = [source for source, _ in inbox.batches]
            assert [s.remote.host for s in sources] == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
            assert [s.local for s in sources] == ["127.0.0.5", "127.0.0.6", "127.0.0.7"]
            # An answer on the path a packet came by goes back the way it came.
            mine = Inbox()
            async with opened("127.0.0.2") as (c, _, answers):
                c.send(Run(Direct(0, Endpoint("127.0.0.9", there.bound.port)), 1, b"y"))
                await inbox.wait(lambda box: len(box.datagrams) >= 4)
                b.send(Run(inbox.batches[-1][0], 1, b"z"))
                await answers.wait(lambda box: box.datagrams == [b"z"])
                assert answers.batches[0][0].remote.host == "127.0.0.9"
            assert mine.datagrams == []

    on_loop(main())


class Stubborn:
    """A socket whose sendmsg does what a test says, and otherwise works."""

    def __init__(self, sock):
        self._sock = sock
        self.full = 0
        """How many calls find the socket full."""
        self.error = 0
        """What the kernel says to segmented sends."""

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def sendmsg(self, parts, ancillary, flags, address):
        if self.error and any(kind == UDP_SEGMENT for _, kind, _ in ancillary):
            raise OSError(self.error, "no")
        if self.full:
            self.full -= 1
            raise BlockingIOError
        return self._sock.sendmsg(parts, ancillary, flags, address)


@asynccontextmanager
async def stubborn(**options):
    async with (
        opened("127.0.0.1", **options) as (a, _, _),
        opened("127.0.0.1") as (_, [there], inbox),
    ):
        sock = a._sockets[0]
        sock._sock = fake = Stubborn(sock._sock)
        yield a, path_to(there), inbox, fake


@pytest.mark.parametrize("full", [1, 2, 5])
def test_a_full_socket_keeps_the_order(on_loop, full):
    async def main():
        async with stubborn(offload=False) as (a, path, inbox, fake):
            fake.full = full
            for first in range(0, 40, 4):
                a.send(Run(path, 2, b"".join(b"%02d" % (first + n) for n in range(4)), 1))
            await inbox.wait(lambda box: len(box.datagrams) >= 40)
            assert inbox.datagrams == [b"%02d" % n for n in range(40)]
            assert not a._sockets[0]._waiting

    on_loop(main())


def test_a_full_socket_copies_what_it_keeps(on_loop):
    """The data plane's buffer is read into again as soon as `send` returns."""

    async def main():
        async with stubborn() as (a, path, inbox, fake):
            fake.full = 1
            buffer = bytearray(b"before")
            a.send(Run(path, 6, memoryview(buffer)))
            buffer[:] = b"after!"
            await inbox.wait(lambda box: box.datagrams == [b"before"])

    on_loop(main())


def test_what_waits_is_bounded_per_peering(on_loop):
    async def main():
        async with stubborn() as (a, path, _, fake):
            fake.full = 1 << 30
            for _ in range(30):
                a.send(Run(path, 1000, bytes(60_000), ingress=1))
            assert a.counters()["egress queue full"] == 60 * (30 - (1 << 20) // 60_000)
            a.send(Run(path, 1000, bytes(60_000), ingress=2))
            assert a.counters()["egress queue full"] == 60 * (30 - (1 << 20) // 60_000)

    on_loop(main())


@pytest.mark.parametrize("error", [errno.EIO, errno.EINVAL])
def test_segmentation_that_is_refused_is_not_asked_for_again(on_loop, error):
    async def main():
        async with stubborn() as (a, path, inbox, fake):
            fake.error = error
            a.send(Run(path, 100, b"".join(bytes((n,)) * 100 for n in range(30))))
            await inbox.wait(lambda box: len(box.datagrams) >= 30)
            assert inbox.datagrams == [bytes((n,)) * 100 for n in range(30)]
            a.send(Run(path, 100, bytes(3000)))
            assert a.counters()["offload refused"] == 1
            assert inbox.failed == []

    on_loop(main())


def test_names_are_resolved(on_loop):
    async def main():
        underlay = UdpUnderlay()
        assert await underlay.resolve("127.0.0.1", v6=False) == ["127.0.0.1"]
        assert await underlay.resolve("127.0.0.1", v6=True) == []
        assert any(each.address == "127.0.0.1" for each in underlay.addresses())

    on_loop(main())


@pytest.mark.slow
def test_a_flood_does_not_starve_a_session(on_loop):
    """An established peer's pings are answered while strangers send all they can."""

    async def main():
        port = free_port()
        config = NodeConfig(listen=(Endpoint("127.0.0.1", port),))
        async with Node(PrivateKey.generate(os.urandom), config) as b:
            mine = NodeConfig(listen=(Endpoint("127.0.0.1", free_port()),))
            async with Node(PrivateKey.generate(os.urandom), mine) as a:
                at = b.sockets[0].bound
                await a.connect(f"/ip4/127.0.0.1/udp/{at.port}/rovy/{b.peer_id}")
                flood = asyncio.create_task(flood_of_junk(at.port))
                pongs = [await a.ping(b.peer_id, timeout=1) for _ in range(300)]
                flood.cancel()
                sent = await flood
                assert sent > 1000
                assert max(pong.rtt for pong in pongs) < 0.5
                assert sorted(pong.rtt for pong in pongs)[150] < 0.1

    on_loop(main())


async def flood_of_junk(port):
    """Random datagrams in the loop's every turn; gives their number when cancelled."""
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        junk = [os.urandom(200) for _ in range(40)] + [b"\1" + bytes(399), b"\4" + bytes(99)] * 5
        try:
            while True:
                for datagram in junk:
                    try:
                        sock.sendto(datagram, ("127.0.0.1", port))
                        sent += 1
                    except BlockingIOError:
                        break
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            return sent
