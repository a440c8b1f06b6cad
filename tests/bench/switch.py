"""The label switch and the tables behind it, in memory."""

import os
import random
from collections.abc import Callable, Iterator

from rovy.address.label import MAX_SLOT
from rovy.dataplane.pure import PureDataPlane
from rovy.dataplane.tables import Tunnel
from rovy.dataplane.types import Output
from rovy.wire.datagram import DATA_HEADER
from tests.bench.aead import raw_open, raw_seal
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rig import (
    NOW,
    PER_READ,
    PLAIN,
    add_peering,
    direct,
    forward_packet,
    forwarder_plane,
    sealed,
)
from tests.bench.timing import GIGA, MICRO, cpu, scaled, take_turns

PACKET = 1500
_AT_A_TIME = 100


class Switch(PureDataPlane):
    """A data plane that does not seal what it has switched."""

    def _seal_in_place(self, tunnel: Tunnel, view: memoryview, at: int, end: int) -> None:
        pass


def _opened(slots: list[int], *, wide: bool) -> bytes:
    """Opened datagrams of 1500 bytes, end to end, as the switch finds them."""
    room = PACKET - DATA_HEADER - 1 - 16
    packets = [forward_packet(slot, wide=wide, size=room) for slot in slots]
    return b"".join(bytes(DATA_HEADER) + b"\x01" + packet + bytes(16) for packet in packets)


def _switch(plane: PureDataPlane, arrival: int, fresh: bytes, count: int) -> float:
    """Seconds a packet; the packets are put back before each round."""
    tunnel, view = plane._tunnels[arrival], memoryview(bytearray(len(fresh)))
    starts = range(0, len(fresh), PACKET)
    out, forward, spent = Output(), plane._forward, 0.0

    def work() -> None:
        for at in starts:
            forward(view, at, at + PACKET, tunnel, NOW, out)

    for _ in range(count // len(starts)):
        view[:] = fresh
        spent += cpu(work)
    assert not plane.drops()
    return spent / (count // len(starts) * len(starts))


def _copy(count: int) -> float:
    """Seconds to copy one packet, among others, within the second-level cache."""
    source, target = os.urandom(PACKET * _AT_A_TIME), bytearray(PACKET * _AT_A_TIME)

    def work() -> None:
        for _ in range(count // _AT_A_TIME):
            target[:] = source

    return cpu(work) / count


@benchmark("switch")
def switch(scale: Scale) -> Iterator[Result]:
    """Checks, one entry read and overwritten, counts; no cipher and no socket."""
    plane = Switch()
    for number in (1, 2):
        add_peering(plane, number, direct(number), os.urandom(32), slot=number)
    fresh, count = _opened([2] * _AT_A_TIME, wide=False), scale.of(40000, 10000)
    mine, copied = take_turns(
        scale.runs, lambda: _switch(plane, 1, fresh, count), lambda: _copy(count)
    )
    against = scaled(copied, GIGA)
    yield Result.of("switch", "ns", scaled(mine, GIGA), "memcpy of 1500 B", against)


@benchmark("tables.slots", "tables.slots.set")
def slots(scale: Scale) -> Iterator[Result]:
    """The switch with all 3839 slots in use, taken at random, against one."""
    chosen = random.Random(1).sample(range(2, MAX_SLOT + 1), 2000)
    full, single = Switch(), Switch()
    for number in range(1, MAX_SLOT + 1):
        add_peering(full, number, direct(number), os.urandom(32), slot=number)
    for number in (1, 2):
        add_peering(single, number, direct(number), os.urandom(32), slot=number)
    many, one = _opened(chosen, wide=True), _opened([2] * len(chosen), wide=True)
    count = scale.of(20000, 8000)
    mine, alone, setting = take_turns(
        scale.runs,
        lambda: _switch(full, 1, many, count),
        lambda: _switch(single, 1, one, count),
        _setter(full),
    )
    yield Result.of("tables.slots", "ns", scaled(mine, GIGA), "one slot", scaled(alone, GIGA))
    yield Result.of("tables.slots.set", "ns", scaled(setting, GIGA))


def _setter(plane: PureDataPlane) -> Callable[[], float]:
    def work() -> None:
        for number in range(1, MAX_SLOT + 1):
            plane.set_slot(number, None)
            plane.set_slot(number, number)

    return lambda: cpu(work) / (2 * MAX_SLOT)


@benchmark("tables.destinations")
def destinations(scale: Scale) -> Iterator[Result]:
    """One packet of each of many sessions among 100,000, against as many of one session.

    The packets are short, so that the ciphers hide little. Each session has used its replay
    window before.
    """
    sessions, used = 100_000, scale.of(2000, 1000)
    paths = [direct(1 + number % 60000, f"10.0.0.{number // 60000}") for number in range(sessions)]
    secret = os.urandom(16)
    full, single = PureDataPlane(), PureDataPlane()
    for number, path in enumerate(paths):
        add_peering(full, number, path, _key(secret, number))
    add_peering(single, 1, paths[1], _key(secret, 1))
    chosen = random.Random(1).sample(range(sessions), used)
    senders = PureDataPlane()
    for number in {*chosen, 1}:
        add_peering(senders, number, paths[number], _key(secret, number))
    mine, alone = take_turns(
        scale.runs,
        lambda: _arrive(full, senders, chosen),
        lambda: _arrive(single, senders, [1] * used),
    )
    against = scaled(alone, MICRO)
    yield Result.of("tables.destinations", "µs", scaled(mine, MICRO), "one session", against)


def _key(secret: bytes, number: int) -> bytes:
    return secret + number.to_bytes(16, "big")


def _arrive(plane: PureDataPlane, senders: PureDataPlane, numbers: list[int]) -> float:
    """Seconds for a read of one datagram."""
    reads = []
    for number in numbers:
        (run,) = senders.seal(number, 3, [bytes(64)], NOW).runs
        reads.append((bytearray(run.data), run.path))

    def work() -> None:
        for buffer, path in reads:
            plane.receive(buffer, len(buffer), len(buffer), path, NOW)

    seconds = cpu(work)
    assert not plane.drops()
    return seconds / len(numbers)


@benchmark("forwarder.memory")
def in_memory(scale: Scale) -> Iterator[Result]:
    """The data plane's `receive` alone, 45 packets of 1400 bytes a call."""
    key, source, target = os.urandom(32), direct(1), direct(2)
    fresh = sealed(key, forward_packet(), scale.of(200, 60), PER_READ)
    packets, bits = len(fresh) * PER_READ, 8 * PLAIN / GIGA

    def forward() -> float:
        plane = forwarder_plane(source, target, key)
        buffers = [bytearray(data) for data in fresh]
        size = len(buffers[0]) // PER_READ

        def work() -> None:
            for buffer in buffers:
                plane.receive(buffer, len(buffer), size, source, NOW)

        seconds = cpu(work)
        assert plane.forwarded()[0] == packets
        return bits * packets / seconds

    def ciphers() -> float:
        return bits / (raw_seal(PLAIN + 1, packets) + raw_open(PLAIN + 1, packets))

    mine, bound = take_turns(scale.runs, forward, ciphers)
    yield Result.of("forwarder.memory", "Gbit/s", mine, "cryptography", bound)
