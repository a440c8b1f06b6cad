"""Control messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.address.label import MAX_SLOT
from rovy.errors import Malformed
from rovy.wire import beacon, control, flood
from rovy.wire.control import Codecs, Peering, Probe, ProbeAnswer, Reply, Request
from tests.unit.wire.strategies import CONTROLS, mutations

TOKEN = bytes(range(8))


@given(CONTROLS)
def test_round_trip(message):
    assert control.parse(message.emit()) == message


@given(st.data())
def test_hostile_bytes_are_malformed(data):
    raw = data.draw(mutations(data.draw(CONTROLS).emit()) | st.binary(max_size=60))
    try:
        message = control.parse(raw)
    except Malformed:
        return
    if message is None:
        assert raw[0] > flood.WANTED
    else:
        assert control.parse(message.emit()) == message


@pytest.mark.parametrize(
    "message",
    [
        Probe(TOKEN),
        ProbeAnswer(TOKEN),
        Peering(240, reply=True),
        Request(1, "dht", b""),
        Reply(1, 0, b""),
        Codecs(("forward",)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_truncation_at_every_length(message):
    whole = message.emit()
    for length in range(len(whole)):
        if isinstance(message, Codecs) and length == 1:
            assert control.parse(whole[:1]) == Codecs(())  # an empty table reads
            continue
        with pytest.raises(Malformed):
            control.parse(whole[:length])
    assert control.parse(whole) == message


@pytest.mark.parametrize("kind", range(beacon.ASKED + 1, 256))
def test_later_types_are_passed_over(kind):
    assert control.parse(bytes((kind,)) + b"whatever") is None


def test_numbers_are_those_of_the_specification():
    kinds = [control.KEEPALIVE, control.PROBE, control.PROBE_ANSWER, control.BYE]
    kinds += [control.CODECS, control.PEERING, control.REQUEST, control.REPLY]
    assert kinds == list(range(8))


def test_probe_padding_is_measured():
    assert control.parse(b"\x01" + TOKEN + bytes(1000)) == Probe(TOKEN, 1000)
    assert len(Probe(TOKEN, 1000).emit()) == 1009


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x05" + (MAX_SLOT + 1).to_bytes(2, "big") + b"\x00",
        b"\x05\x00\x01\x02",
        b"\x06\x00\x00\x00\x01\x00",
        b"\x06\x00\x00\x00\x01\x01 ",
        b"\x06\x00\x00\x00\x01\x21" + b"x" * 33,
        b"\x04\x03ip6\x03ip6",
    ],
    ids=["empty", "slot", "flag", "no codec", "space", "long codec", "twice"],
)
def test_refused(raw):
    with pytest.raises(Malformed):
        control.parse(raw)
