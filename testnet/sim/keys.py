"""Keys of simulated nodes: the same ones each time, drawn once a process."""

from functools import cache

from rovy.address.keys import PrivateKey
from tests.bench.keys import private_keys

_FIRST = 64


def key(number: int) -> PrivateKey:
    """The key of a node. They are no secrets."""
    drawn = _FIRST
    while drawn <= number:
        drawn *= 4
    return _keys(drawn)[number]


@cache
def _keys(count: int) -> list[PrivateKey]:
    return private_keys(count)
