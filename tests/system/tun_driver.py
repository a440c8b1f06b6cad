"""A program around one `TunInterface`, for tests to run on a host of a lab.

It prints what happens as lines of JSON, and its counters on SIGTERM. With `--tunnel` packets go
to the driver of another host, each in a UDP datagram.
"""

import argparse
import asyncio
import json
import logging
import signal
import socket
from ipaddress import IPv6Address
from pathlib import Path

import uvloop

from rovy.errors import UsageError
from rovy.io.rtnetlink import Netlink
from rovy.io.tun import MTU, NAME, TunInterface

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
PORT = 4242


def tell(**event):
    print(json.dumps(event), flush=True)


class Driver:
    """A sink that prints, or sends on."""

    def __init__(self, options):
        self.options = options
        self.interface = TunInterface(options.name, options.mtu, self.before_up)
        self.tunnel = None

    def before_up(self, name):
        """Refuse with the text of a file, while there is one."""
        refusal = Path(self.options.refusal) if self.options.refusal else None
        with Netlink() as netlink:
            tell(event="before_up", name=name, up=netlink.link(name).up)
        if refusal and refusal.exists():
            raise UsageError(refusal.read_text())

    def transmit(self, packets):
        for packet in packets:
            if self.tunnel:
                self.tunnel.send(packet)
            else:
                tell(event="packet", hex=packet.hex())

    def interface_changed(self, problem):
        interface = self.interface
        assert problem == interface.problem
        tell(event="changed", name=interface.name, problem=problem, mtu=interface.mtu)

    def receive(self):
        self.interface.write([self.tunnel.recv(65536)])

    async def run(self):
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, over.set)
        if self.options.tunnel:
            local, remote = self.options.tunnel
            self.tunnel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self.tunnel.bind((local, PORT))
            self.tunnel.connect((remote, PORT))
            loop.add_reader(self.tunnel.fileno(), self.receive)
        self.interface.open(IPv6Address(self.options.address).packed, self)
        await over.wait()
        self.interface.close()
        tell(event="counters", **self.interface.counters())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--loop", choices=sorted(LOOPS), default="uvloop")
    parser.add_argument("--name", default=NAME)
    parser.add_argument("--mtu", type=int, default=MTU)
    parser.add_argument("--refusal")
    parser.add_argument("--tunnel", nargs=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    with asyncio.Runner(loop_factory=LOOPS[options.loop]) as runner:
        runner.run(Driver(options).run())


if __name__ == "__main__":
    main()
