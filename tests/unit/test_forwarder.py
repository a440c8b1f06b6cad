"""Slots by key, the quotes of notices, and labels mended after a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.address.label import MAX_SLOT, SMALL, Label
from rovy.errors import UsageError
from rovy.forwarder import HOLD, SPARED, Lease, Quote, SlotTable, mend
from rovy.wire.datagram import DATA, DATA_WORD, Type
from rovy.wire.notice import Code


def table_with(*peers, wall=0.0, **options):
    table = SlotTable()
    for peer in peers:
        table.take(peer, wall, **options)
    return table


def test_a_peer_keeps_its_slot():
    table = table_with("a", "b")
    assert [table.take(peer, 5.0) for peer in "ab"] == [1, 2]
    table.free("a", 6.0)
    table.free("a", 9.0)
    table.free("nobody", 9.0)
    assert table.leases() == {"a": Lease(1, 6.0), "b": Lease(2)}
    assert table.take("a", 10 * HOLD) == 1
    assert table.leases()["a"] == Lease(1)


def test_small_slots_are_spared_for_peers_that_stay():
    table = table_with(*range(SMALL - SPARED))
    assert max(lease.slot for lease in table.leases().values()) == SMALL - SPARED
    assert table.take("passes", 0.0) == SMALL + 1
    assert table.take("stays", 0.0, stays=True) == SMALL - SPARED + 1


def test_a_small_slot_whose_hold_is_over_goes_to_a_peer_that_stays():
    table = table_with(*range(SMALL), stays=True)
    table.free(4, 10.0)
    assert table.take("too early", 10.0 + HOLD - 1, stays=True) == SMALL + 1
    assert table.take("passes", 10.0 + HOLD, stays=False) == SMALL + 2
    assert table.take("stays", 10.0 + HOLD, stays=True) == 5
    assert 4 not in table.leases()


@pytest.mark.slow
def test_a_full_table_gives_what_was_held_longest():
    table = table_with(*range(MAX_SLOT))
    assert sorted(lease.slot for lease in table.leases().values()) == list(range(1, MAX_SLOT + 1))
    with pytest.raises(UsageError, match="3839"):
        table.take("new", 0.0)
    for peer, at in ((300, 20.0), (301, 10.0), (302, 30.0)):
        table.free(peer, at)
    with pytest.raises(UsageError):
        table.take("new", 10.0 + HOLD - 0.1)
    freed = {peer: table.leases()[peer].slot for peer in (300, 301, 302)}
    assert table.take("new", 50.0 + HOLD) == freed[301]
    assert table.take("newer", 50.0 + HOLD) == freed[300]
    assert set(table.leases()) & {300, 301, 302} == {302}


def test_leases_outlive_the_process():
    table = table_with("a", "b", "c")
    table.free("b", 50.0)
    later = SlotTable()
    later.load(table.leases(), 100.0)
    assert later.leases() == {"a": Lease(1, 100.0), "b": Lease(2, 50.0), "c": Lease(3, 100.0)}
    assert later.take("d", 100.0) == 4
    assert later.take("c", 100.0) == 3


def test_leases_that_cannot_be_are_passed_over():
    table = table_with("mine")
    table.load(
        {
            "taken": Lease(1),
            "zero": Lease(0),
            "beyond": Lease(MAX_SLOT + 1),
            "future": Lease(9, 1e12),
            "twice": Lease(9),
        },
        100.0,
    )
    assert table.leases() == {"mine": Lease(1), "future": Lease(9, 100.0)}


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.floats(0, 3 * HOLD))))
def test_no_two_peers_share_a_slot_and_holds_are_kept(steps):
    table, wall = SlotTable(), 0.0
    freed = {}
    for peer, take, wait in steps:
        wall += wait
        if take:
            slot = table.take(peer, wall)
            former, at = freed.get(slot, (peer, wall - HOLD))
            assert former == peer or wall - at >= HOLD
        elif peer in table.leases() and table.leases()[peer].freed_at is None:
            freed[table.leases()[peer].slot] = peer, wall
            table.free(peer, wall)
        slots = [lease.slot for lease in table.leases().values()]
        assert len(set(slots)) == len(slots)


def test_quotes():
    data = DATA.pack(DATA_WORD | 77, 0xABCD) + bytes(12)
    assert Quote.parse(data) == Quote(Type.DATA, 77, 0xABCD)
    hello = bytes((Type.HELLO, 0, 0, 0, 1, 2, 3, 4)) + bytes(16)
    assert Quote.parse(hello) == Quote(Type.HELLO, 0, 0x01020304)
    for kind in (0, Type.RESPONSE, Type.COOKIE, Type.NOTICE, 255):
        assert Quote.parse(bytes((kind,)) + bytes(23)) is None


@pytest.mark.parametrize(
    ("used", "code", "hops", "mended"),
    [
        (Label.of(1, 2, 3, 4), Code.U_TURN, 2, Label.of(1, 4)),
        (Label.of(1, 2, 3), Code.U_TURN, 2, Label.of(1)),
        (Label.of(1, (2, 2), 3, 4), Code.U_TURN, 2, Label.of(1, (4, 2))),
        (Label.of(1, 2), Code.U_TURN, 1, None),
        (Label.of(1, 2, 3), Code.TOO_NARROW, 1, Label.of(1, (2, 2), 3)),
        (Label.of(1, (2, 2), 3), Code.TOO_NARROW, 1, None),
        (Label.of(1, 2), Code.TOO_NARROW, 2, None),
        (Label.of(1, 2), Code.UNKNOWN_SLOT, 1, None),
        (Label.of(1, 2), Code.LINK_DOWN, 1, None),
    ],
)
def test_mended_labels(used, code, hops, mended):
    told = Label.of(*used.slots[:hops])
    assert mend(used, code, told) == mended


def test_a_label_is_mended_only_after_one_of_its_prefixes():
    assert mend(Label.of(1, 2, 3), Code.TOO_NARROW, Label.of(2)) is None
    assert mend(Label.of(1, 2, 3), Code.U_TURN, Label.of(1, 3)) is None
