"""Daemons that know a few nodes each: all find all by anchors and the DHT, and again after deaths.

A small cut of `make hundred`.
"""

import pytest

from testnet.hundred import Hundred, Options

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(240)]


def test_all_find_all_beyond_their_maps(lab):
    hundred = Hundred(lab, lab.log_directory, Options(nodes=24, settle=1.0, rest=5.0, samples=1))
    hundred.start()
    sizes = [daemon.call("GET", "/info")["map"]["nodes"] for daemon in hundred.fleet.daemons]
    assert max(sizes) <= 2 * 16
    hundred.rest()
    hundred.look_up()
    hundred.ask_all("all pairs")
    hundred.kill()
    hundred.ask_all("all pairs left")
    hundred.finish()
    parts = hundred.report.parts
    assert not hundred.report.problems
    assert parts["resolve --dht"]["found"] == parts["resolve --dht"]["pairs"] >= 20
    for part in ("all pairs", "all pairs left"):
        assert parts[part]["answered in the end"] == parts[part]["pairs"]
