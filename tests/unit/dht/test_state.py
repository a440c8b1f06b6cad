"""What a DHT keeps across a restart, and what it makes of a spoilt file."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rovy.dht import state
from rovy.dht.const import NAME
from rovy.dht.record import SignedRecord
from rovy.dht.values import Reader, Value
from tests.sim.support import virtual
from tests.unit.dht.network import START, keys, locator, network

WALL = START
LOCATOR = locator(keys(1)[0], int(WALL * 1000))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
ENTRIES = st.lists(
    st.dictionaries(st.sampled_from(("key", "locator", "type", "raw")), JSON) | JSON, max_size=5
)


def load(saved):
    reader = Reader()
    own = keys(1)[0].peer_id
    contacts = state.load_contacts(saved, reader, WALL)
    return contacts, state.load_values(saved, own, reader, WALL)


@virtual
async def test_a_restart():
    async with network(40) as (net, members):
        before = members[5]
        wall = int(before.wall() * 1000)
        said = SignedRecord.sign(before.private, NAME, wall, 7200, "name", b"", bytes(64))
        await before.dht.put(said)
        saved = json.loads(json.dumps(before.dht.save()))
        contacts = {contact.peer for contact in before.dht._table}
        await before.dht.close()
        net.anchors = []
        after = net.add(before.private)
        after.dht.load(saved)
        assert set(after.dht._known.remembered) == contacts
        assert after.dht.stats().contacts == 0
        assert after.dht.stats().own_values == 1
        for member in members:
            member.dht._storage._drop(said.place)
        after.dht.start()
        await asyncio.sleep(120)
        assert after.dht.stats().contacts > 10
        assert not after.dht._known.remembered
        assert await members[20].dht.get(NAME, after.peer, "name") == said


def test_locators_of_other_times_leave_the_key():
    saved = state.save([], [])
    assert saved == {"version": 1, "contacts": [], "values": []}
    saved["contacts"] = [{"locator": state._text(LOCATOR.raw)}]
    assert load(saved)[0] == [(LOCATOR.key, LOCATOR)]
    late = state.load_contacts(saved, Reader(), WALL + 4000)
    assert late == [(LOCATOR.key, None)]


def test_values_of_others_are_left_out():
    other = Value.of(locator(keys(2)[1], int(WALL * 1000)))
    own = Value.of(LOCATOR)
    assert load(state.save([], [other, own]))[1] == [own]


def test_other_versions_are_left_out():
    saved = state.save([], [Value.of(LOCATOR)])
    assert load({**saved, "version": 2}) == ([], [])


@settings(max_examples=25)
@given(ENTRIES, ENTRIES)
def test_no_file_does_harm(contacts, values):
    load({"version": 1, "contacts": contacts, "values": values})


@settings(max_examples=25)
@given(JSON)
def test_no_state_does_harm(found):
    load({"version": 1, "contacts": found, "values": found})


@pytest.mark.parametrize("entry", [{}, {"key": "AAAA"}, {"key": 7}, {"locator": "AAAA"}, None])
def test_spoilt_entries_are_left_out(entry):
    good = {"key": state._text(LOCATOR.key.key)}
    assert load({"version": 1, "contacts": [entry, good]})[0] == [(LOCATOR.key, None)]
