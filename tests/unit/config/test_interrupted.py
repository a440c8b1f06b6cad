"""Writes that end at any step, by a kill or a full disk: what is read afterwards is whole."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

import pytest

from rovy.address import PeerID, PrivateKey
from rovy.config import files
from rovy.config.keys import create_key, load_key
from rovy.config.state import State, load_state, save_state
from rovy.config.values import read_peer
from rovy.forwarder import Lease

A = PeerID.parse("bafzqaibwj6dr3o63g4eguar73v2csws4wqqwux5sarwydofheqsmow33au")
KEY = PrivateKey.generate(os.urandom)
BEFORE = State(1, {A: Lease(1)})
AFTER = State(
    2,
    {A: Lease(1)},
    (read_peer(f"/ip4/192.0.2.1/udp/1312{A.path}"),),
    sequence=3,
    dht={"contacts": ["a"] * 9},
)
COUNTED = ("open", "fdopen", "fsync", "replace", "link", "close")


class Steps:
    """Stands for `os` in `rovy.config.files`: something happens before the nth call."""

    def __init__(self, number: int, happen: Callable[[], None]) -> None:
        self.left, self._happen = number, happen

    def __getattr__(self, name: str) -> object:
        real = getattr(os, name)
        return self._counted(real) if name in COUNTED else real

    def _counted(self, real: Callable) -> Callable:
        def call(*args, **options):
            self.step()
            result = real(*args, **options)
            return HalfWriter(result, self) if real is os.fdopen else result

        return call

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._happen()


class HalfWriter:
    """A file whose data reach the disk in two steps."""

    def __init__(self, file: BinaryIO, steps: Steps) -> None:
        self._file, self._steps = file, steps
        self.flush, self.fileno = file.flush, file.fileno

    def __enter__(self) -> "HalfWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            self._steps.step()
            self._file.write(half)
            self._file.flush()


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do it in a process that is gone before a step, without a chance to clean up."""
    child = os.fork()
    if child == 0:
        files.os = Steps(step, lambda: os._exit(9))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def full(error: int) -> Callable[[], None]:
    def raise_it() -> None:
        raise OSError(error, os.strerror(error))

    return raise_it


def test_state_survives_a_kill_at_every_step(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    seen = []
    for step in count(1):
        save_state(path, BEFORE)
        killed = killed_at(step, lambda: save_state(path, AFTER))
        state, problem = load_state(path)
        assert state in (BEFORE, AFTER)
        assert not problem
        save_state(path, BEFORE)  # and what was left behind is no obstacle
        assert os.listdir(tmp_path) == ["state.json"]
        seen.append((killed, state == AFTER))
        if not killed:
            break
    # It was killed before and after the new file took the place of the old one.
    assert set(seen) == {(True, False), (True, True), (False, True)}
    assert len(seen) > 8


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_state_survives_an_error_at_every_step(tmp_path: Path, monkeypatch, error: int) -> None:
    path = tmp_path / "state.json"
    for step in count(1):
        save_state(path, BEFORE)
        steps = Steps(step, full(error))
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", steps)
            with suppress(OSError):
                save_state(path, AFTER)
        state, problem = load_state(path)
        assert state in (BEFORE, AFTER)
        assert not problem
        assert os.listdir(tmp_path) == ["state.json"]
        if steps.left > 0:
            break
    assert step > 8
    assert state == AFTER


def test_key_survives_a_kill_at_every_step(tmp_path: Path) -> None:
    for step in count(1):
        directory = tmp_path / str(step)
        directory.mkdir()
        path = directory / "key.toml"
        killed = killed_at(step, lambda path=path: create_key(path, KEY))
        made = path.exists()
        if not made:
            create_key(path, KEY)
        assert load_key(path) == KEY
        if not killed:
            break
    assert step > 8
    assert made
