"""Attackers inside the network: what holds, in numbers. docs/security.md §Measured

Each row starts an honest network, lets some of its nodes turn, and asks what is left of it.
"""

from collections.abc import Callable, Iterable
from heapq import nsmallest

import networkx as nx  # type: ignore[import-untyped]

from rovy.node import NodeConfig
from rovy.wire.beacon import Asked, Offered
from rovy.wire.flood import Listing, Summary, Wanted
from testnet.sim import graphs, observe
from testnet.sim.graphs import Graph
from testnet.sim.hostile import CostLiar, Flooder, Hostile, LyingDht, Swallow, Tamperer
from testnet.sim.keys import key
from testnet.sim.lookups import look_up
from testnet.sim.measure import Measure, Row, Scale, mean, share
from testnet.sim.warming import warmed
from testnet.sim.world import Pair, World

NODES, SMALL = 150, 40
MAP = 32
"""Nodes in a map: a fifth of all."""
PAIRS = 300
PATIENCE = (1.0, 5.0, 30.0)
"""Seconds within which a pair has to find a way that works."""
SYBILS = 24
POOL = 4096
"""Keys that an attacker draws from to be near a name."""
RATE = 200.0
"""Messages a second that a flooder sends each of its neighbours."""


def _world(scale: Scale, graph: Graph | None = None) -> World:
    config = NodeConfig(map_size=16 if scale.small else MAP)
    graph = graph or graphs.clustered(scale.size(NODES, SMALL), scale.seed)
    return World(graph, scale.seed, config=lambda number: config)


def _turn(world: World, part: float, make: Callable[[int], Hostile]) -> set[int]:
    """Have a part of the nodes behave otherwise; who they are."""
    count = max(1, round(part * len(world.nodes)))
    turned = set(world.random.sample(sorted(world.nodes), count))
    for number in turned:
        make(number).install()
    return turned


def _clean(world: World, pairs: Iterable[Pair], turned: set[int]) -> list[Pair]:
    """Pairs of honest nodes that have a way around all that turned."""
    honest = world.graph.subgraph(set(world.nodes) - turned)
    return [p for p in pairs if set(p) <= set(honest) and nx.has_path(honest, *p)]


def _drop(part: float) -> Row:
    async def run(scale: Scale) -> list[Measure]:
        """Routers that take part in everything and pass nothing on, traces included."""
        async with _world(scale) as world:
            await warmed(world)
            turned = _turn(world, part, lambda number: Swallow(world, number))
            pairs = _clean(world, world.pairs(scale.of(PAIRS, 60), 2), turned)
            took = list((await world.answers(pairs, PATIENCE[-1], 2.0)).values())
        name, detail = f"{100 * part:g} % drop transit", f"{len(pairs)} pairs with a clean way"
        shares = [100 * sum(t is not None and t <= s for t in took) / len(took) for s in PATIENCE]
        goal = 90.0 if part <= 0.05 else None
        bounds = (None, None, goal)
        return [
            Measure(f"{name}, answer within {seconds:g} s", each, "%", bound, False, detail)
            for seconds, each, bound in zip(PATIENCE, shares, bounds, strict=True)
        ]

    return Row(f"attack.drop{100 * part:g}", "routers that drop transit", run, small=part == 0.05)


async def _lie(scale: Scale) -> list[Measure]:
    """One node in twenty says that all its links cost nothing."""
    async with _world(scale) as world:
        await warmed(world)
        pairs = world.pairs(scale.of(PAIRS, 60), 2)
        before = await _stretches(world, pairs)
        ways = {pair: set(observe.active_way(world, pair) or ()) for pair in pairs}
        turned = _turn(world, 0.05, lambda number: CostLiar(world, number))
        await world.sleep(30.0)
        honest = [pair for pair in pairs if not set(pair) & turned]
        after = await _stretches(world, honest)
        through = [p for p in honest if set(observe.active_way(world, p) or ()) & turned]
        through_before = [p for p in honest if ways[p] & turned]
    return [
        Measure(
            "5 % lie about cost, stretch", mean(after), "×", None, detail="after the handshake"
        ),
        Measure("stretch before they lied", mean(before), "×"),
        Measure("ways that lead through liars", 100 * len(through) / len(honest), "%"),
        Measure("the same before they lied", 100 * len(through_before) / len(honest), "%"),
    ]


async def _stretches(world: World, pairs: list[Pair]) -> list[float]:
    for _ in range(4):
        await world.ping(pairs)
        await world.sleep(2.0)
    ways = (observe.stretch(world, observe.active_way(world, pair)) for pair in pairs)
    return [each for each in ways if each is not None]


async def _tamper(scale: Scale) -> list[Measure]:
    """One node in ten sends on what it heard: altered by one bit, or unaltered and late."""
    async with _world(scale) as world:
        await warmed(world)
        altered = _turn(world, 0.05, lambda number: Tamperer(world, number, alter=True))
        _turn(world, 0.05, lambda number: Tamperer(world, number, alter=False, delay=30.0))
        pairs = world.pairs(scale.of(PAIRS, 60), 2)
        await world.sleep(60.0)
        answered = share(list((await world.ping(pairs)).values()))
        strange = sum(
            short not in {key(number).peer_id.short for number in world.graph}
            for number in world.nodes
            for short in world.services(number).mapper.map.held
        )
        faults = len(world.faults)
    detail = f"{len(altered)} nodes alter, as many replay"
    return [
        Measure("forged and replayed, pairs answer", answered, "%", 99.0, False, detail),
        Measure("records of nodes that do not exist", float(strange), "", 0.0),
        Measure("exceptions", float(faults), "", 0.0),
    ]


async def _flood(scale: Scale) -> list[Measure]:
    """A node sends its neighbours 200 messages a second, one kind after the other."""
    kinds: dict[str, Callable[[World], bytes]] = {
        "random bytes, closes among them": lambda world: world.random.randbytes(200),
        "summaries": lambda world: Summary(1, 1, world.random.randbytes(16)).emit(),
        "listings": lambda world: Listing(((world.random.randbytes(8), 1),) * 100).emit(),
        "wishes": lambda world: Wanted(tuple(_shorts(world))).emit(),
        "offers": lambda world: Offered(((world.random.randbytes(8), bytes(8)),) * 32).emit(),
        "questions": lambda world: Asked(tuple(_shorts(world))[:32]).emit(),
    }
    measures = []
    async with _world(scale) as world:
        await warmed(world)
        number = max(world.graph, key=world.graph.degree)
        near = next(iter(world.graph[number]))
        pairs = [pair for pair in world.pairs(60, 2) if number not in pair]
        for kind, make in kinds.items():
            before, since = world.traffic()[near], world.now()
            flooder = Flooder(world, number, lambda make=make: make(world), RATE)  # type: ignore[misc]
            flooder.install()
            await world.sleep(10.0)
            answered = share(list((await world.ping(pairs)).values()))
            flooder.remove()
            sent = (world.traffic()[near] - before) / (world.now() - since)
            detail = f"a neighbour sends {sent:.0f} B/s meanwhile"
            measures.append(Measure(f"flood of {kind}", answered, "%", 99.0, False, detail))
            await world.sleep(5.0)
        measures.append(Measure("exceptions", float(len(world.faults)), "", 0.0))
    return measures


def _shorts(world: World) -> Iterable[bytes]:
    return (key(number).peer_id.short for number in sorted(world.graph))


async def _eclipse(scale: Scale) -> list[Measure]:
    """Nodes whose keys were drawn to be the nearest to a name, all behind one honest node."""
    n = scale.size(NODES, SMALL)
    target = n // 2
    there = int.from_bytes(key(target).peer_id.node_id, "big")

    def distance(number: int) -> int:
        return int.from_bytes(key(number).peer_id.node_id, "big") ^ there

    measures = []
    for count in (SYBILS // 6, SYBILS):
        sybils = nsmallest(count, range(n, POOL), key=distance)
        graph = graphs.clustered(n, scale.seed)
        graph.add_edges_from(((0, sybil) for sybil in sybils), latency=0.001)
        async with _world(scale, graph) as world:
            await world.start_all()
            place = world.peer(target).node_id
            for sybil in sybils:
                LyingDht(world, sybil, place, sybils).install()
            await warmed(world)
            asking = [p for p in world.nodes if p not in (target, *sybils)]
            found = (await look_up(world, [(number, target) for number in asking])).values()
        right = sum(each is not None and each.right for each in found)
        wrong = sum(each is not None and not each.right for each in found)
        name = f"{count} nearest are one attacker's"
        measures += [
            Measure(f"{name}, right", 100 * right / len(asking), "%"),
            Measure(f"{name}, wrong", float(wrong), "", 0.0),
        ]
    return measures


async def _captured(scale: Scale) -> list[Measure]:
    """All anchors but two drop what they should pass on."""
    async with _world(scale) as world:
        await warmed(world)
        anchors = {n for n in world.nodes if world.services(n).beyond.anchoring.anchors.is_anchor}
        turned = set(sorted(anchors)[2:])
        for number in turned:
            Swallow(world, number).install()
        pairs = _clean(world, world.pairs(scale.of(PAIRS, 60), 2), turned)
        took = list((await world.answers(pairs, PATIENCE[-1], 2.0)).values())
    detail = f"{len(turned)} of {len(anchors)} anchors, {len(pairs)} pairs with a clean way"
    return [
        Measure("most anchors captured, answer within 30 s", share(took), "%", None, detail=detail)
    ]


ROWS = (
    *map(_drop, (0.01, 0.05, 0.2)),
    Row("attack.cost", "liars about cost", _lie, small=False),
    Row("attack.forge", "forged and replayed records and beacons", _tamper),
    Row("attack.flood", "floods of each kind of message", _flood, small=False),
    Row("attack.eclipse", "a crowd near a name", _eclipse, small=False),
    Row("attack.anchors", "captured anchors", _captured, small=False),
)
