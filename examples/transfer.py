"""Send a file to another node, with the library alone.

    python examples/transfer.py receive --peer /ip4/192.0.2.1/udp/1312/rovy/bafz…
    python examples/transfer.py send FILE --peer … --to bafz…

Both programs are nodes of their own. Each knows the address of one peer; the route between them
is found by the network.
"""

import argparse
import asyncio
import hashlib
import os
import sys
import time
from pathlib import Path

import uvloop

from rovy import Endpoint, Node, NodeConfig, PeerID, PrivateKey, RouteInfo, Unreachable

CHUNK = 12_000
WINDOW = 16
CODEC = "example/chunk"


async def receive(peer: str) -> None:
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
        node.keep(peer)
        print(f"receiver {node.peer_id}", flush=True)
        await asyncio.wait_for(whole.wait(), 60)
        data = b"".join(chunks[number] for number in sorted(chunks))
        print(f"received {len(data)} {hashlib.sha256(data).hexdigest()}", flush=True)
        await asyncio.sleep(0.5)  # the last answer may have to be repeated


async def send(data: bytes, peer: str, receiver: PeerID) -> None:
    """Send chunks, 16 under way at a time, each repeated until it is answered."""
    parts = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    async with Node(PrivateKey.generate(os.urandom), _config()) as node:
        node.keep(peer)
        route = await _route(node, receiver)
        began, window = time.monotonic(), asyncio.Semaphore(WINDOW)

        async def one(number: int, part: bytes) -> None:
            head = number.to_bytes(4, "big") + len(parts).to_bytes(4, "big")
            async with window:
                await node.request(receiver, CODEC, head + part, timeout=30)

        await asyncio.gather(*(one(number, part) for number, part in enumerate(parts)))
        took = time.monotonic() - began
    digest = hashlib.sha256(data).hexdigest()
    print(f"sent {len(data)} {digest} over {route.label} in {took:.2f} s", flush=True)


async def _route(node: Node, receiver: PeerID) -> RouteInfo:
    """The route in use, once our peer has told us of the network."""
    async with asyncio.timeout(20):
        while True:
            try:
                return (await node.resolve(receiver))[0]
            except Unreachable as reason:
                print(f"waiting: {reason}", file=sys.stderr)


def _config() -> NodeConfig:
    return NodeConfig(listen=(Endpoint("0.0.0.0", 4800),))


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("receive", "send"))
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--peer", required=True, help="address of a node to join at")
    parser.add_argument("--to", type=PeerID.parse, help="the receiver's peer id")
    args = parser.parse_args()
    if args.what == "receive":
        uvloop.run(receive(args.peer))
    elif not (args.file and args.to):
        parser.error("send needs a file and --to")
    else:
        uvloop.run(send(args.file.read_bytes(), args.peer, args.to))
    return 0


if __name__ == "__main__":
    sys.exit(main())
