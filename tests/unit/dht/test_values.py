"""What is read of values, and what is remembered of locators."""

import pytest

from rovy.dht.const import AHEAD, LOCATOR, NAME
from rovy.dht.record import SignedRecord
from rovy.dht.values import Reader, Value
from rovy.errors import Malformed
from rovy.noise import xeddsa
from tests.unit.dht.network import keys, locator

PRIVATE, OTHER = keys(2)
WALL = 1_700_000_000.0
NOW_MS = int(WALL * 1000)


def record(sequence=NOW_MS, ttl=3600):
    return SignedRecord.sign(PRIVATE, NAME, sequence, ttl, "name", b"body", bytes(64))


def test_a_locator_is_stored_under_the_node_id():
    value = Value.of(locator(PRIVATE, NOW_MS))
    assert value.type == LOCATOR
    assert value.place == PRIVATE.peer_id.node_id
    assert value.number == int.from_bytes(value.place, "big")
    assert value.signer == PRIVATE.peer_id
    assert value.expires == WALL + 3600


def test_a_record_is_stored_under_its_place():
    value = Value.of(record())
    assert (value.type, value.place, value.sequence) == (NAME, record().place, NOW_MS)
    assert value.raw == record().raw


@pytest.mark.parametrize(
    ("seconds", "counts"),
    [(0, True), (3599, True), (3600, False), (-AHEAD, True), (-AHEAD - 1, False)],
)
def test_time(seconds, counts):
    for said in (record(), locator(PRIVATE, NOW_MS)):
        assert Value.of(said).counts(WALL + seconds) is counts


def test_newer():
    old, new = Value.of(record(NOW_MS)), Value.of(record(NOW_MS + 1))
    assert new.newer_than(old)
    assert new.newer_than(None)
    assert not old.newer_than(new)
    assert not old.newer_than(old)


@pytest.mark.parametrize("kind", [0, 4, 127])
def test_types_not_known_are_not_read(kind):
    with pytest.raises(Malformed):
        Reader().read(kind, record().raw, WALL)


def test_forged_values_are_not_read():
    for kind, raw in ((LOCATOR, locator(PRIVATE, NOW_MS).raw), (NAME, record().raw)):
        assert Reader().read(kind, raw, WALL).raw == raw
        changed = raw[:40] + bytes((raw[40] ^ 1,)) + raw[41:]
        with pytest.raises(Malformed):
            Reader().read(kind, changed, WALL)


def test_values_of_other_times_are_not_read():
    with pytest.raises(Malformed, match="time"):
        Reader().read(NAME, record().raw, WALL + 4000)


def test_a_locator_is_checked_once(monkeypatch):
    checked = []
    verify = xeddsa.verify
    monkeypatch.setattr(xeddsa, "verify", lambda *said: checked.append(said) or verify(*said))
    reader = Reader()
    raw = locator(PRIVATE, NOW_MS).raw
    assert reader.locator(raw) == reader.locator(raw)
    assert reader.read(LOCATOR, raw, WALL).raw == raw
    assert len(checked) == 1


def test_only_so_many_are_remembered():
    reader = Reader(remembered=2)
    first, second, third = (locator(PRIVATE, NOW_MS + number).raw for number in range(3))
    reader.locator(first)
    reader.locator(second)
    reader.locator(first)
    reader.locator(third)
    assert set(reader._good) == {first, third}
