"""The lab itself: links carry packets, can be cut, and nothing outlives it."""

import os
import signal

import pytest

from testnet.netns import Lab, LabError, wait_until

pytestmark = pytest.mark.system

PING = ["ping", "-n", "-c1", "-W1"]


def answers(host, address):
    return host.run([*PING, address], check=False).returncode == 0


def test_link_carries_both_families_at_once(lab):
    a, b = lab.host("a"), lab.host("b")
    lab.link(a, b, net="10.0.1.0/24", v6="fd00:1::/64")
    a.run([*PING, "10.0.1.2"])
    a.run([*PING, "fd00:1::2"])
    b.run([*PING, "fd00:1::1"])


def test_cut_link_is_silent_until_mended(lab):
    a, b = lab.host("a"), lab.host("b")
    link = lab.link(a, b, net="10.0.1.0/24", v6="fd00:1::/64")
    link.down()
    assert not answers(a, "10.0.1.2")
    link.up()
    for address in ("10.0.1.2", "fd00:1::2"):
        wait_until(lambda address=address: answers(a, address), timeout=5)


def test_mtu_is_that_of_the_link(lab):
    a, b = lab.host("a"), lab.host("b")
    link = lab.link(a, b, net="10.0.1.0/24", mtu=1300)
    full = [*PING, "-Mdo", "-s1272", "10.0.1.2"]
    a.run(full)
    link.set_mtu(1290)
    assert a.run(full, check=False).returncode != 0


def test_addresses_and_routes_come_and_go(lab):
    a, router, b = (lab.host(name) for name in ("a", "router", "b"))
    left = lab.link(a, router, net="10.0.1.0/24")
    right = lab.link(router, b, v6="fd00:2::/64", net="10.0.2.0/24")
    router.forward()
    a.route("10.0.2.0/24", via="10.0.1.2")
    b.route("default", via="10.0.2.1")
    a.run([*PING, "10.0.2.2"])
    b.add_address(right.interface(b), "10.0.2.9/24")
    a.run([*PING, "10.0.2.9"])
    b.del_address(right.interface(b), "10.0.2.9/24")
    assert not answers(a, "10.0.2.9")
    a.del_route("10.0.2.0/24")
    assert a.run([*PING, "10.0.2.2"], check=False).returncode == 2
    assert left.interface(a) == "to-router"


def test_bridge_joins_all_its_hosts(lab):
    hosts = [lab.host(name) for name in "abc"]
    bridge = lab.bridge("lan", *hosts, net="10.0.3.0/24", v6="fd00:3::/64")
    hosts[0].run([*PING, "10.0.3.3"])
    hosts[2].run([*PING, "fd00:3::2"])
    bridge.link(hosts[1]).down()
    assert not answers(hosts[0], "10.0.3.2")


def test_parallel_links_and_long_names(lab):
    a, b = lab.host("a"), lab.host("a-host-with-a-long-name")
    first, second = lab.link(a, b), lab.link(a, b, net="10.0.4.0/24")
    assert first.interface(a) != second.interface(a)
    a.run([*PING, "10.0.4.2"])


def test_nothing_outlives_the_lab(tmp_path):
    log = tmp_path / "a.log"
    with Lab() as lab:
        a = lab.host("a")
        script = "trap '' TERM; setsid sleep 600 & echo $! $ADDED; wait"
        process = a.spawn(["sh", "-c", script], log=log, env={"ADDED": "yes"})
        wait_until(lambda: "yes" in log.read_text(), timeout=5)
        polite = a.spawn(["sleep", "600"])
        lab.log_directory.joinpath("scratch").touch()
        directory = lab.log_directory
        process.send_signal(signal.SIGKILL)
    stray = int(log.read_text().split()[0])
    assert polite.returncode == -signal.SIGTERM
    assert not directory.exists()
    assert not os.path.exists("/run/netns/a")
    wait_until(lambda: not running(stray), timeout=5)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_errors_tell_the_command_and_its_output(lab):
    a = lab.host("a")
    with pytest.raises(LabError, match="exit status 3\nwhy"):
        a.run(["sh", "-c", "echo why >&2; exit 3"])
    with pytest.raises(LabError, match=r"no end after 0\.1 s"):
        a.run(["sleep", "5"], timeout=0.1)
    with pytest.raises(LabError, match="a host a already"):
        lab.host("a")
