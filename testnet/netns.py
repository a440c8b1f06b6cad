"""A small network of Linux network namespaces, joined by veth pairs and bridges.

A `Lab` lives inside `testnet/isolated`, which gives it a private /run, network and process
table; nothing here touches the machine's own network. Every command has a time limit, and
leaving the lab ends each process in it by its id and deletes the namespaces.

    with Lab() as lab:
        a, b = lab.host("a"), lab.host("b")
        lab.link(a, b, net="10.0.1.0/24", v6="fd00:1::/64")
        a.run(["ping", "-c1", "10.0.1.2"])

Processes enter a namespace with nsenter(1) rather than `ip netns exec`: the latter also
mounts /sys, which user namespaces are refused on some machines.
"""

import contextlib
import ipaddress
import itertools
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from testnet.emulator import LinkQuality

if TYPE_CHECKING:
    from testnet.emulated import EmulatedLink, Emulation
    from testnet.nat import Kind, Nat

COMMAND_TIMEOUT = 20.0  # seconds for one command, unless the caller says otherwise
STOP_TIMEOUT = 5.0  # seconds a process has between SIGTERM and SIGKILL
INTERFACE_NAME_MAX = 15

# Addresses are usable at once, and survive the link going down, as on a router.
IPV6_DEFAULTS = {
    "accept_dad": "0",
    "accept_ra": "0",
    "dad_transmits": "0",
    "keep_addr_on_down": "1",
}

PERFECT = LinkQuality()

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class LabError(Exception):
    """A command of the lab failed or took too long; the message has its output."""


def isolated() -> bool:
    """Whether this process runs inside `testnet/isolated`."""
    return os.environ.get("ROVY_ISOLATED") == "1"


class Lab:
    """The hosts and links of one network; a context manager that removes them all."""

    def __init__(self, log_directory: Path | None = None, seed: int = 0) -> None:
        self._hosts: dict[str, Host] = {}
        self._temporary = contextlib.ExitStack()
        self._log_directory = log_directory
        self._seed = seed  # of the emulated links' chances
        self._emulation: Emulation | None = None
        self._networks = itertools.count()

    def __enter__(self) -> Self:
        if not isolated():
            raise LabError("a lab needs isolation: run this under testnet/isolated")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def log_directory(self) -> Path:
        """Where logs without a path of their own go; a temporary one lasts as long as the lab."""
        if self._log_directory is None:
            self._log_directory = Path(
                self._temporary.enter_context(tempfile.TemporaryDirectory(prefix="rovy-lab-"))
            )
        return self._log_directory

    def host(self, name: str) -> "Host":
        """Add a host: a network namespace with its loopback up."""
        if name in self._hosts:
            raise LabError(f"there is a host {name} already")
        _command(["ip", "netns", "add", name])
        host = self._hosts[name] = Host(self, name)
        host.run(["ip", "link", "set", "lo", "up"])
        for key, value in IPV6_DEFAULTS.items():
            host.sysctl(f"net.ipv6.conf.default.{key}", value)
        return host

    def link(
        self,
        a: "Host",
        b: "Host",
        net: str | None = None,
        v6: str | None = None,
        mtu: int = 1500,
    ) -> "Link":
        """Join two hosts by a veth pair; `a` gets the first address of each network."""
        link = veth(a, b, mtu)
        link.add_addresses(net, v6)
        return link

    def emulated(
        self,
        a: "Host",
        b: "Host",
        net: str | None = None,
        v6: str | None = None,
        quality: LinkQuality = PERFECT,
        mtu: int = 1500,
    ) -> "EmulatedLink":
        """Join two hosts by a link with delay, loss and the like; addresses as for `link`.

        `LabError` where /dev/net/tun cannot be opened. `mtu` is that of the interfaces.
        """
        from testnet.emulated import emulate

        link = emulate(self.emulation, a, b, quality, mtu, self._seed)
        link.add_addresses(net, v6)
        return link

    def free_networks(self) -> tuple[str, str]:
        """A /30 and a /64 for a link, each time others: of 10.128.0.0/9 and fd00:1312::/32."""
        number = next(self._networks)
        v4 = ipaddress.IPv4Address("10.128.0.0") + 4 * number
        return f"{v4}/30", f"fd00:1312:0:{number:x}::/64"

    @property
    def emulation(self) -> "Emulation":
        """The process behind the emulated links; started when first asked for."""
        from testnet.emulated import Emulation

        if self._emulation is None:
            self._emulation = Emulation(self.log_directory / "emulator.log")
        return self._emulation

    def nat(
        self,
        router: "Host",
        inside_if: str,
        outside_if: str,
        *,
        kind: "Kind" = "port-restricted",
        udp_timeout: float = 30.0,
    ) -> "Nat":
        """Hide what is behind one interface of a router, IPv4 only; needs nft(8)."""
        from testnet.nat import Nat

        return Nat(router, inside_if, outside_if, kind, udp_timeout)

    def bridge(
        self,
        name: str,
        *hosts: "Host",
        net: str | None = None,
        v6: str | None = None,
        mtu: int = 1500,
    ) -> "Bridge":
        """Join hosts by a switch; they get the first, second, third … address of each network."""
        switch = self.host(name)
        switch.run(["ip", "link", "add", "switch", "mtu", str(mtu), "type", "bridge"])
        switch.run(["ip", "link", "set", "switch", "up"])
        bridge = Bridge(switch, _networks(net, v6), mtu)
        for host in hosts:
            bridge.attach(host)
        return bridge

    def close(self) -> None:
        """End every process of the lab and delete its namespaces.

        `LabError`, once that is done, when the link emulator had died before.
        """
        hosts = list(self._hosts.values())
        stop([process for host in hosts for process in host.processes])
        for host in hosts:
            host.kill_strays()
        self._hosts.clear()
        emulation, self._emulation = self._emulation, None
        try:
            if emulation:
                emulation.close()
        finally:
            for host in hosts:
                _command(["ip", "netns", "delete", host.name], check=False)
            self._temporary.close()


class Host:
    """One host of a lab: a network namespace and the processes started in it."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.processes: list[subprocess.Popen[bytes]] = []
        self._interfaces: set[str] = {"lo"}

    def __repr__(self) -> str:
        return f"<Host {self.name}>"

    @property
    def namespace(self) -> Path:
        """The file that stands for this host's network namespace."""
        return Path("/run/netns") / self.name

    def run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        timeout: float = COMMAND_TIMEOUT,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command here to its end; its output is captured."""
        return _command(self._here(command), check=check, timeout=timeout, env=env, stdin=stdin)

    def spawn(
        self,
        command: Sequence[str],
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command here that runs on; the lab ends it. `env` adds to the environment."""
        path = log or self.lab.log_directory / f"{self.name}-{len(self.processes)}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as output:
            process = subprocess.Popen(
                self._here(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(env),
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def add_address(self, interface: str, address: str) -> None:
        """Give an interface an address with its prefix length, usable at once."""
        nodad = ["nodad"] if ":" in address else []
        self.run(["ip", "address", "add", address, "dev", interface, *nodad])

    def del_address(self, interface: str, address: str) -> None:
        """Take an address from an interface."""
        self.run(["ip", "address", "delete", address, "dev", interface])

    def route(self, destination: str, *, via: str | None = None, dev: str | None = None) -> None:
        """Set the route to a destination, `default` among them."""
        family = "-6" if ":" in f"{destination}{via}" else "-4"
        hop = [*(["via", via] if via else []), *(["dev", dev] if dev else [])]
        self.run(["ip", family, "route", "replace", destination, *hop])

    def del_route(self, destination: str) -> None:
        """Remove the route to a destination."""
        self.run(["ip", "-6" if ":" in destination else "-4", "route", "delete", destination])

    def forward(self) -> None:
        """Make this host an IP router."""
        self.sysctl("net.ipv4.ip_forward", "1")
        self.sysctl("net.ipv6.conf.all.forwarding", "1")

    def sysctl(self, key: str, value: str) -> None:
        """Set a kernel parameter of this namespace."""
        path = "/proc/sys/" + key.replace(".", "/")
        self.run(["sh", "-c", 'printf %s "$2" >"$1"', "sysctl", path, value])

    def free_interface(self, peer: str) -> str:
        """A name not yet taken here for an interface that leads to `peer`."""
        for number in range(1, 1000):
            suffix = f"-{number}" if number > 1 else ""
            name = f"to-{peer}"[: INTERFACE_NAME_MAX - len(suffix)] + suffix
            if name not in self._interfaces:
                self._interfaces.add(name)
                return name
        raise LabError(f"{self.name} has too many links to {peer}")

    def kill_strays(self) -> None:
        """End what a stopped process has left running in this namespace."""
        for pid in _command(["ip", "netns", "pids", self.name], check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def _here(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", f"--net={self.namespace}", "--", *command]


Ends = tuple[tuple[Host, str], tuple[Host, str]]


@dataclass(frozen=True, slots=True)
class Link:
    """A veth pair: its two ends as (host, interface)."""

    ends: Ends

    def down(self) -> None:
        """Cut the link: neither end has a carrier. Addresses stay, other routes over it go."""
        for host, interface in self.ends:
            host.run(["ip", "link", "set", interface, "down"])

    def up(self) -> None:
        """Mend the link."""
        for host, interface in self.ends:
            host.run(["ip", "link", "set", interface, "up"])

    def set_mtu(self, mtu: int) -> None:
        """Change the MTU of both ends."""
        for host, interface in self.ends:
            host.run(["ip", "link", "set", interface, "mtu", str(mtu)])

    def add_addresses(self, *networks: str | None) -> None:
        """Give the first end the first address of each network, the second end the second."""
        for network in _networks(*networks):
            for number, (host, interface) in enumerate(self.ends, start=1):
                host.add_address(interface, _address(network, number))

    def interface(self, host: Host) -> str:
        """The name of this link's interface on a host."""
        for end, interface in self.ends:
            if end is host:
                return interface
        raise LabError(f"{host.name} is not on this link")


@dataclass(slots=True)
class Bridge:
    """A switch, in a namespace of its own, and the links of the hosts attached to it."""

    switch: Host
    networks: list[Network]
    mtu: int
    links: list[Link] = field(default_factory=list)
    _attached: int = 0

    def attach(self, host: Host) -> Link:
        """Plug a host in; it gets the next address of each network."""
        link = veth(host, self.switch, self.mtu)
        port = link.interface(self.switch)
        self.switch.run(["ip", "link", "set", port, "master", "switch"])
        self._attached += 1
        for network in self.networks:
            host.add_address(link.interface(host), _address(network, self._attached))
        self.links.append(link)
        return link

    def link(self, host: Host) -> Link:
        """The link of an attached host, the latest where there are several."""
        for link in reversed(self.links):
            if link.ends[0][0] is host:
                return link
        raise LabError(f"{host.name} is not attached to {self.switch.name}")


def veth(a: Host, b: Host, mtu: int) -> Link:
    """Join two hosts by a pair of interfaces without addresses, both up."""
    ends = new_ends(a, b)
    peer = ["netns", b.name, "name", ends[1][1], "mtu", str(mtu)]
    own = ["name", ends[0][1], "netns", a.name, "mtu", str(mtu)]
    _command(["ip", "link", "add", *own, "type", "veth", "peer", *peer])
    link = Link(ends)
    link.up()
    return link


def new_ends(a: Host, b: Host) -> Ends:
    """Names for the two interfaces of a link to be made."""
    if a is b:
        raise LabError("a link needs two hosts")
    return (a, a.free_interface(b.name)), (b, b.free_interface(a.name))


def stop(processes: Sequence[subprocess.Popen[bytes]], timeout: float = STOP_TIMEOUT) -> None:
    """End processes together: SIGTERM, and SIGKILL for those that do not go in time."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + timeout
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT)


def wait_until(
    condition: Callable[[], bool], timeout: float = COMMAND_TIMEOUT, interval: float = 0.02
) -> None:
    """Wait for a condition that only asking can tell; `LabError` when it takes too long."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"nothing after {timeout:g} s of waiting")
        time.sleep(interval)


def _command(
    command: Sequence[str],
    *,
    check: bool = True,
    timeout: float = COMMAND_TIMEOUT,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            command,
            check=False,
            timeout=timeout,
            env=_environment(env),
            input=stdin or "",
            capture_output=True,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as late:
        raise LabError(f"{' '.join(command)}: no end after {timeout:g} s") from late
    except FileNotFoundError as missing:
        raise LabError(f"{command[0]} is missing; make deps") from missing
    if check and done.returncode != 0:
        output = (done.stdout + done.stderr).strip()
        raise LabError(f"{' '.join(command)}: exit status {done.returncode}\n{output}")
    return done


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return {**os.environ, "PATH": path, **(extra or {})}


def _networks(*texts: str | None) -> list[Network]:
    return [ipaddress.ip_network(text) for text in texts if text]


def _address(network: Network, number: int) -> str:
    if number >= network.num_addresses:
        raise LabError(f"{network} has no address left")
    return f"{network[number]}/{network.prefixlen}"
