"""What many nodes of one process compute alike is computed once.

A signature that one node has verified is not verified again by the next, and a record that was
parsed is the same object in all maps. Both are functions of their arguments alone, so nothing
that a node does or sends differs; only time and memory do. Installed for as long as a world runs.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from rovy.errors import Malformed
from rovy.noise import xeddsa
from rovy.routing.locator import Locator
from rovy.routing.record import LinkRecord

REMEMBERED = 1 << 17
"""Results kept of each function; the one used longest ago goes."""


PARSED: tuple[type, ...] = (LinkRecord, Locator)
"""Immutable values whose `parse` takes bytes and nothing else."""


class Memo:
    """Results by a digest of the arguments."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Any] = OrderedDict()
        self.hits = self.misses = 0

    def find(self, key: bytes, make: Callable[[], Any]) -> Any:
        """What was made for a key, or is now; a `Malformed` that it raises is kept as well."""
        known = self._known
        if key in known:
            self.hits += 1
            known.move_to_end(key)
            found = known[key]
        else:
            self.misses += 1
            try:
                found = make()
            except Malformed as error:
                found = error
            known[key] = found
            if len(known) > REMEMBERED:
                known.popitem(last=False)
        if isinstance(found, Malformed):
            raise Malformed(*found.args)
        return found


@contextmanager
def shared_results() -> Iterator[Memo]:
    """Verify each signature and parse each record once; gives the memory of signatures."""
    verified = Memo()
    verify = xeddsa.verify

    def verify_once(peer_key: bytes, domain: bytes, message: bytes, signature: bytes) -> None:
        name = _digest(peer_key, domain, message, signature)
        verified.find(name, lambda: verify(peer_key, domain, message, signature))

    xeddsa.verify = verify_once
    parsers = [(each, each.__dict__["parse"]) for each in PARSED]
    for each, parse in parsers:
        setattr(each, "parse", classmethod(_once(parse.__func__)))  # noqa: B010
    try:
        yield verified
    finally:
        xeddsa.verify = verify
        for each, parse in parsers:
            setattr(each, "parse", parse)  # noqa: B010


def _once(parse: Callable[[type, bytes], Any]) -> Callable[[type, bytes | memoryview], Any]:
    parsed = Memo()

    def parse_once(cls: type, data: bytes | memoryview) -> Any:
        raw = bytes(data)
        return parsed.find(raw, lambda: parse(cls, raw))

    return parse_once


def _digest(*parts: bytes) -> bytes:
    lengths = b"".join(len(part).to_bytes(4, "big") for part in parts)
    return blake2b(lengths + b"".join(parts), digest_size=24).digest()
