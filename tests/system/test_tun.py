"""The TUN interface on real kernels: made, attached to, in others' hands, and refused."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from testnet.netns import wait_until

pytestmark = pytest.mark.system

DRIVER = Path(__file__).with_name("tun_driver.py")
OWN, OTHER = "fc01::1", "fc02::2"
READY = [("rovy0", "")]
NOBODY = 65534
CAPABLE = "0 4294967295"  # uid_map where every user exists


@pytest.fixture(scope="module")
def tun():
    """The kernel's TUN device; who may not open it cannot run these tests."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        pytest.skip(
            f"/dev/net/tun cannot be opened ({error.strerror}): run as root, or chmod 0666 it"
        )


class Driver:
    """A running `tun_driver.py`."""

    def __init__(self, host, log, *options, address=OWN, before=()):
        self.host, self.log = host, log
        command = [*before, sys.executable, str(DRIVER), address, *options]
        root = str(DRIVER.parents[2])
        self.process = host.spawn(command, log=log, env={"PYTHONPATH": root})
        wait_until(lambda: bool(self.changes()), timeout=10)

    def events(self, kind):
        lines = self.log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event["event"] == kind]

    def changes(self):
        return [(event["name"], event["problem"]) for event in self.events("changed")]

    def wait(self, *parts, timeout=5.0):
        """Until the last problem has these parts; without parts, until there is none."""

        def said():
            problem = self.changes()[-1][1]
            return all(part in problem for part in parts) if parts else not problem

        wait_until(said, timeout=timeout)

    def guarded(self):
        return [event["name"] for event in self.events("before_up")]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(5) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text()
        return self.events("counters")[0]


@pytest.fixture
def host(lab):
    host = lab.host("a")
    host.sysctl("net.ipv6.conf.default.keep_addr_on_down", "0")  # as the kernel has it
    return host


@pytest.fixture
def start(tun, host, tmp_path):
    """Starts drivers on the host; in the end they have to stop in peace."""
    drivers = []

    def start(*options, **more):
        driver = Driver(host, tmp_path / f"driver-{len(drivers)}.log", *options, **more)
        drivers.append(driver)
        return driver

    yield start
    for driver in drivers:
        if driver.process.poll() is None:
            driver.end()


def ip(host, *arguments):
    """What `ip -json` shows, without what is empty."""
    shown = json.loads(host.run(["ip", "-json", *arguments]).stdout or "[]")
    return [entry for entry in shown if entry]


def links(host):
    return {each["ifname"]: each for each in ip(host, "link", "show") if each["ifname"] != "lo"}


def addresses(host, name="rovy0"):
    shown = ip(host, "-6", "address", "show", "dev", name)
    return [(each["local"], each["prefixlen"]) for link in shown for each in link["addr_info"]]


def routes(host, name="rovy0"):
    return [each["dst"] for each in ip(host, "-6", "route", "show", "dev", name)]


def is_up(host, name="rovy0"):
    return "UP" in links(host)[name]["flags"]


def is_whole(host, name="rovy0"):
    has = (OWN, 128) in addresses(host, name) and "fc00::/8" in routes(host, name)
    return has and is_up(host, name)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_interface_is_made_and_goes(start, host, loop):
    driver = start("--loop", loop)
    driver.wait()
    assert driver.changes() == READY
    assert driver.events("before_up") == [{"event": "before_up", "name": "rovy0", "up": False}]
    link = links(host)["rovy0"]
    assert link["mtu"] == 8955
    assert {"UP", "LOWER_UP", "POINTOPOINT"} <= set(link["flags"])
    assert addresses(host) == [(OWN, 128)]
    assert routes(host) == ["fc00::/8"]
    assert driver.end() == {"event": "counters"}
    assert links(host) == {}


def test_name_and_mtu_are_settings(start, host):
    start("--name", "over-there_1", "--mtu", "1280").wait()
    assert links(host)["over-there_1"]["mtu"] == 1280


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_packets_go_both_ways(lab, tun, tmp_path, loop):
    a, b = lab.host("a"), lab.host("b")
    lab.link(a, b, net="10.0.1.0/24", mtu=9000)
    drivers = []
    for host, own, local, remote in (
        (a, OWN, "10.0.1.1", "10.0.1.2"),
        (b, OTHER, "10.0.1.2", "10.0.1.1"),
    ):
        options = ["--loop", loop, "--tunnel", local, remote]
        drivers.append(Driver(host, tmp_path / f"{own}.log", *options, address=own))
        drivers[-1].wait()
    a.run(["ping", "-n", "-c3", "-i0.1", "-W1", OTHER])
    b.run(["ping", "-n", "-c3", "-i0.1", "-W1", OWN])
    a.run(["ping", "-n", "-c2", "-i0.1", "-W1", "-Mdo", "-s", str(8955 - 48), OTHER])
    counts = {"packets": 8, "bytes": 6 * 104 + 2 * 8955}
    wanted = {f"{unit}_{word}": n for unit, n in counts.items() for word in ("read", "written")}
    for driver in drivers:
        assert driver.end() == {"event": "counters", **wanted}


def test_nothing_but_what_programs_send(start, host):
    driver = start()
    driver.wait()
    host.run(["ping", "-n", "-c1", "-W1", OTHER], check=False)
    [packet] = [bytes.fromhex(event["hex"]) for event in driver.events("packet")]
    assert packet[0] >> 4 == 6
    assert packet[8:24].hex() == "fc01" + "00" * 13 + "01"


@pytest.mark.parametrize(
    ("prefix", "table"), [("fc00::/8", []), ("fc12::/16", ["table", "77"]), ("fc00::/7", [])]
)
def test_another_route_keeps_it_down(start, host, prefix, table):
    host.run(["ip", "link", "add", "cjdns0", "up", "type", "bridge"])
    host.run(["ip", "-6", "route", "add", prefix, "dev", "cjdns0", *table])
    driver = start()
    driver.wait(f"another route to {prefix} goes over cjdns0", "IPv6 programs here cannot use it")
    assert not is_up(host)
    assert driver.guarded() == []
    host.run(remedy(driver))
    driver.wait(timeout=1)
    assert is_whole(host)


def remedy(driver):
    """The command that the last problem names."""
    return driver.changes()[-1][1].split("`")[1].split()


@pytest.mark.parametrize("kind", ["unreachable", "blackhole", "prohibit"])
def test_a_refusing_route_counts_where_it_is_longer(start, host, kind):
    host.run(["ip", "-6", "route", "add", kind, "fc00::/7"])
    host.run(["ip", "-6", "route", "add", kind, "fc00::/8"])
    driver = start()
    driver.wait("another route to fc00::/8 goes over lo")
    host.run(remedy(driver))
    driver.wait(timeout=1)


def test_routes_elsewhere_do_not_matter(start, host):
    host.run(["ip", "link", "add", "other", "up", "type", "bridge"])
    for prefix in ("fd00::/8", "fe00::/7", "2001:db8::/32", "default", "fb00::/8"):
        host.run(["ip", "-6", "route", "add", prefix, "dev", "other"])
    driver = start()
    driver.wait()
    assert driver.changes() == READY


def test_another_route_that_comes_later_is_told(start, host):
    driver = start()
    driver.wait()
    host.run(["ip", "link", "add", "late", "up", "type", "bridge"])
    host.run(["ip", "-6", "route", "add", "fc00::/8", "metric", "1", "dev", "late"])
    driver.wait("another route to fc00::/8 goes over late", "packets may go there", timeout=1)
    assert is_up(host)
    host.run(remedy(driver))
    driver.wait(timeout=1)
    assert driver.guarded() == ["rovy0"]


def test_a_firewall_that_fails_keeps_it_down(start, host, tmp_path):
    refusal = tmp_path / "refusal"
    refusal.write_text("nft is missing: apt install nftables")
    driver = start("--refusal", str(refusal))
    assert driver.changes() == [
        ("rovy0", "rovy0 stays unused: nft is missing: apt install nftables")
    ]
    assert not is_up(host)
    assert addresses(host) == []
    refusal.unlink()
    host.run(NUDGE)
    driver.wait(timeout=1)
    assert is_whole(host)


NUDGE = ["ip", "link", "set", "rovy0", "txqueuelen", "600"]
"""Rather than wait for the next try."""
RENAME = (
    "ip link set rovy0 name fc0 || "  # Linux before 6.2 wants it down
    "{ ip link set rovy0 down; ip link set rovy0 name fc0; ip link set fc0 up; }"
)


def test_a_new_name_is_followed_and_guarded(start, host, tmp_path):
    refusal = tmp_path / "refusal"
    driver = start("--refusal", str(refusal))
    driver.wait()
    host.run(["sh", "-c", RENAME])
    wait_until(lambda: driver.changes()[-1] == ("fc0", ""), timeout=8)
    assert driver.guarded() == ["rovy0", "fc0"]
    assert is_whole(host, "fc0")
    refusal.write_text("no")
    host.run(["sh", "-c", RENAME.replace("fc0", "fc1").replace("rovy0", "fc0")])
    driver.wait("fc1 stays unused: no", timeout=8)
    assert not is_up(host, "fc1")


def test_set_down_once_it_comes_back_twice_it_stays(start, host):
    driver = start()
    driver.wait()
    host.run(["ip", "link", "set", "rovy0", "down"])
    driver.wait("rovy0 was set down", "set up again", timeout=1)
    driver.wait(timeout=3)
    assert is_whole(host)
    host.run(["ip", "link", "set", "rovy0", "down"])
    driver.wait("rovy0 was set down by somebody", timeout=1)
    host.run(["sleep", "1.5"])
    assert not is_up(host)
    host.run(remedy(driver))
    driver.wait(timeout=6)
    assert is_whole(host)


def test_address_and_route_are_restored_but_not_all_the_time(start, host):
    driver = start()
    driver.wait()
    host.run(["ip", "-6", "address", "delete", f"{OWN}/128", "dev", "rovy0"])
    wait_until(lambda: is_whole(host), timeout=1)
    host.run(["ip", "-6", "route", "delete", "fc00::/8", "dev", "rovy0"])
    driver.wait("rovy0 lost its route", timeout=1)
    driver.wait(timeout=6)
    assert is_whole(host)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_deleted_it_is_made_again(start, host, loop):
    driver = start("--loop", loop)
    driver.wait()
    host.run(["ip", "link", "delete", "rovy0"])
    driver.wait("rovy0 was deleted", timeout=1)
    driver.wait(timeout=3)
    assert is_whole(host)
    assert driver.guarded() == ["rovy0", "rovy0"]
    host.run(["ping", "-n", "-c1", "-W1", OTHER], check=False)
    wait_until(lambda: len(driver.events("packet")) == 1, timeout=1)


def test_another_mtu_is_kept_unless_too_small_for_ipv6(start, host):
    driver = start()
    driver.wait()
    host.run(["ip", "link", "set", "rovy0", "mtu", "1400"])
    assert addresses(host) == [(OWN, 128)]
    host.run(["ip", "link", "set", "rovy0", "mtu", "1279"])
    driver.wait("an MTU of 1279, and IPv6 needs 1280", timeout=1)
    host.run(remedy(driver))
    driver.wait(timeout=6)
    assert driver.events("changed")[-1]["mtu"] == 1280
    assert is_whole(host)


def test_interface_of_another_kind(start, host):
    host.run(["ip", "link", "add", "rovy0", "type", "bridge"])
    driver = start()
    driver.wait("rovy0 exists and is another kind of interface")
    host.run(remedy(driver))
    driver.wait(timeout=1)


def test_interface_of_another_process(start, host):
    first, second = start(), start()
    second.wait("rovy0 is used by another process")
    first.end()
    second.wait(timeout=1)
    assert is_whole(host)


def test_ipv6_switched_off(start, host):
    host.sysctl("net.ipv6.conf.default.disable_ipv6", "1")
    driver = start()
    driver.wait("IPv6 is disabled on rovy0: `sysctl net.ipv6.conf.rovy0.disable_ipv6=0`")
    host.sysctl("net.ipv6.conf.rovy0.disable_ipv6", "0")
    host.run(NUDGE)
    driver.wait(timeout=1)
    assert is_whole(host)


def test_writes_that_fail_are_counted(lab, start, host):
    """Packets come by the tunnel while the interface is down."""
    neighbour = lab.host("b")
    lab.link(host, neighbour, net="10.0.1.0/24")
    driver = start("--tunnel", "10.0.1.1", "10.0.1.2")
    driver.wait()
    host.run(["ip", "link", "set", "rovy0", "down"])
    send = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('10.0.1.2', 4242));"
        "s.sendto(bytes((0x60,)) * 40, ('10.0.1.1', 4242))"
    )
    neighbour.run([sys.executable, "-c", send])
    counters = driver.end()
    assert counters["write error: EIO"] == 1
    assert counters["packets_written"] == 0


# Without permission


def test_no_device_node(lab, tmp_path):
    driver = Driver(lab.host("a"), tmp_path / "log", before=hidden("true"))
    driver.wait("/dev/net/tun is missing: `modprobe tun`")
    driver.end()


def test_device_node_that_may_not_be_opened(lab, tmp_path):
    barred = hidden("touch /dev/net/tun; chmod 0 /dev/net/tun")
    before = [*barred, *dropping("dac_override", "dac_read_search")]
    driver = Driver(lab.host("a"), tmp_path / "log", before=before)
    driver.wait("/dev/net/tun may not be opened by this user: run as root")
    driver.end()


def hidden(then):
    """A command prefix: an empty /dev/net of its own."""
    script = f'mount -t tmpfs none /dev/net && {then} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "hidden"]


def dropping(*capabilities):
    """A command prefix: go on without capabilities."""
    return ["setpriv", "--bounding-set", ",".join(f"-{name}" for name in capabilities)]


def test_no_permission_to_make_it(start, host):
    driver = start(before=dropping("net_admin"))
    driver.wait("no permission for rovy0: run as root or with CAP_NET_ADMIN")
    host.run(["sh", "-c", driver.changes()[-1][1].split("`")[1]])
    driver.wait(timeout=2)
    assert is_whole(host)
    assert driver.end() == {"event": "counters"}
    assert (OWN, 128) in addresses(host)
    assert "fc00::/8" in routes(host)


def as_owner():
    """A command prefix and a uid: a user without capabilities who may open the TUN device."""
    if CAPABLE not in " ".join(Path("/proc/self/uid_map").read_text().split()):
        return dropping("net_admin"), 0  # only we exist here
    node = "mknod -m 666 /dev/net/tun c 10 200"
    reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return [*hidden(node), "setpriv", "--reuid", str(NOBODY), "--clear-groups", *reads], NOBODY


def test_prepared_interface_is_used_as_it_is(start, host):
    before, owner = as_owner()
    for command in (
        f"ip tuntap add rovy0 mode tun user {owner}",
        f"ip -6 address add {OWN}/128 dev rovy0",
        "ip link set rovy0 mtu 1500 addrgenmode none",
        "ip link set rovy0 up",
        "ip -6 route add fc00::/8 dev rovy0",
    ):
        host.run(command.split())
    driver = start(before=before)
    driver.wait()
    assert driver.changes() == READY
    assert driver.events("changed")[-1]["mtu"] == 1500
    host.run(["ping", "-n", "-c1", "-W1", OTHER], check=False)
    wait_until(lambda: len(driver.events("packet")) == 1, timeout=1)
    driver.end()
    assert addresses(host) == [(OWN, 128)]
    assert "fc00::/8" in routes(host)


def test_what_a_prepared_interface_lacks_is_named(start, host):
    before, owner = as_owner()
    host.run(f"ip tuntap add rovy0 mode tun user {owner}".split())
    driver = start(before=before)
    for command in (
        f"ip -6 address add {OWN}/128 dev rovy0",
        "ip link set rovy0 up",
        "ip -6 route add fc00::/8 dev rovy0",
    ):
        driver.wait("rovy0 lacks what this user may not change; as root", command, timeout=1)
        host.run(command.split())
    driver.wait(timeout=1)
    host.run(["ip", "link", "set", "rovy0", "down"])
    driver.wait("as root: `ip -6 address add", "ip link set rovy0 up", timeout=3)
    host.run(["sh", "-c", driver.changes()[-1][1].split("`")[1]])
    driver.wait(timeout=1)
