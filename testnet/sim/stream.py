"""Numbered payloads from one node to another, each sent back at once: what a fault costs."""

import asyncio
import contextlib
from typing import Self

from rovy.address.keys import PeerID
from rovy.errors import RovyError
from rovy.node import Node
from testnet.sim.world import World

FORTH, BACK = "sim/forth", "sim/back"


def send_back(number: int, node: Node) -> None:
    """Set a node up to take part in streams; hand it to a world as `set_up`."""

    @node.handle(FORTH)
    async def back(peer: PeerID, payload: bytes) -> None:
        await node.send(peer, BACK, payload, timeout=1.0)

    node.handle(BACK)(lambda peer, payload: None)


class Stream:
    """One, as long as it is entered."""

    def __init__(self, world: World, a: int, b: int, every: float = 0.01) -> None:
        self._world, self._every = world, every
        self._node, self._to = world.nodes[a], world.peer(b)
        self.sent: list[float] = []
        self.back: dict[int, float] = {}
        """When which number was back."""
        self._node.handle(BACK)(self._note)

    async def __aenter__(self) -> Self:
        await self._node.ping(self._to.path)
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)

    def outage(self, settle: float = 3.0) -> float:
        """Seconds from the first payload that did not come back to the last; 0: none was lost."""
        until = self._world.now() - settle
        lost = [at for n, at in enumerate(self.sent) if at < until and n not in self.back]
        return lost[-1] - lost[0] + self._every if lost else 0.0

    async def _send(self) -> None:
        while True:
            payload = len(self.sent).to_bytes(4, "big") + bytes(60)
            self.sent.append(self._world.now())
            with contextlib.suppress(RovyError):
                await self._node.send(self._to, FORTH, payload, timeout=1.0)
            await asyncio.sleep(self._every)

    def _note(self, peer: PeerID, payload: bytes) -> None:
        self.back[int.from_bytes(payload[:4], "big")] = self._world.now()
