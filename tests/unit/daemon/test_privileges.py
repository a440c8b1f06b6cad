"""What a process may still do after it has given the rest up. Others are in tests/system."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rovy.address import Multiaddr
from rovy.config.places import Places
from rovy.config.settings import Settings
from rovy.daemon import privileges
from rovy.daemon.start import needed


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.default(Places(tmp_path, tmp_path / "rovy.toml", tmp_path, tmp_path / "sock"))


def test_names_are_those_of_the_kernel():
    assert len(privileges.NAMES) == 41
    numbers = {"chown": 0, "dac_override": 1, "net_bind_service": 10, "net_admin": 12}
    numbers |= {"sys_admin": 21, "setfcap": 31, "checkpoint_restore": 40}
    assert {name: privileges.NAMES.index(name) for name in numbers} == numbers


def test_nothing_is_left_and_nothing_comes_back():
    script = (
        "from rovy.daemon.privileges import *; drop_privileges(()); print(capabilities());"
        "drop_privileges({NET_ADMIN}); print(capabilities());"
        "print([line for line in open('/proc/self/status') if line.startswith('NoNewPrivs')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]", "[]", r"['NoNewPrivs:\t1\n']"]


def test_a_system_without_capabilities_is_left_alone(monkeypatch):
    monkeypatch.setattr(privileges.ctypes, "CDLL", lambda *args, **options: object())
    before = privileges.capabilities()
    privileges.drop_privileges(())
    assert privileges.capabilities() == before


def test_a_user_without_a_name_has_a_number(monkeypatch):
    monkeypatch.setattr(privileges.os, "geteuid", lambda: 3_999_999_999)
    assert privileges.user() == "3999999999"


def test_what_a_daemon_needs(settings):
    assert needed(settings, "") == {"net_admin"}
    low = replace(settings, listen=(Multiaddr.parse("/ip4/0.0.0.0/udp/443"),))
    assert needed(low, "") == {"net_admin", "net_bind_service"}


def test_root_in_the_directories_of_others_keeps_what_opens_them(settings, monkeypatch, tmp_path):
    owner = tmp_path.stat().st_uid
    stat = Path.stat

    def of_another(path, **options):
        found = stat(path, **options)
        if path != tmp_path:
            return found
        return os.stat_result((*found[:4], owner + 1, *found[5:10]))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Path, "stat", of_another)
    assert "dac_override" in needed(settings, "")
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert "dac_override" not in needed(settings, "")
