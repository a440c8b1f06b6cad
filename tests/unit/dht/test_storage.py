"""What is kept for others: who replaces whom, quotas, time."""

from dataclasses import replace

import pytest

from rovy.dht.const import (
    LOCATOR,
    MAX_OF_SIGNER,
    MAX_OF_TYPE,
    MAX_OTHERS,
    MAX_VALUES,
    NAME,
    SERVICE,
)
from rovy.dht.record import SignedRecord
from rovy.dht.storage import Storage
from rovy.dht.values import Reader, Value
from rovy.wire.dht import OLD, PREFIX, QUOTA, REFUSED, STORED, WHOLE
from tests.unit.dht.network import keys, locator

WALL = 1_700_000_000.0
NOW_MS = int(WALL * 1000)
OWN = bytes(20)
PRIVATE = keys(1)[0]


def at(number, kind=LOCATOR, sequence=NOW_MS, signer=0):
    """A value at a place so far from the own id."""
    said = locator(keys(400)[signer], sequence)
    return replace(Value.of(said), type=kind, place=number.to_bytes(20, "big"), number=number)


def others(count, kind, start):
    """Values of many signers at these distances."""
    return [at(start + n, kind, signer=n // MAX_OF_SIGNER) for n in range(count)]


def filled(*values):
    storage = Storage(OWN)
    assert {storage.put(value, WALL) for value in values} <= {STORED}
    return storage


def find(storage, number, wall=WALL):
    return storage.find(number.to_bytes(20, "big"), WHOLE, wall)


def test_kept_and_found():
    value = at(7)
    storage = filled(value)
    assert find(storage, 7) == [value.kept()]
    assert find(storage, 8) == []
    assert storage.by_type() == {LOCATOR: 1}


def test_newer_ones_replace_and_older_ones_do_not():
    storage = filled(at(7, sequence=NOW_MS))
    assert storage.put(at(7, sequence=NOW_MS - 1), WALL) == OLD
    assert storage.put(at(7, sequence=NOW_MS), WALL) == STORED
    assert storage.put(at(7, sequence=NOW_MS + 1), WALL) == STORED
    assert [value.sequence for value in find(storage, 7)] == [NOW_MS + 1]
    assert len(storage) == 1


def test_another_one_of_the_same_sequence_does_not_replace():
    storage = filled(at(7))
    assert storage.put(at(7, signer=1), WALL) == OLD


@pytest.mark.parametrize("sequence", [NOW_MS - 3_600_000, NOW_MS + 300_001])
def test_other_times_are_refused(sequence):
    assert Storage(OWN).put(at(7, sequence=sequence), WALL) == REFUSED


def test_expiry():
    storage = filled(at(7), at(8, sequence=NOW_MS + 1000))
    assert find(storage, 7, WALL + 3600) == []
    storage.expire(WALL + 3600)
    assert len(storage) == 1
    storage.expire(WALL + 3601)
    assert len(storage) == 0
    assert storage.by_type() == {}


def test_a_dead_value_does_not_let_older_ones_in():
    storage = filled(at(7, sequence=NOW_MS))
    assert storage.put(at(7, sequence=NOW_MS - 1), WALL + 10) == OLD


def test_the_farthest_gives_way():
    storage = filled(*(at(number) for number in range(1, MAX_VALUES + 1)))
    assert storage.put(at(MAX_VALUES + 1), WALL) == QUOTA
    assert storage.put(at(0), WALL) == STORED
    assert find(storage, MAX_VALUES) == []
    assert len(find(storage, MAX_VALUES - 1)) == 1
    assert len(storage) == MAX_VALUES


def test_one_of_a_full_storage_can_be_renewed():
    storage = filled(*(at(number) for number in range(1, MAX_VALUES + 1)))
    assert storage.put(at(MAX_VALUES, sequence=NOW_MS + 1), WALL) == STORED
    assert len(storage) == MAX_VALUES


def test_a_type_has_a_quarter():
    storage = filled(*others(MAX_OF_TYPE, NAME, 10))
    assert storage.put(at(10 + MAX_OF_TYPE, NAME, signer=300), WALL) == QUOTA
    assert storage.put(at(5, NAME, signer=300), WALL) == STORED
    assert storage.by_type() == {NAME: MAX_OF_TYPE}
    assert find(storage, 9 + MAX_OF_TYPE) == []


def test_all_but_locators_have_half():
    kinds = NAME, SERVICE, 200
    values = [v for n, kind in enumerate(kinds[:2]) for v in others(MAX_OF_TYPE, kind, n * 5000)]
    moved = [
        replace(v, said=locator(keys(400)[100 + n // 16], NOW_MS)) for n, v in enumerate(values)
    ]
    storage = filled(*moved)
    assert len(storage) == MAX_OTHERS
    assert storage.put(at(90_000, 200, signer=300), WALL) == QUOTA
    assert storage.put(at(4_000, 200, signer=300), WALL) == STORED
    assert len(storage) == MAX_OTHERS
    assert storage.by_type() == {NAME: MAX_OF_TYPE, SERVICE: MAX_OF_TYPE - 1, 200: 1}


def test_locators_push_others_out_and_not_the_other_way():
    storage = filled(*others(MAX_OF_TYPE, NAME, 0))
    for number in range(10_000, 10_000 + MAX_VALUES):
        assert storage.put(at(number), WALL) == STORED
    assert storage.by_type() == {LOCATOR: MAX_VALUES}
    assert storage.put(at(1, NAME), WALL) == QUOTA


def test_a_signer_has_sixteen_and_locators_do_not_count():
    storage = filled(at(1), *(at(number, NAME) for number in range(2, 2 + MAX_OF_SIGNER)))
    assert storage.put(at(100, SERVICE), WALL) == QUOTA
    assert storage.put(at(2, NAME, NOW_MS + 1), WALL) == STORED
    assert storage.put(at(100, SERVICE, signer=1), WALL) == STORED
    storage.expire(WALL + 3600)
    assert storage.put(at(100, SERVICE, NOW_MS + 2), WALL) == STORED


def test_found_by_prefix_at_most_four():
    near = [at(number) for number in range(6)]
    far = at(1 << 40)
    storage = filled(*near, far)
    found = storage.find(bytes(20), PREFIX, WALL)
    assert found == [value.kept() for value in near[:4]]
    assert storage.find((1 << 40).to_bytes(20, "big"), PREFIX, WALL) == [far.kept()]


def test_own_values_are_apart():
    storage = Storage(OWN)
    mine = at(7, NAME, sequence=NOW_MS + 5)
    storage.own[mine.place] = mine
    assert len(storage) == 0
    assert find(storage, 7) == [mine]
    assert storage.put(at(7, NAME), WALL) == STORED
    assert find(storage, 7) == [mine]
    storage.expire(WALL + 3601)
    assert find(storage, 7, WALL + 3601) == []


def test_records_of_real_nodes():
    record = SignedRecord.sign(PRIVATE, NAME, NOW_MS, 60, "name", b"", bytes(64))
    value = Value.of(record)
    storage = filled(value)
    assert storage.find(record.place, WHOLE, WALL) == [value.kept()]
    assert Reader().whole(value.kept()) == value
    assert storage.find(record.place, WHOLE, WALL + 60) == []
