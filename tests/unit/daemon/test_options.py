"""rovyd's command line, up to the point where it would run."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from rovy.config.values import write_network_key
from rovy.daemon import __main__ as main

A = "bafzqaibwj6dr3o63g4eguar73v2csws4wqqwux5sarwydofheqsmow33au"
ADDRESS = f"/ip4/192.0.2.1/udp/1312/rovy/{A}"
KEY = write_network_key(bytes(range(32)))


@pytest.fixture
def rovyd(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(
        main, "run", lambda read, file, named, form: started.append((read(), file, named))
    )
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    environment = {
        "HOME": str(tmp_path),
        **dict.fromkeys(("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "ROVY_SOCKET")),
    }

    def call(*arguments, **variables):
        started.clear()
        return CliRunner().invoke(main.command, arguments, env={**environment, **variables})

    call.started = started
    return call


def test_without_options(rovyd, tmp_path):
    assert rovyd().exit_code == 0
    ((settings, file, named),) = rovyd.started
    assert file == ""
    assert named == set()
    assert settings.state_dir == tmp_path / ".local/state/rovy"


def test_options_go_before_the_file(rovyd, tmp_path):
    config = tmp_path / "rovy.toml"
    config.write_text(f'max_peers = 3\nlog_level = "error"\n[[peer]]\naddress = "{ADDRESS}"\n')
    other = ADDRESS.replace("1312", "4000")
    rovyd(
        *("--config", str(config), "--log-level", "debug", "--log-format", "json"),
        *("--state-dir", "/srv/r", "--socket", "/srv/s", "--peer", other),
        *("--listen", "/ip4/127.0.0.1/udp/1", "--listen", "/ip6/::1/udp/1"),
        *("--network-key", KEY),
    )
    ((settings, file, named),) = rovyd.started
    assert file == str(config)
    assert settings.max_peers == 3
    assert (settings.log_level, settings.log_format) == ("debug", "json")
    assert [str(entry.address) for entry in settings.peers] == [ADDRESS, other]
    assert {str(entry.address) for entry in named} == {other}
    assert [str(each) for each in settings.listen] == ["/ip4/127.0.0.1/udp/1", "/ip6/::1/udp/1"]
    assert settings.key_file == Path("/srv/r/key.toml")
    assert settings.network_key == bytes(range(32))


def test_key_file_of_its_own(rovyd):
    rovyd("--key", "/k.toml", "--state-dir", "/srv/r")
    assert rovyd.started[0][0].key_file == Path("/k.toml")


def test_environment(rovyd):
    rovyd(ROVY_NETWORK_KEY=KEY, ROVY_SOCKET="/srv/s")
    assert rovyd.started[0][0].private
    assert rovyd.started[0][0].socket == Path("/srv/s")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["stray"],
        ["--listen", "1312"],
        ["--peer", "/ip4/192.0.2.1/udp/1"],
        ["--network-key", "secret"],
        ["--log-level", "loud"],
    ],
)
def test_usage_errors(rovyd, arguments):
    result = rovyd(*arguments)
    assert result.exit_code == 2
    assert "secret" not in result.output


def test_help_and_version(rovyd):
    assert "Examples:" in rovyd("--help").output
    assert rovyd("--version").output.startswith("rovyd ")
