"""`make demo`: six daemons, two ways from A to F, and what the network makes of them.

         B ── C
       /        \\
     A            F      every node is told the address of its neighbours, and nothing else
       \\        /
         D ── E

Runs inside `testnet/isolated`; takes about half a minute; the last line is `demo ok`. Where
/dev/net/tun cannot be opened the daemons run without IPv6, and what needs it is left out.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from testnet.daemons import Daemon
from testnet.emulator import LinkQuality
from testnet.netns import Lab, LabError, Link, wait_until

LINKS = {"ab": 0.002, "bc": 0.002, "cf": 0.002, "ad": 0.004, "de": 0.004, "ef": 0.004}
"""One-way delays in seconds; the first letter's node has the first address."""
SIZE = 20_000_000
"""Bytes of the download."""
SLOW = "2M"
"""Rate of the download under which a link is cut, bytes a second."""
EXAMPLE = Path(__file__).parent.parent / "examples" / "transfer.py"


class Demo:
    """The steps, and the rows of the summary they earn."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self._lab, self._directory = lab, directory
        self.rows: list[tuple[str, str]] = []
        self.tun = _tun_opens()
        self._hosts = {name: lab.host(name) for name in "abcdef"}
        self._links = {ends: self._link(number, ends) for number, ends in enumerate(LINKS)}
        self.nodes = {name: Daemon(host, directory / name) for name, host in self._hosts.items()}
        self.a, self.f = self.nodes["a"], self.nodes["f"]
        self._names: dict[str, str] = {}

    def start(self) -> None:
        """Start six daemons; each is told the addresses of its neighbours."""
        for name, daemon in self.nodes.items():
            peers = [
                f"--peer={self.nodes[ends[0]].address(f'10.0.{number}.1')}"
                for number, ends in enumerate(LINKS)
                if ends[1] == name
            ]
            daemon.start(*peers)
        began = time.monotonic()
        for name, daemon in self.nodes.items():
            info = daemon.ask("info")
            peer = info["peer_id"]
            for text in (peer, f"{peer[:7]}…{peer[-4:]}", info["address"]):
                self._names[text] = name.upper()
            print(f"  {name.upper()}  /rovy/{info['peer_id']}\n     {info['address']}")
        wait_until(lambda: all(self._knows_all(node) for node in self.nodes.values()), 30.0)
        took = time.monotonic() - began
        self.rows.append(("every node knows all six", f"{took:.1f} s after the last one started"))

    def routes(self) -> None:
        """A asks for the routes to F: /rovy/… becomes /rovyrt/…"""
        self.a.run("ping", "-c", "3", "-i", "0.1", self.f.peer_id)
        wait_until(lambda: len([r for r in self._routes() if r["rtt"]]) > 1, 15.0)
        print(self._named(self.a.run("resolve", self.f.peer_id).stdout))
        for route in self._routes()[:2]:
            way = "-".join(["A", *(self._names[hop["peer_id"]] for hop in route["hops"])])
            rtt = f"{1000 * route['rtt']:.1f} ms" if route["rtt"] else "not measured"
            text = f"{way}, RTT {rtt}, MTU {route['mtu']}"
            self.rows.append((f"route {route['label']}", text))

    def look_up(self) -> None:
        """A asks the DHT for F, as it would in a network larger than its map."""
        wait_until(lambda: bool(self._looked_up()["steps"]), 30.0)
        print(self._named(self.a.run("resolve", "--dht", self.f.peer_id).stdout))
        answer = self._looked_up()
        asked = ", ".join(
            f"{self._names.get(step['peer_id'], '?')} over {step['route']}"
            for step in answer["steps"]
        )
        anchors = len(answer["locator"]["anchors"]) if answer["locator"] else 0
        took = f"{1000 * answer['took']:.1f} ms"
        text = f"asked {asked}: found in {took}, {anchors} anchors"
        self.rows.append(("F by the DHT", text))

    def ping(self) -> None:
        """A pings F; there is no link between them."""
        command = ["ping", "-c", "5", "-i", "0.2", self._address(self.f)]
        done = self.a.host.run(command) if self.tun else self.a.run(*command[:-1], self.f.peer_id)
        print(done.stdout)
        self.rows.append(("A pings F", done.stdout.strip().splitlines()[-1]))

    def traceroute(self) -> None:
        """Every hop on the way says who it is, and signs it."""
        command = ["traceroute", "-n", "-q", "1", self._address(self.f)]
        if self.tun:
            done = self.a.host.run(command, timeout=60)
        else:
            done = self.a.run("traceroute", self.f.peer_id)
        print(self._named(done.stdout))
        hops = re.findall(r"^ *\d+  .*?\((\w)\)", self._named(done.stdout), re.MULTILINE)
        self.rows.append(("traceroute", ", then ".join(hops)))

    def download(self) -> None:
        """F serves a file, its firewall opens the port for A alone, and curl fetches it."""
        data = os.urandom(SIZE)
        (self._directory / "file").write_bytes(data)
        address = self._address(self.f)
        self._hosts["f"].spawn(
            [sys.executable, "-m", "http.server", "8000", "--bind", address,
             "--directory", str(self._directory)],
            log=self._directory / "http.log",
        )  # fmt: skip
        wait_until(lambda: self._listens(address), 10.0)
        refused = self.a.host.run(self._curl("refused"), check=False)
        print(f"before the rule: {refused.stderr.strip()}")
        print(self.f.run("firewall", "allow", f"tcp/8000 from {self.a.peer_id}").stdout)
        took, rate = self.a.host.run(self._curl("fetched"), timeout=60).stdout.split()
        self._check("fetched", data)
        megabits = 8 * float(rate) / 1e6
        print(f"{SIZE} bytes in {float(took):.2f} s, {megabits:.0f} Mbit/s, SHA-256 matches")
        self.rows.append(("port 8000 before the rule", "refused" if refused.returncode else "open"))
        self.rows.append((f"HTTP, {SIZE // 10**6} MB from F", f"{megabits:.0f} Mbit/s"))

    def transfer(self) -> None:
        """Two programs that use the library send a file; the network finds their route."""
        data = os.urandom(SIZE // 20)
        (self._directory / "data").write_bytes(data)
        log = self._directory / "receive.log"
        at_a, at_f = self.a.address("10.0.0.1"), self.f.address("10.0.2.2")
        command = [sys.executable, str(EXAMPLE)]
        receiver = self._hosts["f"].spawn([*command, "receive", "--peer", at_f], log=log)
        wait_until(lambda: "receiver" in log.read_text(), timeout=10.0)
        peer = log.read_text().split()[1]
        sent = self._hosts["a"].run(
            [*command, "send", str(self._directory / "data"), "--peer", at_a, "--to", peer],
            timeout=60,
        )
        receiver.wait(10)
        if hashlib.sha256(data).hexdigest() not in log.read_text():
            raise SystemExit(f"demo: the data arrived damaged: {log.read_text()}")
        print(sent.stdout + log.read_text())
        what = f"{len(data) // 10**6} MB by the library"
        self.rows.append((what, sent.stdout.strip().rpartition(" over ")[2]))

    def cut(self) -> None:
        """The link in use is cut under a ping every 10 ms and a download."""
        way = next(route for route in self._routes() if route["state"] == "active")
        first, second = (self._names[hop["peer_id"]].lower() for hop in way["hops"][:2])
        log = self._directory / "ping.log"
        pings = self._pings(log)
        command = [*self._curl("slow"), "--limit-rate", SLOW]
        slow = self._directory / "slow.log"
        fetch = self._hosts["a"].spawn(command, log=slow) if self.tun else None
        time.sleep(2)
        print(f"the link {first.upper()}-{second.upper()} is cut")
        self._links[first + second].down()
        pings.wait(60)
        lost, gap = _losses(log.read_text())
        now = next(route for route in self._routes() if route["state"] == "active")
        hops = "-".join(["A", *(self._names[hop["peer_id"]] for hop in now["hops"])])
        text = f"{lost} pings lost, {gap:.0f} ms without an answer, now {hops}"
        self.rows.append((f"link {first.upper()}-{second.upper()} cut", text))
        if fetch:
            fetch.wait(60)
            self._check("slow", (self._directory / "file").read_bytes())
            self.rows.append(("download meanwhile", "went on; SHA-256 matches"))

    def stop(self) -> None:
        """Stop all daemons politely."""
        for daemon in self.nodes.values():
            daemon.run("stop")
            if daemon.process and daemon.process.wait(5) != 0:
                raise SystemExit(f"demo: {daemon.name} did not stop cleanly:\n{daemon.log()}")
        self.rows.append(("stop", "all daemons ended with status 0"))

    # Inside

    def _link(self, number: int, ends: str) -> Link:
        """A link with its delay, where the emulator can make one."""
        a, b = (self._hosts[name] for name in ends)
        net = f"10.0.{number}.0/24"
        if not self.tun:
            return self._lab.link(a, b, net=net)
        return self._lab.emulated(a, b, net=net, quality=LinkQuality(delay=LINKS[ends]))

    def _knows_all(self, daemon: Daemon) -> bool:
        return int(daemon.ask("info")["map"]["nodes"]) == len(self.nodes)

    def _routes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.a.ask("routes", self.f.peer_id)["routes"]
        return found

    def _looked_up(self) -> dict[str, Any]:
        """F as the DHT has it; without steps until it has said where it is."""
        try:
            found: dict[str, Any] = self.a.ask("lookup", self.f.peer_id)
        except LabError:
            return {"steps": []}
        return found

    def _address(self, daemon: Daemon) -> str:
        return str(daemon.ask("info")["address"])

    def _curl(self, name: str) -> list[str]:
        url = f"http://[{self._address(self.f)}]:8000/file"
        figures = "%{time_total} %{speed_download}"
        target = str(self._directory / name)
        return ["curl", "-sS", "--max-time", "50", "-w", figures, "-o", target, url]

    def _check(self, name: str, data: bytes) -> None:
        fetched = (self._directory / name).read_bytes()
        if hashlib.sha256(fetched).digest() != hashlib.sha256(data).digest():
            raise SystemExit(f"demo: the file arrived damaged: {len(fetched)} bytes")

    def _listens(self, address: str) -> bool:
        done = self._hosts["f"].run(["ss", "-Hltn", f"src [{address}]"], check=False)
        return ":8000" in done.stdout

    def _pings(self, log: Path) -> "subprocess.Popen[bytes]":
        if self.tun:
            return self._hosts["a"].spawn(
                ["ping", "-n", "-i", "0.01", "-c", "600", self._address(self.f)], log=log
            )
        command = self.a.command("ping", "-c", "300", "-i", "0.02", "-W", "1", self.f.peer_id)
        return self._hosts["a"].spawn(command, log=log)

    def _named(self, text: str) -> str:
        """Text with the demo's letters after ids and addresses."""
        for long, name in self._names.items():
            text = re.sub(re.escape(long) + r"(?!\))", f"{long} ({name})", text)
        return text


def _tun_opens() -> bool:
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        print(f"demo: /dev/net/tun cannot be opened ({error.strerror}): without IPv6 programs")
        return False
    return True


def _losses(log: str) -> tuple[int, float]:
    """Pings without an answer, and the milliseconds of the longest time without one."""
    seen = sorted(int(number) for number in re.findall(r"seq=(\d+) (?:ttl|via)", log))
    gaps = [after - before for before, after in pairwise(seen)]
    summary = re.search(r"(\d+) (?:packets transmitted|sent).* time (\d+) ?ms", log)
    if summary is None or not gaps:
        raise SystemExit(f"demo: the pings came to no end:\n{log[-500:]}")
    sent, took = int(summary[1]), int(summary[2])
    return sent - len(seen), (max(gaps) - 1) * took / sent


def main() -> int:
    """Run all steps, say what each does, and sum up."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rovy-demo-") as directory, Lab() as lab:
        try:
            demo = Demo(lab, Path(directory))
            steps: list[Callable[[], None]] = [demo.start, demo.routes, demo.look_up]
            steps += [demo.ping, demo.traceroute]
            steps += [demo.download] if demo.tun else []
            steps += [demo.transfer, demo.cut, demo.stop]
            for step in steps:
                print(f"== {(step.__doc__ or '').strip().splitlines()[0]}", flush=True)
                step()
        except LabError as error:
            raise SystemExit(f"demo: {error}") from None
        print(f"\n{'what':<28} result\n{'-' * 28} {'-' * 50}")
        for what, result in demo.rows:
            print(f"{what:<28} {result}")
    print(f"{'took':<28} {time.monotonic() - began:.1f} s\ndemo ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
