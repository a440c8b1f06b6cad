"""The daemon around a node, on a simulated network: peers kept, state written, reloads."""

import asyncio
import errno
import json
import logging
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rovy.address import PrivateKey
from rovy.api.control import Conflict, NotFound
from rovy.api.server import Server
from rovy.config.places import Places
from rovy.config.settings import Settings
from rovy.config.state import State, load_state
from rovy.config.values import read_peer
from rovy.daemon import saver
from rovy.daemon.daemon import Daemon, node_config
from rovy.daemon.stamps import AHEAD, HELLOS, StampBound
from rovy.errors import Malformed, UsageError
from rovy.io.sim import SimNet
from rovy.io.virtual import run
from rovy.node.node import Node

KEYS = [PrivateKey.generate(os.urandom) for _ in range(3)]
OWN, A, B = (key.peer_id for key in KEYS)
AT_A, AT_B = f"/ip4/192.0.2.2/udp/1312{A.path}", f"/ip4/192.0.2.3/udp/1312{B.path}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.default(Places(tmp_path, tmp_path / "rovy.toml", tmp_path, tmp_path / "sock"))


class World:
    """A daemon under test, and nodes it can peer with."""

    def __init__(self, settings: Settings) -> None:
        self.net = SimNet(seed=1)
        self.settings = self.fresh = settings

    @asynccontextmanager
    async def daemon(self, state: State | None = None):
        host = self.net.host("192.0.2.1")
        daemon = Daemon(
            self.settings, KEYS[0], state or State(), read=lambda: self.fresh, underlay=host
        )
        try:
            async with daemon.running():
                yield daemon
        finally:
            self.net.remove_address(host, "192.0.2.1")

    @asynccontextmanager
    async def others(self):
        hosts = self.net.host("192.0.2.2"), self.net.host("192.0.2.3")
        async with Node(KEYS[1], underlay=hosts[0]) as a, Node(KEYS[2], underlay=hosts[1]) as b:
            yield a, b


@pytest.fixture
def world(settings, monkeypatch):
    # Threads have no place in virtual time.
    async def at_once(call, *args):
        return call(*args)

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    return World(settings)


def test_added_peers_are_kept_over_a_restart(world):
    async def main():
        async with world.others():
            async with world.daemon() as daemon:
                kept, new = await daemon.add_peer(AT_A, "alpha")
                assert (kept.peer, kept.name, new) == (A, "alpha", True)
                await asyncio.sleep(2)
                slot = daemon.node.sessions()[0].slot
                assert slot
                saved, _ = load_state(world.settings.state_file)
                assert saved.slots[A].slot == slot
                assert saved.slots[A].freed_at is None
            state, _ = load_state(world.settings.state_file)
            assert [str(entry.address) for entry in state.peers] == [AT_A]
            async with world.daemon(state) as daemon:
                await asyncio.sleep(2)
                assert daemon.kept()[A].name == "alpha"
                assert daemon.kept()[A].origin == "added"
                assert daemon.node.sessions()[0].slot == slot

    run(main())


def test_sequences_go_on_over_a_restart(world):
    ahead = 1 << 45  # milliseconds: a clock that was wrong, and is right now

    async def main():
        async with world.others(), world.daemon(State(sequence=ahead)) as daemon:
            await daemon.add_peer(AT_A, "")
            await asyncio.sleep(10)
            used = daemon.node.sequence
            assert used > ahead
            assert load_state(world.settings.state_file)[0].sequence == used
        state, _ = load_state(world.settings.state_file)
        assert state.sequence >= used
        async with world.daemon(state) as daemon:
            assert daemon.node.sequence >= state.sequence

    run(main())


def test_what_the_dht_knows_is_written_seldom_and_at_the_end(world, monkeypatch):
    written = []
    save = saver.save_state

    def note(path, state):
        written.append(state)
        save(path, state)

    monkeypatch.setattr(saver, "save_state", note)

    async def main():
        async with world.daemon(State(dht={"from": "before"})) as daemon:
            numbers = iter(range(1_000_000))
            monkeypatch.setattr(daemon.node, "dht_state", lambda: {"look": next(numbers)})
            await asyncio.sleep(1000)
            seen = list(dict.fromkeys(str(state.dht) for state in written))
        return seen, written[-1].dht

    seen, last = run(main())
    assert seen == ["{'from': 'before'}", "{'look': 0}", "{'look': 1}", "{'look': 2}"]
    assert last == {"look": 3}
    assert load_state(world.settings.state_file)[0].dht == last


def test_own_records_are_kept_over_a_restart(world):
    async def main():
        async with world.daemon() as daemon:
            await daemon.node.dht_put("name", "home", b"attic", ttl=3600)
        state, _ = load_state(world.settings.state_file)
        async with world.daemon(state) as daemon:
            record = await daemon.node.dht_get("name", "home", OWN)
            assert (record.body, record.ttl) == (b"attic", 3600)

    run(main())


def test_settings_reach_the_node(settings):
    config = node_config(replace(settings, map_size=16, anchors=(A, B), publish_addresses=True))
    assert (config.map_size, config.anchors, config.publish_addresses) == (16, (A, B), True)
    default = node_config(settings)
    assert (default.map_size, default.anchors, default.publish_addresses) == (128, (), False)


def test_the_api_of_a_daemon_tells_of_the_dht(world):
    """The real node behind the API's handlers, in a network of three."""

    def request(**body):
        async def read():
            return json.dumps(body).encode()

        return SimpleNamespace(read=read, match_info={})

    async def main():
        async with world.others() as (a, _), world.daemon() as daemon:
            server, found = Server(daemon), {}

            async def ask(handler, **body):
                response = await getattr(server, handler)(request(**body))
                return json.loads(response.body)

            await daemon.add_peer(AT_A, "alpha")
            a.keep(AT_B)
            await asyncio.sleep(120)
            found["info"] = await ask("_info")
            found["dht"] = await ask("_dht")
            found["lookup"] = await ask("_lookup", target=str(B))
            found["id"] = await ask("_lookup", target="00" * 20)
            found["resolved"] = await ask("_resolve", target=str(B), dht=True)
            found["put"] = await ask("_put_record", kind="name", name="x", body="y", ttl=60)
            found["got"] = await ask("_get_record", kind="name", name="x")
            return found

    found = run(main())
    assert found["info"]["network_size"] == {"nodes": 3.0, "exact": True}
    assert found["dht"]["joined"]
    assert found["dht"]["contacts"] == 2
    assert found["lookup"]["locator"]["peer_id"] == str(B)
    assert A.short.hex() in {link["short"] for link in found["lookup"]["locator"]["links"]}
    assert {near["peer_id"] for near in found["id"]["nearest"]} == {str(A), str(B)}
    assert found["resolved"]["steps"]
    assert found["resolved"]["routes"][0]["peer_id"] == str(B)
    assert found["put"] == {"stored": 2, "asked": 2, "refused": {}}
    assert (found["got"]["body"], found["got"]["encoding"]) == ("y", "text")


def test_peers_are_found_by_name_short_id_and_address(world):
    async def main():
        async with world.daemon() as daemon:
            await daemon.add_peer(AT_A, "alpha")
            await daemon.add_peer(AT_B, "")
            for text in ("alpha", str(A), A.path, f"bafzqai…{str(A)[-6:]}", f"...{str(A)[-6:]}"):
                assert daemon.find(text) == A
            from rovy.address import address_text

            assert daemon.find(address_text(A.address)) == A
            assert daemon.find(AT_A).peer == A
            with pytest.raises(Malformed, match="2 peers have the id"):
                daemon.find("bafzqai…")
            for text in ("nobody", "bafzqai…zzzzzzzzz"):
                with pytest.raises(NotFound):
                    daemon.find(text)
            with pytest.raises(Malformed):
                daemon.find("/ip4/x")

    run(main())


def test_adding_twice_adds_addresses_and_renames(world):
    async def main():
        async with world.daemon() as daemon:
            await daemon.add_peer(AT_A, "alpha")
            other = f"/ip4/198.51.100.2/udp/1312{A.path}"
            kept, new = await daemon.add_peer(other, "")
            assert (len(kept.targets), kept.name, new) == (2, "alpha", False)
            kept, new = await daemon.add_peer(other, "beta")
            assert (len(kept.targets), kept.name, new) == (2, "beta", False)
            with pytest.raises(Conflict, match="another peer is named beta"):
                await daemon.add_peer(AT_B, "beta")
            with pytest.raises(UsageError, match="this node itself"):
                await daemon.add_peer(f"/ip4/192.0.2.1/udp/1312{OWN.path}", "")
            with pytest.raises(Malformed, match="add /rovy"):
                await daemon.add_peer("/ip4/192.0.2.1/udp/1312", "")

    run(main())


def test_removed_peers_are_gone_unless_configured(world):
    world.settings = replace(world.settings, peers=(read_peer(AT_B, "b"),))

    async def main():
        async with world.daemon() as daemon:
            await daemon.add_peer(AT_A, "a")
            assert await daemon.remove_peer("a") == (A, "")
            peer, note = await daemon.remove_peer(str(B))
            assert peer == B
            assert "comes back at the next start or reload" in note
            assert not daemon.kept()
            with pytest.raises(NotFound):
                await daemon.remove_peer("a")
        state, _ = load_state(world.settings.state_file)
        assert state.peers == ()

    run(main())


def test_reload_applies_peers_and_names_the_rest(world):
    first, second = read_peer(AT_A, "a"), read_peer(AT_B, "b")
    world.settings = replace(world.settings, peers=(first,))

    async def main():
        async with world.daemon() as daemon:
            await daemon.add_peer(AT_B, "")
            world.fresh = replace(world.settings, peers=(second,), port_tries=3)
            changes = await daemon.reload()
            assert changes.applied == ["peers"]
            assert changes.restart == ["port_tries"]
            assert set(daemon.kept()) == {B}
            assert daemon.kept()[B].name == "b"
            assert "port_tries" in daemon.problems()[0]
            world.fresh = replace(world.settings, peers=(second, first))
            assert (await daemon.reload()).restart == []
            assert set(daemon.kept()) == {A, B}
            assert not daemon.problems()

    run(main())


def test_reload_applies_who_may_be_a_peer(world):
    world.settings = replace(world.settings, peers=(read_peer(AT_B, "b"),))

    async def main():
        async with world.others() as (a, _), world.daemon() as daemon:
            a.keep(f"/ip4/192.0.2.1/udp/1312{OWN.path}")
            await asyncio.sleep(2)
            assert {session.peer for session in daemon.node.sessions()} == {A, B}
            world.fresh = replace(world.settings, deny=frozenset((B,)), accept_peers=False)
            changes = await daemon.reload()
            assert (changes.applied, changes.restart) == (["accept_peers", "deny"], [])
            await asyncio.sleep(60)
            assert [(s.peer, s.slot) for s in daemon.node.sessions()] == [(A, 0)]
            assert not daemon.kept()
            with pytest.raises(Conflict, match="denies that peer"):
                await daemon.add_peer(AT_B, "")
            world.fresh = replace(world.settings, allow=frozenset((A,)))
            await daemon.reload()
            await asyncio.sleep(10)  # b asks too, for its lookups, and goes first by its key
            assert {s.peer for s in daemon.node.sessions() if s.slot} >= {B}
            assert set(daemon.kept()) == {B}

    run(main())


def test_bad_configuration_changes_nothing(world, caplog):
    async def main():
        async with world.daemon() as daemon:

            def bad():
                raise Malformed("rovy.toml:3: nonsense")

            daemon._read = bad
            await daemon.reload_and_log()
            with pytest.raises(Malformed):
                await daemon.reload()

    run(main())
    assert "nothing was reloaded: rovy.toml:3: nonsense" in caplog.text


def test_own_address_among_the_peers_is_left_out(world, caplog):
    own = read_peer(f"/ip4/192.0.2.1/udp/1312{OWN.path}")
    world.settings = replace(world.settings, peers=(own, read_peer(AT_A)))

    async def main():
        async with world.daemon() as daemon:
            assert set(daemon.kept()) == {A}

    run(main())
    assert "is this node itself" in caplog.text


def test_full_disk_is_told_once_and_tried_again(world, monkeypatch, caplog):
    def full(path, state):
        raise OSError(errno.ENOSPC, "No space left on device")

    async def main():
        async with world.daemon() as daemon:
            working = saver.save_state
            monkeypatch.setattr(saver, "save_state", full)
            await daemon.add_peer(AT_A, "")
            await asyncio.sleep(60)
            assert "No space left on device" in daemon.problems()[0]
            monkeypatch.setattr(saver, "save_state", working)
            await asyncio.sleep(10)
            assert daemon.problems() == []
            state, _ = load_state(world.settings.state_file)
            assert len(state.peers) == 1

    with caplog.at_level(logging.WARNING):
        run(main())
    assert caplog.text.count("No space left") == 1
    assert caplog.text.count("is written again") == 1


def test_bound_is_on_disk_before_the_first_hello(world):
    world.settings = replace(world.settings, peers=(read_peer(AT_A),))
    seen = []

    def look(source, destination, datagram):
        if source.host == "192.0.2.1":
            seen.append(load_state(world.settings.state_file)[0].stamp_bound)
        return datagram

    world.net.filters.append(look)

    async def main():
        async with world.others(), world.daemon():
            await asyncio.sleep(1)

    run(main())
    assert seen
    assert min(seen) > AHEAD


class TestStampBound:
    def test_it_runs_ahead_of_the_clock(self):
        clock = [10 * AHEAD]
        bound = StampBound(0, lambda: clock[0])
        for _ in range(1000):
            before = bound.now()
            clock[0] += AHEAD // 100
            assert before > clock[0]

    def test_it_moves_seldom(self):
        clock = [10 * AHEAD]
        bound = StampBound(0, lambda: clock[0])
        written = set()
        for _ in range(1000):
            clock[0] += AHEAD // 1000
            written.add(bound.now())
        assert len(written) <= 3

    def test_a_clock_set_back_does_not_lower_it(self):
        clock = [10 * AHEAD]
        bound = StampBound(0, lambda: clock[0])
        first = bound.now()
        clock[0] = 0
        assert bound.now() == first
        assert bound.final() > 10 * AHEAD

    def test_restarts_do_not_run_away(self):
        now = 10 * AHEAD
        loaded = 0
        for _ in range(100):
            loaded = StampBound(loaded, lambda: now).now()  # killed each time
        assert loaded <= now + AHEAD + 100 * HELLOS

    def test_what_was_given_is_never_undercut(self):
        bound = StampBound(99 * AHEAD, lambda: AHEAD)
        assert bound.now() > 99 * AHEAD
        assert bound.final() > 99 * AHEAD
