"""What was found on the local network, as people see it."""

import json

from tests.unit.cli.test_commands import A, B
from tests.unit.cli.test_commands import rovyctl as rovyctl  # a fixture

ETH0 = {
    "name": "eth0",
    "index": 2,
    "addresses": ["192.0.2.7", "fe80::1"],
    "state": "on",
    "announced": True,
    "heard_back": True,
    "others": 2,
    "heard": 9.0,
    "problem": "",
    "remedy": "",
}
WLAN0 = {
    **ETH0,
    "name": "wlan0",
    "heard_back": False,
    "others": 0,
    "heard": None,
    "problem": "own announcement not heard back on wlan0",
    "remedy": "let it in",
}
LO = {**ETH0, "name": "lo", "state": "left out", "announced": False, "problem": "no multicast"}
NODE = {
    "peer_id": A,
    "address": "fcaa::1",
    "name": "laptop",
    "state": "peer",
    "wanted": True,
    "interfaces": ["eth0"],
    "endpoints": ["192.0.2.9:1312", "[fe80::9%eth0]:1312"],
    "rtt": 0.0005,
    "heard": 9.0,
    "attempts": 1,
    "failures": 0,
    "again": None,
}
WAITING = {
    **NODE,
    "peer_id": B,
    "name": "",
    "state": "waiting",
    "wanted": False,
    "rtt": None,
    "attempts": 3,
    "failures": 2,
    "again": 8.0,
}
PROBLEM = "discovery on wlan0: own announcement not heard back on wlan0; let it in"
FOUND = {
    "mode": "on",
    "lan_peers": 8,
    "interfaces": [ETH0, WLAN0, LO],
    "nodes": [NODE, WAITING],
    "counters": {"attempts": 4},
    "problems": [PROBLEM],
}
OFF = {**FOUND, "mode": "off", "interfaces": [], "nodes": [], "problems": []}


def shown(rovyctl, answer, *options):
    result = rovyctl("discovery", *options, answers={("GET", "/discovery"): answer})
    assert result.exit_code == 0
    return [" ".join(line.split()) for line in result.output.splitlines() if line]


def test_interfaces_nodes_and_problems(rovyctl):
    assert shown(rovyctl, FOUND) == [
        "Discovery on: this node is announced, and looks for others",
        "Found 2 nodes, 1 of at most 8 chosen",
        "INTERFACE STATE ANNOUNCED HEARD BACK OTHERS LAST ADDRESSES",
        "eth0 on yes yes 2 9s 192.0.2.7 fe80::1",
        "wlan0 on yes no 0 - 192.0.2.7 fe80::1",
        "NODE STATE CHOSEN RTT ON AT TRIED",
        "laptop peer yes 0.500 ms eth0 192.0.2.9:1312 1",
        "bafzqai…wghe waiting 8s no - eth0 192.0.2.9:1312 3, 2 failed",
        f"Problem: {PROBLEM}",
    ]


def test_whole(rovyctl):
    lines = shown(rovyctl, FOUND, "--wide")
    assert any(A in line and "[fe80::9%eth0]:1312" in line for line in lines)
    assert any(line.startswith("lo left out: no multicast") for line in lines)


def test_off(rovyctl):
    assert shown(rovyctl, OFF) == ['Discovery off; turn it on with: discovery = "on"']


def test_for_programs(rovyctl):
    result = rovyctl("discovery", "--json", answers={("GET", "/discovery"): FOUND})
    assert json.loads(result.output) == FOUND
