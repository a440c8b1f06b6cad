"""Values of every wire format, for property tests."""

from hypothesis import strategies as st

from rovy.address.label import MAX_SLOT, SMALL
from rovy.wire import control, flood
from rovy.wire.datagram import MAX_HANDSHAKE
from rovy.wire.payload import MAX_CODECS, MAX_NAME, Early, Payload

U8 = st.integers(0, 0xFF)
U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)
U48 = st.integers(0, 256**6 - 1)
VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
NAMES = st.text(VISIBLE, min_size=1, max_size=MAX_NAME)
TABLES = st.lists(NAMES, max_size=MAX_CODECS, unique=True).map(tuple)
EARLY = st.builds(Early, NAMES, st.binary(max_size=100))
SLOTS = st.one_of(st.integers(1, SMALL), st.integers(SMALL + 1, MAX_SLOT))
ENTRIES = st.one_of(SLOTS, SLOTS.map(lambda slot: (slot, 2)))
HANDSHAKE_SIZES = st.integers(0, MAX_HANDSHAKE)


def exactly(size):
    return st.binary(min_size=size, max_size=size)


TOKENS = exactly(control.TOKEN)
SHORTS = exactly(flood.SHORT)
CONTROLS = st.one_of(
    st.just(control.Keepalive()),
    st.just(control.Bye()),
    st.builds(control.Probe, TOKENS, st.integers(0, 1500)),
    st.builds(control.ProbeAnswer, TOKENS),
    st.builds(control.Codecs, TABLES),
    st.builds(control.Peering, st.integers(0, MAX_SLOT), st.booleans()),
    st.builds(control.Request, U32, NAMES, st.binary(max_size=100)),
    st.builds(control.Reply, U32, U8, st.binary(max_size=100)),
    st.builds(flood.Records, st.lists(st.binary(min_size=1, max_size=900), max_size=5).map(tuple)),
    st.builds(flood.Summary, U32, U16, exactly(flood.DIGEST)),
    st.builds(flood.Listing, st.lists(st.tuples(SHORTS, U48), max_size=20).map(tuple)),
    st.builds(flood.Wanted, st.lists(SHORTS, max_size=20).map(tuple)),
)
ANSWERS = st.none() | st.binary(min_size=1, max_size=100)
HELLO_PAYLOADS = st.builds(
    Payload, TABLES, U16, timestamp=exactly(12), request=st.none() | EARLY, answer=st.none()
)
RESPONSE_PAYLOADS = st.builds(Payload, TABLES, U16, answer=ANSWERS)


def mutations(whole):
    """Truncations and extensions of `whole`, and copies of it with some bytes changed."""
    cut = st.integers(0, len(whole)).map(lambda at: whole[:at])
    longer = st.binary(max_size=40).map(lambda tail: whole + tail)
    changes = st.lists(st.tuples(st.integers(0, max(0, len(whole) - 1)), U8), max_size=4)
    return st.one_of(cut, longer, changes.map(lambda pairs: _changed(whole, pairs)))


def _changed(whole, pairs):
    raw = bytearray(whole)
    for at, value in pairs if whole else ():
        raw[at] = value
    return bytes(raw)
