"""The API socket's file: its mode, a stale one, a live one."""

import os
import socket

import pytest

from rovy.api.listener import listening
from rovy.errors import UsageError


def test_mode_and_removal(tmp_path):
    path = tmp_path / "sub" / "rovyd.sock"
    with listening(path):
        assert path.stat().st_mode & 0o777 == 0o660
        assert os.listdir(path.parent) == ["rovyd.sock"]
    assert os.listdir(path.parent) == []


def test_stale_socket_is_replaced(tmp_path):
    path = tmp_path / "rovyd.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with listening(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_live_socket_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "rovyd.sock"
    with listening(path):
        with pytest.raises(UsageError, match="another rovyd answers"), listening(path):
            pass
        assert path.exists()


def test_socket_of_a_successor_is_not_removed(tmp_path):
    path = tmp_path / "rovyd.sock"
    with listening(path):
        path.unlink()
        path.touch()
    assert path.exists()


@pytest.mark.parametrize("name", ["directory", "file", "x" * 120])
def test_places_where_none_can_be(tmp_path, name):
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("kept")
    refused = pytest.raises(UsageError, match="choose another place with --socket")
    with refused, listening(tmp_path / name):
        pass
    assert (tmp_path / "file").read_text() == "kept"


def test_group_of_a_system_service(tmp_path, monkeypatch):
    from rovy.api import listener

    given = []
    monkeypatch.setattr(listener.os, "geteuid", lambda: 0)
    monkeypatch.setattr(listener.os, "chown", lambda path, uid, gid: given.append((uid, gid)))
    monkeypatch.setattr(listener.grp, "getgrnam", lambda name: type("G", (), {"gr_gid": 77}))
    with listening(tmp_path / "rovyd.sock"):
        assert given == [(-1, 77)]
