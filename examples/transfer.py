"""Send a file to another node over a relay, with the library alone.

    python examples/transfer.py receive --relay /ip4/192.0.2.1/udp/1312/rovy/bafz…
    python examples/transfer.py send FILE --relay … --slot 2 --to bafz…

Both programs are nodes of their own and keep a peering with the relay. The sender reaches the
receiver by a route label of two entries: its own slot for the relay, which it knows, and the
relay's slot for the receiver, which `rovyctl peers` shows there.
"""

import argparse
import asyncio
import hashlib
import os
import sys
import time
from pathlib import Path

import uvloop

from rovy import Endpoint, Label, Node, NodeConfig, PeerID, PrivateKey
from rovy.address import RoutedAddr

CHUNK = 12_000
WINDOW = 16
CODEC = "example/chunk"


async def receive(relay: str) -> None:
    """Collect one file and print its length and SHA-256."""
    chunks: dict[int, bytes] = {}
    whole = asyncio.Event()
    node = Node(PrivateKey.generate(os.urandom), _config())

    @node.answer(CODEC)
    def take(sender: PeerID, body: bytes) -> bytes:
        number, count = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
        chunks[number] = body[8:]
        if len(chunks) == count:
            whole.set()
        return b"ok"

    async with node:
        node.keep(relay)
        print(f"receiver {node.peer_id}", flush=True)
        await asyncio.wait_for(whole.wait(), 60)
        data = b"".join(chunks[number] for number in sorted(chunks))
        print(f"received {len(data)} {hashlib.sha256(data).hexdigest()}", flush=True)
        await asyncio.sleep(0.5)  # the last answer may have to be repeated


async def send(data: bytes, relay: str, slot: int, receiver: PeerID) -> None:
    """Send chunks, 16 under way at a time, each repeated until it is answered."""
    parts = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    async with Node(PrivateKey.generate(os.urandom), _config()) as node:
        own = await _own_slot(node, node.keep(relay))
        label = Label.of(own, slot)
        await node.connect(RoutedAddr(label, receiver))
        began, window = time.monotonic(), asyncio.Semaphore(WINDOW)

        async def one(number: int, part: bytes) -> None:
            head = number.to_bytes(4, "big") + len(parts).to_bytes(4, "big")
            async with window:
                await node.request(receiver, CODEC, head + part, timeout=30)

        await asyncio.gather(*(one(number, part) for number, part in enumerate(parts)))
        took = time.monotonic() - began
    digest = hashlib.sha256(data).hexdigest()
    print(f"sent {len(data)} {digest} over {label} in {took:.2f} s", flush=True)


async def _own_slot(node: Node, relay: PeerID) -> int:
    async with asyncio.timeout(20):
        while True:
            for session in node.sessions():
                if session.peer == relay and session.slot and session.their_slot:
                    return session.slot
            await asyncio.sleep(0.05)


def _config() -> NodeConfig:
    return NodeConfig(listen=(Endpoint("0.0.0.0", 4800),))


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("receive", "send"))
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--relay", required=True)
    parser.add_argument("--slot", type=int, help="the relay's slot for the receiver")
    parser.add_argument("--to", type=PeerID.parse, help="the receiver's peer id")
    args = parser.parse_args()
    if args.what == "receive":
        uvloop.run(receive(args.relay))
    elif not (args.file and args.slot and args.to):
        parser.error("send needs a file, --slot and --to")
    else:
        uvloop.run(send(args.file.read_bytes(), args.relay, args.slot, args.to))
    return 0


if __name__ == "__main__":
    sys.exit(main())
