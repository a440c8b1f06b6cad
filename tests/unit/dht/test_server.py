"""What a node answers, and what it keeps."""

from rovy.dht.const import LOCATOR, NAME, ROOM, ROOM_EARLY, K
from rovy.dht.record import SignedRecord
from rovy.routing.locator import Locator
from rovy.wire.dht import (
    FAR,
    NODES,
    OLD,
    PREFIX,
    REFUSED,
    STORED,
    VALUES,
    WHOLE,
    Find,
    Ping,
    Store,
    parse_found,
)
from tests.sim.support import virtual
from tests.unit.dht.network import keys, network


def ask(member, request, early=False, asker=None):
    return member.dht.answer(asker or keys(300)[-1].peer_id, request.emit(), early)


def find(member, target, want=NODES, most=4096, bits=WHOLE, **said):
    answer = ask(member, Find(target, bits, want, most), **said)
    return None if answer is None else parse_found(answer)


def who(named):
    return named.key or Locator.parse(named.locator).key.key


@virtual
async def test_ping_tells_a_newer_locator_only():
    async with network(3) as (_net, members):
        own = members[0].locator()
        members[0].dht._edition.own(
            members[0].dht._reader.read(LOCATOR, own.raw, members[0].wall())
        )
        assert ask(members[0], Ping(0)) == own.raw
        assert ask(members[0], Ping(own.sequence - 1)) == own.raw
        assert ask(members[0], Ping(own.sequence)) == b""
        assert ask(members[0], Ping(0), early=True) == own.raw


@virtual
async def test_find_names_the_nearest_known():
    async with network(100) as (net, members):
        target = net.random.randbytes(20)
        number = int.from_bytes(target, "big")
        found = find(members[0], target)
        known = members[0].dht._known.trusted(number, K)
        assert [who(named) for named in found.contacts] == [c.peer.key for c in known]


@virtual
async def test_the_asker_is_not_named_to_itself():
    async with network(20) as (_net, members):
        asker = next(iter(members[0].dht._table)).peer
        found = find(members[0], asker.node_id, asker=asker)
        assert asker.key not in map(who, found.contacts)


@virtual
async def test_answers_fit():
    async with network(60) as (net, members):
        for early in (False, True):
            for most in (0, 1, 50, 100, 300, 700, 1100, 4096, 65535):
                find_it = Find(net.random.randbytes(20), WHOLE, NODES, most)
                answer = ask(members[0], find_it, early)
                assert len(answer) <= max(1, min(most, ROOM_EARLY if early else ROOM))


@virtual
async def test_all_are_named_briefly_where_there_is_little_room():
    async with network(60) as (net, members):
        found = find(members[0], net.random.randbytes(20), early=True)
        assert len(found.contacts) == K
        whole = [bool(named.locator) for named in found.contacts]
        assert whole == sorted(whole, reverse=True)
        assert whole[0]
        assert not whole[-1]


@virtual
async def test_who_cannot_be_named_is_left_out():
    async with network(60) as (net, members):
        members[0].label = lambda peer: None
        found = find(members[0], net.random.randbytes(20))
        assert len(found.contacts) > 0
        assert all(named.locator and not named.label for named in found.contacts)
        for contact in members[0].dht._table:
            contact.locator = None
        for bucket in members[0].dht._table.buckets:
            for contact in bucket.replacement_nodes.values():
                contact.locator = None
        assert find(members[0], net.random.randbytes(20)).contacts == ()


def record(member, body=b"body", age=0, name="name"):
    sequence = int(member.wall() * 1000) - age
    return SignedRecord.sign(member.private, NAME, sequence, 600, name, body, bytes(64))


@virtual
async def test_values_are_told_to_those_who_want_them():
    async with network(5) as (_net, members):
        said = record(members[1])
        assert ask(members[0], Store(NAME, said.raw)) == bytes((STORED,))
        assert find(members[0], said.place, VALUES).values == ((NAME, said.raw),)
        assert find(members[0], said.place, NODES).values == ()
        prefix = said.place[:15] + bytes(5)
        assert find(members[0], prefix, VALUES, bits=PREFIX).values == ((NAME, said.raw),)
        assert find(members[0], prefix, VALUES).values == ()


@virtual
async def test_a_long_value_waits_for_the_session():
    async with network(5) as (_net, members):
        said = record(members[1], bytes(1000))
        ask(members[0], Store(NAME, said.raw))
        assert find(members[0], said.place, VALUES, early=True) is None
        assert find(members[0], said.place, VALUES).values == ((NAME, said.raw),)
        assert find(members[0], said.place, VALUES, most=500).values == ()


@virtual
async def test_stores_are_never_early():
    async with network(5) as (_net, members):
        said = record(members[1])
        assert ask(members[0], Store(NAME, said.raw), early=True) is None
        assert find(members[0], said.place, VALUES).values == ()


@virtual
async def test_what_is_stored_is_judged():
    async with network(5) as (_net, members):

        def store(raw, kind=NAME):
            return ask(members[0], Store(kind, raw))[0]

        said = record(members[1])
        assert store(said.raw) == STORED
        assert store(said.raw) == STORED
        assert store(record(members[1], age=5).raw) == OLD
        assert store(record(members[1], age=700_000, name="late").raw) == REFUSED
        assert store(said.raw, kind=200) == REFUSED
        assert store(said.raw, kind=77) == REFUSED
        assert store(b"noise") == REFUSED
        assert store(record(members[0]).raw) == REFUSED
        changed = record(members[1], name="x").raw
        assert store(changed[:-1] + bytes((changed[-1] ^ 1,))) == REFUSED
        assert store(members[2].locator().raw, kind=LOCATOR) == STORED
        stats = members[0].dht.stats()
        assert stats.values == {LOCATOR: 4, NAME: 1}  # four locators of the settled network
        assert (stats.stores_served, stats.stores_refused) == (10, 7)


@virtual
async def test_what_belongs_elsewhere_is_not_kept():
    async with network(100) as (net, members):
        said = record(members[1])
        nearest = net.nearest(said.place, 100)
        far, near = net.members[nearest[-1]], net.members[nearest[0]]
        assert ask(far, Store(NAME, said.raw)) == bytes((FAR,))
        assert ask(near, Store(NAME, said.raw)) == bytes((STORED,))


@virtual
async def test_who_was_silent_is_not_named():
    async with network(60) as (_net, members):
        contact = next(iter(members[0].dht._table))
        assert contact.peer.key in map(who, find(members[0], contact.id).contacts)
        contact.misses = 2
        assert contact.peer.key not in map(who, find(members[0], contact.id).contacts)


@virtual
async def test_nodes_of_the_map_are_named():
    async with network(60, near=20) as (_net, members):
        mapped = members[0].nearby()[7]
        contact = members[0].dht._table.contact(mapped)
        if contact:
            members[0].dht._table.remove_contact(contact)
        assert mapped.key in map(who, find(members[0], mapped.node_id).contacts)
