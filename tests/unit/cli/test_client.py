"""What the user is told when the daemon cannot be reached."""

import errno
import socket

import pytest

from rovy.cli import client as module
from rovy.cli.client import Client, Failed, segment


def failure(path) -> Failed:
    with pytest.raises(Failed) as caught:
        Client(path).call("GET", "/info")
    assert caught.value.remedy
    return caught.value


def test_not_running(tmp_path):
    assert failure(tmp_path / "rovyd.sock").reason == "not running"
    (tmp_path / "file").touch()
    assert failure(tmp_path / "file" / "rovyd.sock").reason == "not running"


def test_stale_socket(tmp_path):
    path = tmp_path / "rovyd.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    assert failure(path).reason == "stale socket"
    assert not Client(path).gone()
    path.unlink()
    assert Client(path).gone()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "no permission"),
        (TimeoutError(), "no response"),
        (OSError(errno.EPROTOTYPE, "Protocol wrong type"), "no socket"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "connection lost"),
    ],
)
def test_other_reasons(tmp_path, monkeypatch, error, reason):
    def refuse(self):
        raise error

    monkeypatch.setattr(module.UnixConnection, "connect", refuse)
    assert failure(tmp_path / "rovyd.sock").reason == reason


def test_path_that_no_socket_can_have(tmp_path):
    assert failure(tmp_path / ("x" * 120)).reason == "no socket"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"error": 3}', b"\xff"])
def test_answers_of_something_else(data):
    with pytest.raises(Failed, match="makes no sense"):
        module._decode(500, data)


def test_errors_of_the_daemon():
    data = b'{"error": {"reason": "conflict", "message": "taken", "remedy": "other"}}'
    with pytest.raises(Failed) as caught:
        module._decode(409, data)
    error = caught.value
    assert (error.reason, error.message, error.remedy) == ("conflict", "taken", "other")
    assert not error.usage
    assert error.document()["error"]["remedy"] == "other"


def test_errors_that_may_pass_and_what_was_asked_before():
    error = b'{"error": {"reason": "not found", "message": "gone"}, "steps": [{"shared": 7}]}'
    for status, passing in ((504, True), (404, False)):
        with pytest.raises(Failed) as caught:
            module._decode(status, error)
        assert caught.value.passing is passing
        assert caught.value.document()["steps"] == [{"shared": 7}]


def test_segment_hides_slashes():
    assert segment("/rovy/x") == "%2Frovy%2Fx"
