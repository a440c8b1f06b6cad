"""Log formats, and word to the service manager."""

import asyncio
import json
import logging
import socket

import pytest

from rovy.daemon import logs
from rovy.daemon.notify import Notifier
from rovy.io.virtual import run


@pytest.fixture
def root(monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    before, level = list(root.handlers), root.level
    asyncio_level = logging.getLogger("asyncio").level
    yield root
    root.handlers[:] = before
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(asyncio_level)


def test_text(root, capsys):
    logs.set_up("warning", "text")
    logging.getLogger("rovy.x").info("left out")
    logging.getLogger("rovy.x").warning("%d things", 3)
    line = capsys.readouterr().err
    assert "WARNING rovy.x: 3 things" in line
    assert "left out" not in line


def test_json_has_one_object_a_line(root, capsys):
    logs.set_up("info", "text")
    logs.set_up("info", "json")
    try:
        raise ValueError("why\nso")
    except ValueError:
        logging.getLogger("rovy.x").exception("line\nbreak")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("error", "rovy.x", "line\nbreak")
    assert "ValueError" in entry["exception"]


@pytest.mark.parametrize("abstract", [False, True])
def test_notify(tmp_path, abstract):
    name = f"@rovy-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        notifier = Notifier(name)
        notifier.ready("port 1")
        notifier.stopping()
        assert manager.recv(100) == b"READY=1\nSTATUS=port 1"
        assert manager.recv(100) == b"STOPPING=1"
        notifier.reloading()
        assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


@pytest.mark.parametrize(
    ("environment", "period"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "often"}, 0.0),
        ({}, 0.0),
    ],
)
def test_watchdog_is_taken_from_the_environment(environment, period):
    assert Notifier.take(environment, pid=7).watchdog == period
    assert environment == {}


def test_manager_hears_that_the_loop_turns_twice_as_often_as_it_has_to(monkeypatch):
    heard = []

    async def main():
        notifier = Notifier("", 10.0)
        monkeypatch.setattr(notifier, "_say", heard.append)
        task = asyncio.create_task(notifier.keep_alive())
        await asyncio.sleep(29.0)
        task.cancel()
        await Notifier("", 0.0).keep_alive()  # nobody watches: it ends

    run(main())
    assert heard == ["WATCHDOG=1"] * 6


def test_notify_without_a_manager(tmp_path):
    Notifier("").ready("x")
    Notifier(str(tmp_path / "missing")).ready("x")
