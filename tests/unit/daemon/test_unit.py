"""The service file agrees with what rovyd and rovyctl take for granted."""

import os
import shlex
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

from rovy.api import listener
from rovy.config.places import Places
from rovy.daemon import __main__ as main
from rovy.daemon import privileges

PACKAGING = Path(__file__).resolve().parents[3] / "packaging"
SYSTEM = Places.of(0, {}, Path("/root"))


@pytest.fixture(scope="module")
def service() -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str
    text = (PACKAGING / "rovyd.service").read_text()
    parser.read_string(text.replace("\\\n", " "))
    return parser


def test_its_command_names_the_system_places(service):
    program, *arguments = shlex.split(service["Service"]["ExecStart"])
    assert os.path.basename(program) == "rovyd"
    context = main.command.make_context("rovyd", arguments)
    assert context.params["config"] == SYSTEM.config_file
    assert context.params["state_dir"] == SYSTEM.state_dir
    assert context.params["socket"] == SYSTEM.socket
    given = {
        name
        for name in context.params
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    assert given == {"config", "state_dir", "socket"}


def test_its_directories_are_those(service):
    section = service["Service"]
    assert Path("/var/lib") / section["StateDirectory"] == SYSTEM.state_dir
    assert Path("/run") / section["RuntimeDirectory"] == SYSTEM.socket.parent
    assert section["StateDirectoryMode"] == "0700"


def test_its_group_may_use_the_socket(service):
    assert service["Service"]["Group"] == listener.GROUP
    assert f"u {service['Service']['User']} " in (PACKAGING / "rovy.sysusers").read_text()


def test_it_has_the_capabilities_the_daemon_keeps(service):
    wanted = f"CAP_{privileges.NET_ADMIN.upper()}"
    for name in ("AmbientCapabilities", "CapabilityBoundingSet"):
        assert service["Service"][name] == wanted
    assert service["Service"]["DeviceAllow"] == "/dev/net/tun rw"


def test_it_uses_what_the_daemon_tells(service):
    assert service["Service"]["Type"] == "notify-reload"
    assert int(service["Service"]["WatchdogSec"]) >= 10
    families = service["Service"]["RestrictAddressFamilies"].split()
    assert set(families) == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
