"""The simulated underlay without nodes."""

import asyncio

import pytest

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.dataplane.types import Run
from rovy.errors import UsageError
from rovy.io.sim import Quality, SimNet
from rovy.io.virtual import run

PORT = 1312
A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"
LISTEN = (Endpoint("0.0.0.0", PORT), Endpoint("::", PORT))


class Inbox:
    """Implements `Receiver`."""

    def __init__(self):
        self.got, self.failed, self.changes = [], [], 0

    def receive(self, buffer, length, size, source):
        self.got.append((asyncio.get_running_loop().time() - 1000.0, source, bytes(buffer)))

    def knows(self, source):
        return True

    def send_failed(self, path, reason, size):
        self.failed.append(reason)

    def addresses_changed(self):
        self.changes += 1


def simulated(test):
    """Run a coroutine of a test in virtual time, with a function that opens a host."""

    def in_virtual_time():
        async def main():
            await test()

        run(main())

    in_virtual_time.__name__, in_virtual_time.__doc__ = test.__name__, test.__doc__
    return in_virtual_time


async def opened(net, *addresses, behind=None):
    host, inbox = net.host(*addresses, behind=behind), Inbox()
    await host.open(LISTEN, inbox)
    return host, inbox


def to(address, port=PORT):
    return Direct(0, Endpoint(address, port))


def send(host, path, *datagrams):
    for datagram in datagrams:
        host.send(Run(path, len(datagram), datagram))


@simulated
async def test_a_datagram_arrives_with_the_path_back():
    net = SimNet()
    a, inbox_a = await opened(net, A)
    b, inbox_b = await opened(net, B)
    a.send(Run(to(B), 3, b"abcdef"))
    await asyncio.sleep(1.0)
    [(at, path, first), (_, same, second)] = inbox_b.got
    assert (first, second) == (b"abc", b"def")
    assert at == pytest.approx(0.01)
    assert path == Direct(0, Endpoint(A, PORT), B)
    assert path is same
    send(b, path, b"back")
    await asyncio.sleep(1.0)
    assert inbox_a.got[0][2] == b"back"
    assert a.counters() == {
        "packets_sent": 2,
        "bytes_sent": 6,
        "packets_received": 1,
        "bytes_received": 4,
    }


@simulated
async def test_order_is_kept_at_one_moment():
    net = SimNet()
    (a, _), (_, inbox) = await opened(net, A), await opened(net, B)
    send(a, to(B), *(bytes((number,)) for number in range(100)))
    await asyncio.sleep(1.0)
    assert [data[0] for _, _, data in inbox.got] == list(range(100))


@simulated
async def test_ways_differ_and_change_under_way():
    net = SimNet()
    (a, inbox_a), (b, inbox_b) = await opened(net, A), await opened(net, B)
    net.one_way(A, B, latency=0.1)
    send(a, to(B), b"slow")
    send(b, to(A), b"fast")
    net.cut(A, B)
    send(a, to(B), b"never")
    await asyncio.sleep(1.0)
    assert [(round(at, 3), data) for at, _, data in inbox_b.got] == [(0.1, b"slow")]
    assert [(round(at, 3), data) for at, _, data in inbox_a.got] == [(0.01, b"fast")]
    assert net.counts == {"sent": 3, "link down": 1}
    net.link(A, B)
    send(a, to(B), b"again")
    await asyncio.sleep(1.0)
    assert inbox_b.got[-1][2] == b"again"


@simulated
async def test_partitions_part_and_heal():
    net = SimNet()
    boxes = {name: await opened(net, name) for name in (A, B, C)}
    net.partition({"east": [A, B]})
    for other in (B, C):
        send(boxes[A][0], to(other), b"x")
    await asyncio.sleep(1.0)
    assert len(boxes[B][1].got) == 1
    assert not boxes[C][1].got
    assert net.counts["partition"] == 1
    net.heal()
    send(boxes[A][0], to(C), b"x")
    await asyncio.sleep(1.0)
    assert len(boxes[C][1].got) == 1


@simulated
async def test_who_moves_to_another_address_is_not_found_at_the_former():
    net = SimNet()
    (a, inbox), (b, inbox_b) = await opened(net, A), await opened(net, B)
    send(b, to(A), b"1")
    net.readdress(a, A, C)
    await asyncio.sleep(1.0)
    assert not inbox.got
    assert inbox.changes == 1
    assert net.counts["no listener"] == 1
    send(a, to(B), b"2")
    send(b, to(C), b"3")
    await asyncio.sleep(1.0)
    assert inbox_b.got[0][1] == Direct(0, Endpoint(C, PORT), B)
    assert inbox.got[0][2] == b"3"
    send(a, Direct(0, Endpoint(B, PORT), A), b"from where it is no more")
    await asyncio.sleep(1.0)
    assert inbox.failed == ["no source address"]


@simulated
async def test_filters_see_change_and_swallow():
    net = SimNet()
    (a, _), (_, inbox) = await opened(net, A), await opened(net, B)
    net.filters.append(lambda source, there, data: None if data == b"bad" else data + b"!")
    send(a, to(B), b"bad", b"good")
    await asyncio.sleep(1.0)
    assert [data for _, _, data in inbox.got] == [b"good!"]
    assert net.counts["filtered"] == 1


@simulated
async def test_a_nat_lets_in_what_was_asked_for():
    net = SimNet()
    nat = net.nat("198.51.100.1", "port restricted", timeout=30.0)
    inner, inbox = await opened(net, "10.0.0.2", behind=nat)
    (b, inbox_b), (c, _) = await opened(net, B), await opened(net, C)
    send(inner, to(B), b"ask")
    await asyncio.sleep(1.0)
    [(_, path, _)] = inbox_b.got
    assert path.remote.host == nat.address
    send(b, path, b"answer")
    send(c, Direct(0, path.remote), b"intruder")
    await asyncio.sleep(1.0)
    [(_, back, data)] = inbox.got
    assert data == b"answer"
    assert back == Direct(0, Endpoint(B, PORT), "10.0.0.2")
    assert net.counts["nat"] == 1
    await asyncio.sleep(40.0)
    send(b, path, b"too late")
    await asyncio.sleep(1.0)
    assert len(inbox.got) == 1


@simulated
async def test_neighbours_behind_a_nat_reach_each_other_and_other_nats_repeat_addresses():
    net = SimNet()
    nats = [net.nat(f"198.51.100.{number}", "symmetric") for number in (1, 2)]
    x, _ = await opened(net, "10.0.0.2", behind=nats[0])
    _, inbox = await opened(net, "10.0.0.3", behind=nats[0])
    _, far = await opened(net, "10.0.0.3", behind=nats[1])
    send(x, to("10.0.0.3"), b"hello")
    await asyncio.sleep(1.0)
    assert [(round(at, 4), data) for at, _, data in inbox.got] == [(0.0003, b"hello")]
    assert not far.got
    with pytest.raises(UsageError):
        net.host("10.0.0.3", behind=nats[0])


def carried(seed, loss=0.2):
    async def main():
        net = SimNet(seed, Quality(loss=loss, jitter=0.01))
        (a, _), (_, inbox) = await opened(net, A), await opened(net, B)
        for number in range(50):
            send(a, to(B), bytes((number,)))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        return net.trace_hash(), [data for _, _, data in inbox.got]

    return run(main())


def test_one_seed_is_one_run():
    assert carried(1) == carried(1)
    assert carried(1)[0] != carried(2)[0]
    assert carried(1, loss=0.0)[0] != carried(1, loss=0.1)[0]


def test_it_wants_virtual_time():
    async def main():
        await opened(SimNet(), A)

    with pytest.raises(UsageError):
        asyncio.run(main())
