"""IPv6 packets through the data plane in memory, as they come from the interface or go to it."""

import os
from collections.abc import Iterator

from rovy.address.label import Label
from rovy.address.path import Direct, Routed
from rovy.dataplane.pure import PureDataPlane
from rovy.wire.ip6 import SAVED
from tests.bench.aead import raw_open, raw_seal
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rig import NOW, add_peering, direct
from tests.bench.timing import MICRO, cpu, scaled, take_turns

PACKET = 1400
"""Bytes of an IPv6 packet; direct and routed it fits 1500."""
BATCH = 45
IP6 = 3
NEAR, FAR = (b"\xfc" + bytes((number,)) * 15 for number in (1, 2))
_SEALED = PACKET - SAVED + 1


@benchmark("tun.packet.transmit", "tun.packet.transmit.routed", "tun.packet.receive")
def edge(scale: Scale) -> Iterator[Result]:
    """Per packet, 45 a batch. A routed packet is sealed twice, one that is received opened once."""
    count = scale.of(9000, 4500) // BATCH
    transmit, routed, receive, seal, opened = take_turns(
        scale.runs,
        lambda: _transmit(count, direct(1)),
        lambda: _transmit(count, Routed(Label.of(1, 2))),
        lambda: _receive(count),
        lambda: raw_seal(_SEALED, count * BATCH),
        lambda: raw_open(_SEALED, count * BATCH),
    )
    for name, mine, bare in (
        ("transmit", transmit, seal),
        ("transmit.routed", routed, scaled(seal, 2)),
        ("receive", receive, opened),
    ):
        values, against = scaled(mine, MICRO), scaled(bare, MICRO)
        yield Result.of(f"tun.packet.{name}", "µs", values, "cryptography", against)


def _planes(key: bytes) -> tuple[PureDataPlane, PureDataPlane]:
    """Two nodes that are peers at port 1."""
    near, far = PureDataPlane(), PureDataPlane()
    for plane, own, other in ((near, NEAR, FAR), (far, FAR, NEAR)):
        plane.set_own(own, IP6)
        add_peering(plane, 1, direct(1), key, slot=1, address=other)
        plane.set_ip6(1, IP6)
    return near, far


def _packets(destination: bytes) -> list[bytes]:
    head = b"\x60\0\0\0" + (PACKET - 40).to_bytes(2, "big") + b"\x11\x40"
    return [head + NEAR + destination + os.urandom(PACKET - 40)] * BATCH


def _transmit(count: int, path: Direct | Routed) -> float:
    plane, _ = _planes(os.urandom(32))
    packets = _packets(FAR)
    if isinstance(path, Routed):
        beyond = b"\xfc" + bytes(15)
        add_peering(plane, 2, direct(2), os.urandom(32), address=beyond)
        plane.set_ip6(2, IP6)
        plane.set_path(2, path, 9000)
        packets = _packets(beyond)

    def work() -> None:
        for _ in range(count):
            plane.transmit(packets, NOW)

    seconds = cpu(work)
    assert not plane.drops()
    return seconds / (count * BATCH)


def _receive(count: int) -> float:
    near, far = _planes(os.urandom(32))
    buffers = []
    for _ in range(count):
        (run,) = near.transmit(_packets(FAR), NOW).runs
        buffers.append(bytearray(run.data))
    came = 0

    def work() -> None:
        nonlocal came
        for buffer in buffers:
            came += len(far.receive(buffer, len(buffer), run.size, direct(1), NOW).packets)

    seconds = cpu(work)
    assert came == count * BATCH
    return seconds / came
