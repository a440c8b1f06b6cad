"""The interfaces of this machine, as discovery sees them."""

import pytest

from rovy.io import lan

IF_INET6 = """\
fe800000000000000000000000000001 02 40 20 80     eth0
fe800000000000000000000000000002 03 40 20 c0     eth1
fe800000000000000000000000000003 04 40 20 c4     eth2
mangled
"""


def test_loopback_is_told_from_the_rest():
    found = {each.name: each for each in lan.lan_interfaces()}
    assert found["lo"].loopback
    assert found["lo"].index == 1
    assert "127.0.0.1" in {each.host for each in found["lo"].addresses}
    assert not any(each.loopback for name, each in found.items() if name != "lo")
    assert len(found) == len(lan.lan_interfaces())


@pytest.mark.parametrize("text", [IF_INET6, IF_INET6.replace("mangled\n", "")])
def test_addresses_under_test_are_left_out(monkeypatch, tmp_path, text):
    path = tmp_path / "if_inet6"
    path.write_text(text)
    monkeypatch.setattr(lan, "_IF_INET6", path)
    assert lan._tentative() == {("eth1", "fe80::2")}


def test_without_ipv6(monkeypatch, tmp_path):
    monkeypatch.setattr(lan, "_IF_INET6", tmp_path / "none")
    assert lan._tentative() == set()
    assert lan.lan_interfaces()
