"""Nodes that lie. Each of these makes the behaviour of one member."""

from dataclasses import replace

from rovy.address.label import Label
from rovy.errors import Unreachable
from rovy.wire.dht import STORED, Find, Found, Named, Ping, Store, parse_request
from tests.unit.dht.network import FakeNet, Member

LABEL = Label.of((5, 2), 9).data


def silent(member: Member):
    """Answers nothing, though its sessions stand."""

    def answer(peer, body, early):
        raise Unreachable("failed", "no")

    return answer


def empty(member: Member):
    """Knows nobody and keeps nothing, and says that it does."""

    def answer(peer, body, early):
        match parse_request(body):
            case Ping():
                return b""
            case Find():
                return Found((), ()).emit()
            case Store():
                return None if early else bytes((STORED,))

    return answer


def garbled(member: Member):
    """Sends noise."""
    return lambda peer, body, early: member.net.random.randbytes(member.net.random.randrange(300))


def broken(member: Member):
    """Says what it knows with a byte changed somewhere."""

    def answer(peer, body, early):
        raw = member.dht.answer(peer, body, early)
        if not raw:
            return raw
        at = member.net.random.randrange(len(raw))
        return raw[:at] + bytes((raw[at] ^ 1 << member.net.random.randrange(8),)) + raw[at + 1 :]

    return answer


def inventive(member: Member, keys: list[bytes] | None = None):
    """Names keys of nobody."""
    invented = keys or [other.peer.key for other in member.net.members.values() if not other.alive]

    def answer(peer, body, early):
        request = parse_request(body)
        if not isinstance(request, Find):
            return member.dht.answer(peer, body, early)
        names = member.net.random.sample(invented, min(8, len(invented)))
        return Found((), tuple(Named(key, b"", LABEL, 0) for key in names)).emit()

    return answer


def conspiring(member: Member):
    """Names only fellow liars, those nearest to the target."""

    def answer(peer, body, early):
        request = parse_request(body)
        if not isinstance(request, Find):
            return empty(member)(peer, body, early)
        liars = [other.peer for other in member.net.members.values() if other.behaviour]
        target = int.from_bytes(request.target, "big")
        liars.sort(key=lambda liar: int.from_bytes(liar.node_id, "big") ^ target)
        return Found((), tuple(Named(liar.key, b"", LABEL, 0) for liar in liars[:8])).emit()

    return answer


def outdated(member: Member):
    """Answers with locators that were true half an hour ago."""

    def answer(peer, body, early):
        request = parse_request(body)
        if not isinstance(request, Find) or not request.want:
            return member.dht.answer(peer, body, early)
        for other in member.net.members.values():
            if other.peer.node_id == request.target:
                return Found(((1, other.locator(age=1800).raw),), ()).emit()
        return Found((), ()).emit()

    return answer


def forging(member: Member):
    """Answers with somebody else's locator, and with one that nobody signed."""

    def answer(peer, body, early):
        request = parse_request(body)
        if not isinstance(request, Find):
            return member.dht.answer(peer, body, early)
        own = member.locator()
        values = [(1, own.raw)]
        for other in member.net.members.values():
            if other.peer.node_id == request.target:
                raw = other.locator().raw
                values.append((1, raw[:38] + b"\x00\x64" + raw[40:]))
        return replace(Found((), ()), values=tuple(values)).emit()

    return answer


ALL = (silent, empty, garbled, broken, inventive, conspiring, outdated, forging)


def corrupt(net: FakeNet, members: list[Member], kinds=ALL) -> None:
    """Make liars of these, one kind after the other."""
    for number, member in enumerate(members):
        member.behaviour = kinds[number % len(kinds)](member)
