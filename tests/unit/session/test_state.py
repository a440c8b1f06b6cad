"""The table of a session's states."""

import pytest

from rovy.errors import UsageError
from rovy.session.state import ASKING, SENDING, TRANSITIONS, Event, State, advance, diagram


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_every_pair_is_defined_or_a_fault_of_ours(state, event):
    if event in TRANSITIONS[state]:
        assert advance(state, event) in State
    else:
        with pytest.raises(UsageError, match=f"{event} while {state}"):
            advance(state, event)


def test_every_state_has_a_row_and_can_be_reached():
    assert set(TRANSITIONS) == set(State)
    reached, found = set(), {State.IDLE}
    while found - reached:
        state = (found - reached).pop()
        reached.add(state)
        found |= set(TRANSITIONS[state].values())
    assert reached == set(State)


def test_every_event_happens_somewhere():
    assert {event for row in TRANSITIONS.values() for event in row} == set(Event)


def test_every_open_state_can_be_closed_and_a_closed_one_is_left_no_more():
    assert all(
        row.get(Event.CLOSED) is State.CLOSED
        for state, row in TRANSITIONS.items()
        if state is not State.CLOSED
    )
    assert TRANSITIONS[State.CLOSED] == {}


def test_keys_come_from_authenticated_messages_only():
    """What a stranger can cause (ANSWERED) neither opens a session nor ends one."""
    opening = {
        (state, event)
        for state, row in TRANSITIONS.items()
        for event, following in row.items()
        if state not in SENDING and following in SENDING
    }
    assert {event for _, event in opening} == {Event.ACCEPTED, Event.CONFIRMED}
    for state, row in TRANSITIONS.items():
        if Event.ANSWERED in row:
            assert (row[Event.ANSWERED] in SENDING) is (state in SENDING)


def test_sending_ends_by_expiry_or_closing_only():
    for state in SENDING:
        for event, following in TRANSITIONS[state].items():
            if following not in SENDING:
                assert event in (Event.EXPIRED, Event.CLOSED)


def test_giving_up_ends_the_wait():
    assert all(
        TRANSITIONS[state][Event.GAVE_UP] not in ASKING
        for state in (*ASKING, State.ANSWERED, State.RENEWED)
    )


def test_the_diagram_shows_every_transition_once():
    lines = diagram().splitlines()
    arrows = [line for line in lines if "-->" in line and "[*]" not in line]
    assert len(arrows) == len(set(arrows)) == sum(len(row) for row in TRANSITIONS.values())
    assert f"    {State.OPEN} --> {State.REKEYING}: {Event.ASKED}" in arrows
