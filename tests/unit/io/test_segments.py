"""Long segments: cut again they are, bit for bit, the packets they were made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.fcnet.headers import TCP
from rovy.io.segments import MOST, PLAIN, SEGMENTS, VNET, parts, runs
from rovy.wire.ip6 import checksum, pseudo_header
from tests.unit.fcnet.packets import OTHER, OWN, PEER, ip6, tcp, udp
from tests.unit.wire.strategies import mutations

PUSH, URGENT_AT = 0x08, 58
STAMP = bytes.fromhex("0101080a0000000100000002")


def segment(seq=0, size=100, flags="A", source=PEER, sport=80, **fields):
    payload = bytes((seq + n) & 0xFF for n in range(size))
    return ip6(source, OWN, tcp(flags, sport, 5000, payload, seq=seq % 2**32, **fields))


def stream(*sizes, at=0, **fields):
    """Segments of these sizes, each where the former ends."""
    packets = []
    for size in sizes:
        packets.append(segment(at, size, **fields))
        at += size
    return packets


def cut(written):
    """What a kernel makes of a write: the segments of a long one, with their checksums."""
    flags, kind, headers, size, sum_from, sum_at = VNET.unpack(written[0])
    whole = b"".join(written[1:])
    if not flags:
        assert written[0] == PLAIN
        return [whole]
    assert (flags, kind, sum_from, sum_at) == (1, 4, 40, 16)
    head, body = whole[:headers], whole[headers:]
    assert int.from_bytes(head[4:6], "big") == len(whole) - 40
    ends = range(0, len(body), size)
    return [one_of(head, body, at, size, last=at + size >= len(body)) for at in ends]


def one_of(head, body, at, size, *, last):
    part = body[at : at + size]
    made = bytearray(head)
    made[4:6] = (len(head) - 40 + len(part)).to_bytes(2, "big")
    made[44:48] = ((int.from_bytes(head[44:48], "big") + at) % 2**32).to_bytes(4, "big")
    made[53] &= 0xFF if last else ~PUSH
    ends = bytes(head[8:24]), bytes(head[24:40])
    partial = 0xFFFF - checksum(pseudo_header(*ends, len(made) - 40 + len(part), TCP))
    made[56:58] = partial.to_bytes(2, "big")
    return sealed(bytes(made) + part)


def sealed(packet):
    """With the checksum that a sum of the pseudo-header in its place leads to."""
    return packet[:56] + checksum(packet[40:]).to_bytes(2, "big") + packet[58:]


def lengths(packets):
    return [len(run) for run in runs(packets)]


@st.composite
def batches(draw):
    """Mostly what one or two streams send, with everything that ends a run."""
    packets, places = [], [0, 2**32 - 300]
    for _ in range(draw(st.integers(0, 30))):
        which = draw(st.sampled_from((0, 0, 0, 0, 1)))
        size = draw(st.sampled_from((100, 100, 100, 100, 101, 60, 0)))
        places[which] += draw(st.sampled_from((0,) * 9 + (7,)))
        flags = draw(st.sampled_from(("A",) * 9 + ("PA", "FA")))
        window = draw(st.sampled_from((8192,) * 9 + (9000,)))
        options = draw(st.sampled_from((STAMP,) * 9 + (b"",)))
        kept = {"window": window, "options": options, "sport": 80 + which}
        packets.append(segment(places[which], size, flags, **kept))
        places[which] += size
    return packets


@given(batches())
def test_packets_come_out_as_they_went_in(packets):
    found = list(runs(packets))
    assert [packet for run in found for packet in run] == packets
    assert [cut(parts(run)) for run in found] == found


def test_a_stream_makes_one_write():
    packets = stream(*[1383] * 45, at=2**32 - 20_000, options=STAMP)
    (run,) = runs(packets)
    assert cut(parts(run)) == packets
    assert cut(parts([memoryview(packet) for packet in run])) == packets


def test_a_shorter_one_or_a_push_is_the_last():
    assert lengths(stream(100, 100, 60, 60, 60)) == [3, 2]
    pushed = [*stream(100, 100), segment(200, 100, "PA"), *stream(100, 100, at=300)]
    assert lengths(pushed) == [3, 2]


def test_runs_are_bounded():
    assert lengths(stream(*[10] * (2 * SEGMENTS + 1))) == [SEGMENTS, SEGMENTS, 1]
    long = stream(*[8000] * 20)
    assert lengths(long) == [8, 8, 4]
    assert all(sum(map(len, parts(run)[1:])) <= MOST for run in runs(long))


def changed(at, value):
    packet = bytearray(segment(100))
    packet[at] = value
    return bytes(packet)


@pytest.mark.parametrize(
    "second",
    [
        segment(101),
        segment(0),
        segment(100, 101),
        segment(100, 0),
        segment(100, source=OTHER),
        segment(100, sport=81),
        segment(100, ack=1),
        segment(100, window=1),
        segment(100, options=STAMP),
        *(segment(100, flags=flags) for flags in ("", "S", "FA", "RA", "UA", "EA", "CA")),
        changed(1, 0x30),  # congestion was experienced
        changed(3, 1),  # another flow
        changed(7, 63),  # hop limit
        changed(52, 0x51),  # a reserved bit
        changed(URGENT_AT, 1),
        ip6(PEER, OWN, udp(80, 5000, bytes(92))),
    ],
)
def test_what_does_not_continue_a_stream(second):
    assert lengths([segment(0), second]) == [1, 1]


def test_what_begins_no_run():
    for flags in ("S", "SA", "FA", "PA", "RA"):
        assert lengths(stream(100, 100, flags=flags)) == [1, 1]
    assert lengths([segment(0, 0), segment(0, 0)]) == [1, 1]


@given(st.lists(st.binary(max_size=100) | mutations(segment(0, 20)), max_size=10))
def test_hostile_packets_are_written_as_they_are(packets):
    found = list(runs(packets))
    assert [packet for run in found for packet in run] == packets
    for run in found:
        written = parts(run)
        assert len(run) > 1 or written == [PLAIN, run[0]]
