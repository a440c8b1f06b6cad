"""TCP, UDP and pings of other programs through real daemons, against the same links without them.

Three hosts in a row, A - B - C, in namespaces (`testnet/isolated`), measured in a process of its
own: this module as a program. The links carry IPv4, which B routes between A and C; each
measurement over the interfaces takes turns with the same one over the links.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from rovy.errors import UsageError
from rovy.io.tundevice import TunDevice
from testnet.daemons import Daemon
from testnet.netns import Lab, wait_until
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rest import REFUSED, ROOT, processor_time
from tests.bench.timing import GIGA, MICRO

LINK_B, LINK_C = "10.0.0.2", "10.0.1.2"
PORT = 5201
TCP = ("-C", "cubic")
UDP = ("-u", "-b", "1G", "-l", "1352", "--pacing-timer", "200")
"""1 Gbit/s in packets of 1400 bytes, bursts short enough for a socket's buffer; some get lost."""
SECOND, SHORT, SHORT_UDP = ("-t", "1"), ("-n", "400M"), ("-n", "30M")
"""Over the interfaces, and over the links, where less is enough."""
PINGS, INTERVAL = 100, 0.002
LOADED_PINGS, LOADED_INTERVAL = 80, 0.01
PATIENCE = 10.0
_TIME = re.compile(r" time=([0-9.]+) ms")
_RATES = {
    "tun_tcp.1hop.pure": "1hop",
    "tun_tcp.1hop.pure.x4": "1hop x4",
    "tun_tcp.abc.pure": "abc",
    "tun_udp.1hop.pure": "udp",
}
_PINGS = {
    "ping.1hop.pure": ("1hop", "1hop"),
    "ping.abc.pure": ("abc", "abc"),
    "ping.1hop.pure.loaded": ("loaded", "1hop"),
}
_NAMES = (*_RATES, *(f"{name}.cpu" for name in _RATES), *_PINGS)
Values = dict[str, list[float]]


@benchmark(*_NAMES)
def tun(scale: Scale) -> Iterator[Result]:
    """Streams of a second and 100 pings a round; says so where there are no interfaces."""
    command = ["testnet/isolated", sys.executable, "-m", "tests.bench.tun", str(scale.of(5, 3))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == REFUSED:
        print(f"left out, see above: {', '.join(_NAMES)}", file=sys.stderr)
        return
    done.check_returncode()
    found: dict[str, Values] = json.loads(done.stdout)
    for name, of in _RATES.items():
        yield Result.of(name, "Gbit/s", found["rate"][of], "plain veth", found["link rate"][of])
        yield Result.of(f"{name}.cpu", "s/Gbit", found["cost"][of])
    for name, (of, bare) in _PINGS.items():
        pairs = zip(found["ping"][of], found["link ping"][bare], strict=True)
        yield Result.of(name, "µs", [mine - bare for mine, bare in pairs])


class Row:
    """Three hosts in a row, their daemons, and a server for streams on the last two."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.hosts = [lab.host(name) for name in "abc"]
        a, b, c = self.hosts
        lab.link(a, b, net="10.0.0.0/24")
        lab.link(b, c, net="10.0.1.0/24")
        b.forward()
        a.route("10.0.1.0/24", via="10.0.0.2")
        c.route("10.0.0.0/24", via="10.0.1.1")
        self.daemons = [Daemon(host, directory / host.name) for host in self.hosts]
        middle = self.daemons[1]
        middle.start()
        self.daemons[0].start("--peer", middle.address(LINK_B))
        self.daemons[2].start("--peer", middle.address("10.0.1.1"))
        for daemon in self.daemons[1:]:
            daemon.host.spawn(["iperf3", "-s", "-p", str(PORT)])
            for protocol in ("tcp", "udp"):
                daemon.run("firewall", "allow", f"{protocol}/{PORT}")
        self.directory = directory
        self.found: dict[str, Values] = defaultdict(dict)

    def round(self) -> None:
        """Each measurement once, over the interfaces and over the links."""
        ip6_b, ip6_c = (daemon.ip6 for daemon in self.daemons[1:])
        for of, over, link in (("1hop", ip6_b, LINK_B), ("abc", ip6_c, LINK_C)):
            self._keep("ping", of, self.ping(over, PINGS, INTERVAL))
            self._keep("link ping", of, self.ping(link, PINGS, INTERVAL))
        for of, over, link, options, short in (
            ("1hop", ip6_b, LINK_B, TCP, SHORT),
            ("1hop x4", ip6_b, LINK_B, (*TCP, "-P", "4"), SHORT),
            ("abc", ip6_c, LINK_C, TCP, SHORT),
            ("udp", ip6_b, LINK_B, UDP, SHORT_UDP),
        ):
            self.stream("", of, over, (*options, *SECOND))
            self.stream("link ", of, link, (*options, *short))

    def stream(self, kind: str, of: str, to: str, options: Sequence[str]) -> None:
        """Send from A: what arrives, Gbit/s, and what the daemons spend, seconds a gigabit."""
        log = self.directory / "iperf.json"
        log.unlink(missing_ok=True)
        before = self._spent()
        command = ["iperf3", "-J", "-c", to, "-p", str(PORT), *options]
        process = self.hosts[0].spawn(command, log=log)
        if of == "1hop" and not kind:
            self._keep("ping", "loaded", self.ping(to, LOADED_PINGS, LOADED_INTERVAL))
        process.wait(PATIENCE)
        spent, told = self._spent() - before, json.loads(log.read_text())
        if "error" in told:
            raise RuntimeError(f"iperf3 to {to}: {told['error']}")
        came = told["end"]["sum_received"]
        self._keep(f"{kind}rate", of, came["bits_per_second"] / GIGA)
        self._keep(f"{kind}cost", of, spent / (8 * came["bytes"] / GIGA))

    def ping(self, to: str, count: int, interval: float) -> float:
        """Median of A's pings, µs."""
        command = ["ping", "-c", str(count), "-i", str(interval), to]
        done = self.hosts[0].run(command, check=False)
        return MICRO / 1000 * median(map(float, _TIME.findall(done.stdout)))

    def reached(self) -> bool:
        """Whether A's pings come back from B and C."""
        ends = (daemon.ip6 for daemon in self.daemons[1:])
        commands = (["ping", "-c1", "-W1", end] for end in ends)
        return all(self.hosts[0].run(command, check=False).returncode == 0 for command in commands)

    def _spent(self) -> float:
        return sum(processor_time(daemon.process.pid) for daemon in self.daemons if daemon.process)

    def _keep(self, kind: str, of: str, value: float) -> None:
        self.found[kind].setdefault(of, []).append(value)


def main(rounds: int) -> int:
    """Print what was found in each round, by kind and name."""
    try:
        TunDevice("rovybench", "").close()
    except UsageError as error:
        print(f"tun: {error}", file=sys.stderr)
        return REFUSED
    with tempfile.TemporaryDirectory(prefix="rovy-tun-") as name, Lab(Path(name)) as lab:
        row = Row(lab, Path(name))
        wait_until(row.reached)
        for _ in range(rounds):
            row.round()
        print(json.dumps(row.found))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
