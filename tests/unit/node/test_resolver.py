"""Resolving: whose word is taken, how many lookups there are, and what becomes of old ones."""

import asyncio
from collections import Counter

import pytest

from rovy.address.target import NodeAddress
from rovy.dht.values import Value
from rovy.errors import Unreachable
from rovy.io.virtual import run
from rovy.node.resolver import ADDRESSES, AT_ONCE, FAILED, REMEMBERED, WAITING, YOUNG, Resolver
from rovy.routing.atlas import Atlas
from rovy.routing.locator import Locator, LocatorLink
from tests.bench.keys import private_keys

OWN, TARGET, OTHER, *REST = private_keys(6)


def locator(private, sequence=1):
    link = LocatorLink(bytes(8), 1, 2, 40)
    return Locator.sign(private, sequence, 3600, 0, (), (link,), (), bytes(64))


class Clock:
    """An engine as far as this is concerned."""

    def __init__(self):
        self.counts = Counter()

    def now(self):
        return asyncio.get_running_loop().time()

    def wall(self):
        return self.now()


class Lookup:
    """Says what it is told to, a step later, and is closed once."""

    def __init__(self, dht, name):
        self.dht, self.name = dht, name

    async def __aenter__(self):
        self.dht.begun.append(self.name)
        self.dht.open += 1
        self.dht.most = max(self.dht.most, self.dht.open)
        return self

    async def __aexit__(self, *error):
        self.dht.open -= 1

    async def __aiter__(self):
        for said in self.dht.says:
            await asyncio.sleep(self.dht.slow)
            yield Value.of(said)
        await asyncio.sleep(self.dht.slow)


class Dht:
    """A network that knows what the test says, or nothing."""

    def __init__(self, says=(), slow=0.1):
        self.says, self.slow = says, slow
        self.begun, self.open, self.most = [], 0, 0

    def find_locator(self, target, bits, trace, *, local):
        assert len(target) * 8 == bits
        return Lookup(self, target)


class Nowhere:
    """A router without routes."""

    def best(self, peer):
        return None


def resolving(test):
    """Run a test of a resolver that is not young any more, under virtual time."""

    def wrapped():
        async def main():
            dht = Dht()
            atlas = Atlas(OWN.peer_id.short)
            known = {}
            resolver = Resolver(OWN.peer_id, Clock(), Nowhere(), atlas, dht, known.get)
            await asyncio.sleep(YOUNG)
            try:
                await test(resolver, dht, atlas)
            finally:
                await resolver.close()

        run(main())

    wrapped.__name__ = test.__name__
    return wrapped


def scanned(random):
    """An address that nobody has."""
    return b"\xfc" + random.to_bytes(15, "big")


@resolving
async def test_a_locator_of_somebody_else_is_no_answer(resolver, dht, atlas):
    dht.says = [locator(OTHER)]
    with pytest.raises(Unreachable):
        await resolver.learn(TARGET.peer_id, 5.0)
    with pytest.raises(Unreachable):
        await resolver.by_address(TARGET.peer_id.address, 5.0)
    assert atlas.locator(OTHER.peer_id.short) is None
    dht.says = [locator(OTHER), locator(TARGET)]
    await asyncio.sleep(FAILED)
    assert await resolver.by_address(TARGET.peer_id.address, 5.0) == TARGET.peer_id
    assert atlas.locator(TARGET.peer_id.short)


@resolving
async def test_all_bits_of_an_address_have_to_fit(resolver, dht, atlas):
    address = TARGET.peer_id.address
    changed = address[:-1] + bytes((address[-1] ^ 1,))
    dht.says = [locator(TARGET)]
    with pytest.raises(Unreachable):
        await resolver.by_address(changed, 5.0)


@resolving
async def test_a_newer_locator_is_looked_for_where_the_known_one_leads_nowhere(
    resolver, dht, atlas
):
    atlas.learn_locator(locator(TARGET, 5))
    dht.says = [locator(TARGET, 4), locator(TARGET, 5), locator(TARGET, 6), locator(TARGET, 7)]
    await resolver.learn(TARGET.peer_id, 5.0, again=True)
    assert atlas.locator(TARGET.peer_id.short).sequence == 6


@resolving
async def test_who_asks_for_the_same_meanwhile_waits_for_the_same_lookup(resolver, dht, atlas):
    dht.says = [locator(TARGET)]
    await asyncio.gather(*(resolver.learn(TARGET.peer_id, 5.0) for _ in range(20)))
    assert len(dht.begun) == 1


@resolving
async def test_failures_are_remembered_for_a_while(resolver, dht, atlas):
    for _ in range(3):
        with pytest.raises(Unreachable):
            await resolver.learn(TARGET.peer_id, 5.0)
    assert len(dht.begun) == 1
    await asyncio.sleep(FAILED)
    with pytest.raises(Unreachable):
        await resolver.learn(TARGET.peer_id, 5.0)
    assert len(dht.begun) == 2


@resolving
async def test_failures_remembered_are_bounded(resolver, dht, atlas):
    dht.slow = 0.0
    for number in range(REMEMBERED + 10):
        with pytest.raises(Unreachable):
            await resolver.by_address(scanned(number), 1.0)
    assert len(resolver._failed) == REMEMBERED


async def ask(resolver, address, timeout, *, program=True):
    try:
        await resolver.by_address(address, timeout, program=program)
    except Unreachable as error:
        return error.reason


@resolving
async def test_programs_start_few_lookups(resolver, dht, atlas):
    rate, burst = ADDRESSES
    tasks = []
    for number in range(1000):
        tasks.append(asyncio.create_task(ask(resolver, scanned(number), 5.0)))
        await asyncio.sleep(0.005)
    reasons = Counter(await asyncio.gather(*tasks))
    assert reasons["busy"] == resolver._engine.counts["too many unknown addresses"]
    assert burst <= 1000 - reasons["busy"] <= burst + 5.1 * rate


@pytest.mark.slow
@resolving
async def test_a_scan_of_a_slow_network_does_not_pile_up(resolver, dht, atlas):
    dht.slow = 60.0
    tasks = []
    for number in range(2000):
        tasks.append(asyncio.create_task(ask(resolver, scanned(number), 5.0)))
        await asyncio.sleep(0.1)
        assert len(resolver._under_way) <= WAITING
    # Nobody waits for those any more that have not begun: new ones come to their turn soon.
    assert dht.most == AT_ONCE
    dht.slow, dht.says = 0.1, [locator(TARGET)]
    await resolver.learn(TARGET.peer_id, 70.0)
    await asyncio.gather(*tasks)


@resolving
async def test_what_nobody_waits_for_and_has_not_begun_is_dropped(resolver, dht, atlas):
    dht.slow = 60.0
    first = [ask(resolver, scanned(number), 5.0, program=False) for number in range(AT_ONCE + 20)]
    assert set(await asyncio.gather(*first)) == {"no route"}
    await asyncio.sleep(0.0)
    assert len(resolver._under_way) == AT_ONCE
    assert len(dht.begun) == AT_ONCE


@resolving
async def test_what_somebody_waits_for_goes_on(resolver, dht, atlas):
    dht.slow, dht.says = 20.0, [locator(TARGET)]
    others = [ask(resolver, scanned(number), 50.0, program=False) for number in range(AT_ONCE)]
    held = asyncio.gather(*others)
    await asyncio.sleep(1.0)
    short = asyncio.create_task(ask(resolver, TARGET.peer_id.address, 5.0))
    long = asyncio.create_task(resolver.by_address(TARGET.peer_id.address, 100.0))
    assert await short == "no route"
    assert await long == TARGET.peer_id
    await held


@resolving
async def test_too_many_lookups_are_refused(resolver, dht, atlas):
    dht.slow = 60.0
    asked = [ask(resolver, scanned(number), 5.0, program=False) for number in range(WAITING + 9)]
    reasons = Counter(await asyncio.gather(*asked))
    assert reasons == {"no route": WAITING, "busy": 9}


def test_the_lookups_name_what_an_address_says():
    assert NodeAddress(TARGET.peer_id.address).id_prefix == TARGET.peer_id.node_id[:15]
