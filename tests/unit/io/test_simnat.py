"""Who may answer through a simulated NAT."""

import pytest

from rovy.address.multiaddr import Endpoint
from rovy.io import simnat
from rovy.io.simnat import Nat

INNER = Endpoint("10.0.0.2", 1312)
ASKED, SAME_HOST = Endpoint("203.0.113.1", 1312), Endpoint("203.0.113.1", 9)
OTHER = Endpoint("203.0.113.2", 1312)
PUBLIC = "198.51.100.1"


@pytest.mark.parametrize(
    ("kind", "same_host", "other"),
    [
        ("full cone", True, True),
        ("restricted cone", True, False),
        ("port restricted", False, False),
        ("symmetric", False, False),
    ],
)
def test_kinds_differ_in_who_may_answer(kind, same_host, other):
    nat = Nat(PUBLIC, kind)
    public = nat.out(INNER, ASKED, 0.0)
    assert public.host == PUBLIC
    assert nat.into(ASKED, public, 1.0) == INNER
    assert nat.into(SAME_HOST, public, 1.0) == (INNER if same_host else None)
    assert nat.into(OTHER, public, 1.0) == (INNER if other else None)


@pytest.mark.parametrize("kind", ["full cone", "restricted cone", "port restricted"])
def test_cones_show_one_port_to_everyone(kind):
    nat = Nat(PUBLIC, kind)
    assert nat.out(INNER, ASKED, 0.0) == nat.out(INNER, OTHER, 0.0)
    assert nat.out(Endpoint("10.0.0.3", 1312), ASKED, 0.0) != nat.out(INNER, ASKED, 0.0)


def test_a_symmetric_one_shows_each_another_port():
    nat = Nat(PUBLIC, "symmetric")
    assert nat.out(INNER, ASKED, 0.0) != nat.out(INNER, OTHER, 0.0)
    assert nat.out(INNER, ASKED, 0.0) == nat.out(INNER, ASKED, 0.0)


def test_only_what_goes_out_keeps_a_mapping():
    nat = Nat(PUBLIC, "port restricted", timeout=30.0)
    public = nat.out(INNER, ASKED, 0.0)
    assert nat.into(ASKED, public, 29.0) == INNER
    assert nat.into(ASKED, public, 31.0) is None
    assert nat.out(INNER, ASKED, 31.0) != public
    again = nat.out(INNER, ASKED, 55.0)
    assert nat.into(ASKED, again, 80.0) == INNER


def test_whom_nothing_was_sent_to_for_long_may_not_answer():
    nat = Nat(PUBLIC, "port restricted", timeout=30.0)
    public = nat.out(INNER, ASKED, 0.0)
    nat.out(INNER, OTHER, 20.0)
    assert nat.into(ASKED, public, 40.0) is None
    assert nat.into(OTHER, public, 40.0) == INNER


def test_after_a_restart_ports_are_others():
    nat = Nat(PUBLIC, "full cone")
    public = nat.out(INNER, ASKED, 0.0)
    nat.rebind()
    assert nat.into(ASKED, public, 0.0) is None
    assert nat.out(INNER, ASKED, 0.0) != public


def test_ports_run_out_and_come_back(monkeypatch):
    monkeypatch.setattr(simnat, "PORTS", 3)
    nat = Nat(PUBLIC, "symmetric", timeout=30.0)
    others = [Endpoint("203.0.113.1", port) for port in (1, 2, 3, 4)]
    assert len({nat.out(INNER, other, 0.0) for other in others[:3]}) == 3
    assert nat.out(INNER, others[3], 1.0) is None
    assert nat.out(INNER, others[3], 31.0) is not None
