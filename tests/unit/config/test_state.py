"""Files that have to survive: key, state, lock."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rovy.address import PeerID, PrivateKey
from rovy.config import files
from rovy.config.files import create_file, locked, replace_file
from rovy.config.keys import create_key, load_key, load_or_create_key
from rovy.config.state import MAX_DHT, State, load_state, save_state
from rovy.config.values import read_peer
from rovy.errors import Malformed, UsageError
from rovy.forwarder import Lease

A = PeerID.parse("bafzqaibwj6dr3o63g4eguar73v2csws4wqqwux5sarwydofheqsmow33au")
B = PeerID.parse("bafzqaifskz2tcetxnaepehuaxmthnr7dzmebzr2osz677ox7aok4f3wghe")
STATE = State(
    1_795_000_000_000_000_000,
    {A: Lease(1), B: Lease(3839, 1_795_000_000.25)},
    (read_peer(f"/ip4/192.0.2.1/udp/1312{A.path}", "laptop"),),
    sequence=1_795_000_000_000,
    dht={"version": 1, "contacts": [{"key": "AA=="}], "values": []},
)


def document(slots: str) -> str:
    return f'{{"version": 1, "stamp_bound": 0, "slots": {slots}, "peers": []}}'


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_state_comes_back(tmp_path):
    path = tmp_path / "state.json"
    assert load_state(path) == (State(), "")
    save_state(path, STATE)
    assert load_state(path) == (STATE, "")
    assert mode(path) == 0o600
    assert os.listdir(tmp_path) == ["state.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"version": 2}',
        '{"version": 1, "stamp_bound": -1, "slots": {}, "peers": []}',
        '{"version": 1, "stamp_bound": 1e3, "slots": {}, "peers": []}',
        '{"version": 1, "stamp_bound": true, "slots": {}, "peers": []}',
        '{"version": 1, "stamp_bound": 0, "sequence": -1, "slots": {}, "peers": []}',
        '{"version": 1, "stamp_bound": 0, "sequence": 1.5, "slots": {}, "peers": []}',
        '{"version": 1, "stamp_bound": 0, "sequence": 281474976710656, "slots": {}, "peers": []}',
        '{"version": 1, "stamp_bound": 0, "slots": {"x": 1}, "peers": []}',
        '{"version": 1, "stamp_bound": 0, "slots": {}, "peers": [], "dht": []}',
        '{"version": 1, "stamp_bound": 0, "slots": {}, "peers": [], "dht": null}',
        '{"version": 1, "stamp_bound": 0, "slots": {}, "peers": [], "dht": "x"}',
        document(slots="{}")[:-1] + f', "dht": {{"x": "{"a" * MAX_DHT}"}}}}',
        document(slots=f'{{"{A}": {{"slot": "1", "freed_at": 0}}}}'),
        document(slots=f'{{"{A}": {{"slot": 1, "freed_at": NaN}}}}'),
        '{"version": 1, "stamp_bound": 0, "slots": {}, "peers": [{"address": "x", "name": ""}]}',
        "[" * 100_000,
    ],
)
def test_damaged_state_is_put_aside(tmp_path, text):
    path = tmp_path / "state.json"
    path.write_text(text)
    state, problem = load_state(path)
    assert state is None
    assert "state.json.damaged-1" in problem
    assert not path.exists()
    assert (tmp_path / "state.json.damaged-1").read_text() == text


def test_each_damaged_state_is_kept(tmp_path):
    path = tmp_path / "state.json"
    for number in (1, 2, 3):
        path.write_text(f"damage {number}")
        load_state(path)
    assert (tmp_path / "state.json.damaged-3").read_text() == "damage 3"


@given(st.binary(max_size=100) | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_any_bytes_are_state_or_malformed(data):
    try:
        State.parse(data if isinstance(data, bytes) else data.encode())
    except Malformed:
        pass


def test_state_of_former_versions_is_read(tmp_path):
    path = tmp_path / "state.json"
    path.write_text(document(slots=f'{{"{A}": {{"slot": 1, "freed_at": null}}}}'))
    state, _ = load_state(path)
    assert state == State(slots={A: Lease(1)})
    assert state.sequence == 0
    assert state.dht == {}


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_what_the_dht_wants_kept_has_a_bound(tmp_path, more, kept):
    path = tmp_path / "state.json"
    frame = len(json.dumps({"x": ""}, indent=1))
    dht = {"x": "a" * (MAX_DHT - frame + more)}
    save_state(path, replace(STATE, dht=dht))
    state, problem = load_state(path)
    assert problem == ""
    assert state == replace(STATE, dht=dht if kept else {})


def test_failed_write_leaves_the_former_file(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    save_state(path, STATE)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_state(path, State())
    assert load_state(path) == (STATE, "")
    assert os.listdir(tmp_path) == ["state.json"]


def test_leftover_of_a_killed_process_is_no_obstacle(tmp_path):
    path = tmp_path / "state.json"
    (tmp_path / ".state.json.new").write_text("half a fi")
    save_state(path, STATE)
    assert load_state(path) == (STATE, "")
    assert os.listdir(tmp_path) == ["state.json"]


def test_key_is_made_once(tmp_path):
    path = tmp_path / "key.toml"
    first, created = load_or_create_key(path)
    assert created
    assert mode(path) == 0o600
    assert load_or_create_key(path) == (first, False)
    with pytest.raises(FileExistsError):
        create_key(path, PrivateKey.generate(os.urandom))
    assert load_key(path) == first
    assert os.listdir(tmp_path) == ["key.toml"]


def test_key_on_a_file_system_without_links(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(files.os, "link", refuse)
    path = tmp_path / "key.toml"
    first, _ = load_or_create_key(path)
    assert mode(path) == 0o600
    with pytest.raises(FileExistsError):
        create_key(path, first)
    assert load_key(path) == first


def test_key_open_to_others_is_refused(tmp_path):
    path = tmp_path / "key.toml"
    load_or_create_key(path)
    path.chmod(0o640)
    load_key(path)
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        load_key(path)


def test_damaged_key_is_never_replaced(tmp_path):
    path = tmp_path / "key.toml"
    create_file(path, b"PrivateKey = 3")
    with pytest.raises(Malformed, match=r"key\.toml: key file"):
        load_or_create_key(path)
    assert path.read_bytes() == b"PrivateKey = 3"


def test_key_where_nothing_can_be_written(tmp_path):
    with pytest.raises(UsageError, match="cannot be created: No such file"):
        load_or_create_key(tmp_path / "missing" / "key.toml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_key(tmp_path)


def test_files_do_not_follow_links(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / ".state.json.new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        replace_file(tmp_path / "state.json", b"x")
    assert victim.read_text() == "kept"


def test_lock_is_held_and_given_back(tmp_path):
    twice = pytest.raises(UsageError, match="another rovyd uses")
    with locked(tmp_path), twice, locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_lock_lets_errors_of_its_body_pass(tmp_path):
    with pytest.raises(BlockingIOError), locked(tmp_path):
        raise BlockingIOError
