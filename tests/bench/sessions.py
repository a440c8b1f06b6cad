"""Memory of a session at rest: established by a real handshake, then left alone.

The responder is a process of its own, so that nothing else is counted. Each run is a batch of
sessions more; one process counts what Python allocates, another what the system gives it.
"""

import asyncio
import gc
import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Self

from rovy.address.keys import PrivateKey
from rovy.address.path import Direct
from rovy.node.config import NodeConfig
from rovy.node.engine import Engine, Hooks
from tests.bench.children import Child, cores
from tests.bench.keys import private_keys
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rig import UNLIMITED, MemoryUnderlay, direct, stranger

Mail = list[tuple[int, bytes]]
"""(number of the initiator, datagram)"""


def _engine(private: PrivateKey) -> Engine:
    return Engine(
        private,
        NodeConfig(limits=UNLIMITED),
        MemoryUnderlay(),
        Hooks(),
        wall=time.time,
        random=os.urandom,
        early=lambda peer, codec, body: None,
        accept=lambda peer: True,
    )


def _deliver(engine: Engine, datagram: bytes, source: Direct) -> None:
    engine.receive(bytearray(datagram), len(datagram), len(datagram), source)


def _taken(engine: Engine) -> list[tuple[Direct, bytes]]:
    underlay = engine.underlay
    assert isinstance(underlay, MemoryUnderlay)
    sent, underlay.sent = underlay.sent, []
    return sent


class Responder:
    """Engine, sessions and data plane, without sockets."""

    def __init__(self, secret: bytes, traced: bool) -> None:
        self._private, self._traced = PrivateKey(secret), traced
        self._paths: dict[Direct, int] = {}

    async def __aenter__(self) -> Self:
        self._engine = _engine(self._private)
        if self._traced:
            tracemalloc.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._engine.close()

    def receive(self, mail: Mail) -> Mail:
        """Take datagrams, give the answers."""
        for number, datagram in mail:
            path = stranger(number)
            self._paths[path] = number
            _deliver(self._engine, datagram, path)
        return [(self._paths[path], datagram) for path, datagram in _taken(self._engine)]

    def memory(self) -> tuple[int, int]:
        """(sessions that can send, bytes in use)."""
        self._paths.clear()
        gc.collect()
        able = sum(session.sending for session in self._engine.sessions)
        if self._traced:
            return able, tracemalloc.get_traced_memory()[0]
        with open("/proc/self/statm") as file:
            return able, int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _establish(child: Child, responder: PrivateKey, initiators: dict[int, PrivateKey]) -> None:
    """Open a session from each initiator; the initiators are forgotten afterwards."""
    engines = {number: _engine(private) for number, private in initiators.items()}
    for engine in engines.values():
        session = engine.sessions.connect(responder.peer_id, [direct(1)], engine.now())
        assert session.opening
        engine.pump()
    while mail := _collect(engines):
        for number, datagram in child.ask("receive", mail):
            _deliver(engines[number], datagram, direct(1))
    for engine in engines.values():
        engine.close()


def _collect(engines: dict[int, Engine]) -> Mail:
    return [
        (number, datagram) for number, engine in engines.items() for _, datagram in _taken(engine)
    ]


@benchmark("session.bytes", "session.bytes.rss")
def memory(scale: Scale) -> Iterator[Result]:
    """Bytes a session, in batches of 400."""
    responder, *initiators = private_keys(1 + 6 * scale.of(400, 100))
    python, system = asyncio.run(_measure(responder, initiators, scale.of(400, 100)))
    yield Result.of("session.bytes", "bytes", python)
    yield Result.of("session.bytes.rss", "bytes", system, "Python's part", python)


async def _measure(
    responder: PrivateKey, initiators: list[PrivateKey], batch: int
) -> list[list[float]]:
    sizes: list[list[float]] = [[], []]
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(Responder, responder.secret, traced, core=cores()[0]))
            for traced in (True, False)
        ]
        for first in range(0, len(initiators), batch):
            part = {n: initiators[n] for n in range(first, first + batch)}
            for child, found in zip(children, sizes, strict=True):
                before = child.ask("memory")[1]
                _establish(child, responder, part)
                able, after = child.ask("memory")
                assert able == first + batch, able
                found += [(after - before) / batch] if first else []
    return sizes
