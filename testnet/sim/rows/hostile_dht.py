"""One node in five, the nearest to a name among them, lies about that name."""

from testnet.sim import graphs, hostile
from testnet.sim.lookups import Found, look_up
from testnet.sim.measure import Measure, Row, Scale
from testnet.sim.warming import large, warmed
from testnet.sim.world import World


async def lie(scale: Scale) -> list[Measure]:
    """Liars name only each other and alter values; they do so from the start on."""
    n = scale.size(200, 50)
    found: list[Found | None] = []
    async with large(graphs.clustered(n, scale.seed), scale) as world:
        await world.start_all()
        targets = world.random.sample(range(n), scale.of(10, 3))
        liars = {target: _corrupt(world, target) for target in targets}
        await warmed(world)
        for target in targets:
            honest = [each for each in sorted(world.nodes) if each not in (target, *liars[target])]
            found += (await look_up(world, [(number, target) for number in honest])).values()
    right = sum(each is not None and each.right for each in found)
    wrong = sum(each is not None and not each.right for each in found)
    detail = f"{len(found)} lookups of {len(targets)} names"
    name = f"{n} nodes, 20 % liars"
    return [
        Measure(f"{name}, right answers", 100 * right / len(found), "%", 99.0, False, detail),
        Measure(f"{name}, wrong answers", float(wrong), "", 0.0),
    ]


def _corrupt(world: World, target: int) -> list[int]:
    """Install liars about a node's name; who they are."""
    place = world.peer(target).node_id
    liars = hostile.every_fifth(world, place, {target})
    for number in liars:
        hostile.LyingDht(world, number, place, liars).install()
    return liars


ROWS = (Row("hostile", "hostile DHT nodes near a name", lie),)
