"""Requests to other nodes: sent, timed, their answers checked, what they prove noted."""

from dataclasses import dataclass

from rovy.address.keys import PeerID
from rovy.dht.const import PATIENCE, SLOW, K
from rovy.dht.contact import Contact
from rovy.dht.counters import Counters
from rovy.dht.messenger import Messenger
from rovy.dht.table import Table
from rovy.dht.values import Reader, Value
from rovy.errors import Malformed, Unreachable
from rovy.wire import dht as wire

BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer to a FIND."""

    values: tuple[Value, ...]
    contacts: tuple[Contact, ...]
    route: str
    rtt: float


class Caller:
    """Asks nodes. Raises `Unreachable` and `Malformed` as they behave."""

    def __init__(
        self, own: PeerID, messenger: Messenger, table: Table, reader: Reader, counters: Counters
    ) -> None:
        self.own, self.messenger = own, messenger
        self.reader, self._table, self._counters = reader, table, counters

    def slow_after(self, peer: PeerID) -> float:
        """Seconds after which an answer is late."""
        return max(SLOW, 3 * self._rtt(peer))

    async def ping(self, contact: Contact) -> None:
        """Learn whether it is there, and its locator if that is newer than the known one."""
        known = contact.locator.sequence if contact.locator else 0
        answer, _, _ = await self._ask(contact.peer, wire.Ping(known))
        if not answer:
            return
        try:
            locator = self.reader.locator(answer)
        except Malformed:
            self._blame(contact.peer)
            raise
        if locator.key == contact.peer:
            self._table.proved(contact.peer, locator, self.messenger.now())
            self.messenger.heard(contact.peer, Contact(locator.key, locator))

    async def find(self, contact: Contact, find: wire.Find) -> Reply:
        """Ask for values and for nodes nearer to the target."""
        answer, route, rtt = await self._ask(contact.peer, find)
        try:
            found = wire.parse_found(answer)
        except Malformed:
            self._blame(contact.peer)
            raise
        values = (self._value(kind, raw, find) for kind, raw in found.values)
        contacts = (self._contact(named) for named in found.contacts[:K])
        return Reply(tuple(filter(None, values)), tuple(filter(None, contacts)), route, rtt)

    async def store(self, contact: Contact, value: Value) -> int:
        """Ask to keep a value; the status."""
        answer, _, _ = await self._ask(contact.peer, wire.Store(value.type, value.raw))
        return wire.parse_stored(answer)

    async def _ask(self, peer: PeerID, request: wire.Request) -> tuple[bytes, str, float]:
        self._counters.sent += 1
        begun = self.messenger.now()
        patience = max(PATIENCE, 8 * self._rtt(peer))
        try:
            answer, route = await self.messenger.request(peer, request.emit(), patience)
        except Unreachable as error:
            self._counters.failed += 1
            if error.reason != BUSY:
                self._table.missed(peer, self.messenger.now())
            raise
        now = self.messenger.now()
        self._counters.answered += 1
        self._table.proved(peer, None, now)
        return answer, route, now - begun

    def _rtt(self, peer: PeerID) -> float:
        return 2 * (self.messenger.cost(peer) or 0.0)

    def _blame(self, peer: PeerID) -> None:
        self._counters.malformed += 1
        self._table.missed(peer, self.messenger.now())

    def _value(self, kind: int, raw: bytes, find: wire.Find) -> Value | None:
        """A value that checks out and belongs to the target; types not known are passed over."""
        try:
            value = self.reader.read(kind, raw, self.messenger.wall())
        except Malformed:
            self._counters.malformed += 1
            return None
        size = find.bits // 8
        return value if value.place[:size] == find.target[:size] else None

    def _contact(self, named: wire.Named) -> Contact | None:
        """A contact that checks out and can be reached by what was said of it."""
        try:
            locator = self.reader.locator(named.locator) if named.locator else None
            peer = locator.key if locator else PeerID(named.key)
        except Malformed:
            self._counters.malformed += 1
            return None
        if locator and not Value.of(locator).counts(self.messenger.wall()):
            locator = None
        if peer == self.own or not (locator or named.label):
            return None
        known = self._table.contact(peer)
        if known:
            known.learn(locator)
        return Contact(peer, locator, named.label, named.cost)
