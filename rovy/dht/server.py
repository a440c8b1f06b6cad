"""Answers other nodes. docs/protocol/dht.md §2, §4"""

from rovy.address.keys import PeerID
from rovy.dht.const import ROOM, ROOM_EARLY, K
from rovy.dht.contact import Contact
from rovy.dht.counters import Counters
from rovy.dht.known import Known
from rovy.dht.messenger import Messenger
from rovy.dht.storage import Storage
from rovy.dht.values import Reader, Value
from rovy.errors import Malformed
from rovy.wire import dht as wire


class Server:
    """Reads what it is asked, and looks into the storage and the table."""

    def __init__(
        self,
        own: PeerID,
        messenger: Messenger,
        known: Known,
        storage: Storage,
        reader: Reader,
        counters: Counters,
    ) -> None:
        self._own, self._messenger = own, messenger
        self._known, self._storage, self._reader = known, storage, reader
        self._counters = counters

    def answer(self, peer: PeerID, body: bytes, early: bool) -> bytes | None:
        """The answer; None where it has to wait for the session. Raises `Malformed`."""
        request = wire.parse_request(body)
        match request:
            case wire.Ping():
                self._counters.pings += 1
                return self._ping(request)
            case wire.Find():
                return self._find(peer, request, early)
            case wire.Store():
                return None if early else bytes((self._store(request),))

    def _ping(self, ping: wire.Ping) -> bytes:
        own = self._storage.own.get(self._own.node_id)
        return own.raw if own and own.sequence > ping.known else b""

    def _find(self, peer: PeerID, find: wire.Find, early: bool) -> bytes | None:
        room = min(find.most, ROOM_EARLY) if early else find.most
        wanted = find.want == wire.VALUES
        values = self._values(find) if wanted else []
        size = 1 + sum(3 + len(value.raw) for value in values)
        while values and size > room:
            if early:
                return None  # asked again in the session, where there is room
            size -= 3 + len(values.pop().raw)
        self._counters.finds += 1
        target = int.from_bytes(find.target, "big")
        nearest = self._known.trusted(target, K, {peer.node_id})
        contacts = self._named(nearest, min(room - size, ROOM - 1))
        return wire.Found(tuple((v.type, v.raw) for v in values), contacts).emit()

    def _values(self, find: wire.Find) -> list[Value]:
        return self._storage.find(find.target, find.bits, self._messenger.wall())

    def _named(self, nearest: list[Contact], room: int) -> tuple[wire.Named, ...]:
        """As many as fit, the nearest first; briefly, but with locators while there is room."""
        named: list[tuple[wire.Named, wire.Named]] = []
        for contact in nearest:
            pair = self._forms(contact)
            if pair is None:
                continue
            room -= len(pair[0].emit())
            if room < 0:
                break
            named.append(pair)
        chosen = []
        for brief, whole in named:
            more = len(whole.emit()) - len(brief.emit())
            chosen.append(whole if more <= room else brief)
            room -= more if more <= room else 0
        return tuple(chosen)

    def _forms(self, contact: Contact) -> tuple[wire.Named, wire.Named] | None:
        """How a contact can be named, in short and in full; None where not at all."""
        label, cost = self._messenger.label(contact.peer) or (b"", 0)
        locator = contact.locator
        current = locator is not None and Value.of(locator).counts(self._messenger.wall())
        raw = locator.raw if locator and current else b""
        key = contact.peer.key
        if not raw and not label:
            return None
        whole = wire.Named(b"" if raw else key, raw, label, cost)
        return (wire.Named(key, b"", label, cost), whole) if label else (whole, whole)

    def _store(self, store: wire.Store) -> int:
        self._counters.stores += 1
        try:
            status = self._judge(store)
        except Malformed:
            status = wire.REFUSED
        self._counters.refused += status != wire.STORED
        return status

    def _judge(self, store: wire.Store) -> int:
        """The signature comes last: it is what costs most."""
        wall = self._messenger.wall()
        value = self._reader.parse(store.type, store.value)
        if value.signer == self._own:
            return wire.REFUSED  # what the node says itself it knows best
        if self._known.closer(value.number, 2 * K) >= 2 * K:
            return wire.FAR
        status = self._storage.verdict(value, wall)
        if status != wire.STORED:
            return status
        return self._storage.put(self._reader.check(value), wall)
