"""Looking into nodes from outside: the routes they take, what they know, what they keep."""

import gc
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from rovy.address.keys import PeerID
from rovy.address.path import Path, Routed
from testnet.sim import oracle
from testnet.sim.world import Pair, World


class FirstPaths:
    """Notes by which path each session was opened first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.found: dict[Pair, Path] = {}
        for number in world.nodes:
            self._watch(number)

    def _watch(self, number: int) -> None:
        sessions = self._world.services(number).engine.sessions
        connect: Callable[..., Any] = sessions.connect

        def watched(peer: PeerID, paths: Sequence[Path], *rest: Any, **named: Any) -> Any:
            if paths:
                self.found.setdefault((number, self._world.number(peer)), paths[0])
            return connect(peer, paths, *rest, **named)

        sessions.connect = watched  # type: ignore[method-assign]

    def way(self, pair: Pair) -> list[int] | None:
        """The nodes along it; None where nothing was sent, or where it led nowhere."""
        path = self.found.get(pair)
        return way(self._world, pair, path) if path else None


def way(world: World, pair: Pair, path: Path | None) -> list[int] | None:
    """The nodes that a path of the first node of a pair really leads along."""
    if path is None:
        return None
    found = world.follow(pair[0], path.label) if isinstance(path, Routed) else list(pair)
    return found if found and found[-1] == pair[1] else None


def active_way(world: World, pair: Pair) -> list[int] | None:
    """The nodes along the path that carries a session's data."""
    session = world.services(pair[0]).engine.sessions.with_peer(world.peer(pair[1]))
    return way(world, pair, session.path if session else None)


def acquainted(world: World, pair: Pair) -> bool:
    """Whether one of a pair has a session with the other."""
    (a, b), peer = pair, world.peer
    sessions = [world.services(each).engine.sessions for each in pair]
    return bool(sessions[0].with_peer(peer(b)) or sessions[1].with_peer(peer(a)))


def stretch(world: World, nodes: list[int] | None) -> float | None:
    """Latency of a way over that of the best one; None for no way."""
    if nodes is None or not all(world.graph.has_edge(a, b) for a, b in pairwise(nodes)):
        return None
    best = oracle.latencies(world.alive(), nodes[0])[nodes[-1]]
    return oracle.latency(world.graph, nodes) / best


def map_share(world: World) -> float:
    """Mean part of the network that a node's map holds."""
    sizes = [node.map().nodes for node in world.nodes.values()]
    return sum(sizes) / len(sizes) / len(world.nodes)


_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType)


def memory(world: World, number: int) -> int:
    """Bytes of Python objects that are reachable from a node and not from the underlay.

    What several nodes of the process share is counted with each of them, as if it were alone.
    """
    services = world.services(number)
    loop = services.engine._loop  # noqa: SLF001
    seen = {id(each) for each in (loop, world, world.net, world.hosts[number], sys.modules)}
    seen |= {id(each) for each in world.nodes.values()}
    total, waiting = 0, [services]
    while waiting:
        each: Any = waiting.pop()
        if id(each) in seen or isinstance(each, _SHARED):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        waiting.extend(gc.get_referents(each))
    return total
