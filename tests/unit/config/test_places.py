"""Default places: a system service's for root, the XDG ones for others."""

from pathlib import Path

import pytest

from rovy.config import places
from rovy.config.places import Places

HOME = Path("/home/u")


def test_root_has_the_system_places():
    found = Places.of(0, {"XDG_STATE_HOME": "/elsewhere"}, Path("/root"))
    assert found.config_file == Path("/etc/rovy/rovy.toml")
    assert found.state_dir == Path("/var/lib/rovy")
    assert found.socket == Path("/run/rovy/rovyd.sock")


def test_user_has_the_xdg_places():
    environment = {
        "XDG_CONFIG_HOME": "/c",
        "XDG_STATE_HOME": "/s",
        "XDG_RUNTIME_DIR": "/run/user/7",
    }
    found = Places.of(7, environment, HOME)
    assert found.config_file == Path("/c/rovy/rovy.toml")
    assert found.state_dir == Path("/s/rovy")
    assert found.socket == Path("/run/user/7/rovy/rovyd.sock")


@pytest.mark.parametrize("environment", [{}, {"XDG_RUNTIME_DIR": "relative", "XDG_STATE_HOME": ""}])
def test_without_variables_home_serves(environment):
    found = Places.of(7, environment, HOME)
    assert found.config_file == HOME / ".config/rovy/rovy.toml"
    assert found.socket == HOME / ".local/state/rovy/rovyd.sock"


def test_home_of_the_environment_wins():
    assert Places.of(7, {"HOME": "/h"}, HOME).state_dir == Path("/h/.local/state/rovy")


def test_own_socket_before_that_of_the_system(tmp_path, monkeypatch):
    system = tmp_path / "system.sock"
    monkeypatch.setattr(places, "SYSTEM_SOCKET", system)
    mine = Places.of(7, {}, tmp_path)
    assert mine.found_socket() == mine.socket
    system.touch()
    assert mine.found_socket() == system
    mine.socket.parent.mkdir(parents=True)
    mine.socket.touch()
    assert mine.found_socket() == mine.socket
