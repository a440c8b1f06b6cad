"""Many identities in little time, for tests only.

One key in 256 has an fc00::/8 address. Instead of multiplying the base point anew for each try,
the points P ± iQ around a known one are added up in affine Montgomery coordinates, 2 * STEPS
tries sharing one inversion. The keys follow from a constant and are no secrets.
"""

from collections.abc import Iterator
from hashlib import blake2s
from itertools import islice

from rovy.address.keys import ADDRESS_PREFIX, FIELD_PRIME, PrivateKey

STEPS = 512
_P, _A = FIELD_PRIME, 486662
_BASE = 9, 14781619447589544791020593568409986887264606134616475288964881837755586237401
_START = 1 << 254 | 0x5EED << 64
Point = tuple[int, int]


def private_keys(count: int, skip: int = 0) -> list[PrivateKey]:
    """That many keys, the same ones each time; `skip` leaves the first ones to others."""
    return [PrivateKey(secret) for secret in islice(_secrets(), skip, skip + count)]


def _secrets() -> Iterator[bytes]:
    eight = _times(8, _BASE)
    around = [eight]
    while len(around) < STEPS:
        around.append(_add(around[-1], eight) if len(around) > 1 else _double(eight))
    stride = _times(2 * STEPS + 1, eight)
    scalar, centre = _START, _times(_START, _BASE)
    while True:
        for offset, u in _neighbours(centre, around):
            public = u.to_bytes(32, "little")
            if blake2s(blake2s(public).digest()).digest()[16] == ADDRESS_PREFIX:
                yield (scalar + 8 * offset).to_bytes(32, "little")
        scalar, centre = scalar + 8 * (2 * STEPS + 1), _add(centre, stride)


def _neighbours(centre: Point, around: list[Point]) -> Iterator[tuple[int, int]]:
    """(i, u coordinate of centre + i points) for i from -STEPS to STEPS but 0."""
    u, v = centre
    inverses = _inverses([other[0] - u for other in around])
    for number, ((other, height), inverse) in enumerate(zip(around, inverses, strict=True), 1):
        rest = _A + u + other
        for sign in (1, -1):
            slope = (sign * height - v) * inverse % _P
            yield sign * number, (slope * slope - rest) % _P


def _inverses(values: list[int]) -> list[int]:
    """Montgomery's trick: one inversion for all."""
    products, product = [], 1
    for value in values:
        products.append(product)
        product = product * value % _P
    inverse, found = pow(product, -1, _P), []
    for value, before in zip(reversed(values), reversed(products), strict=True):
        found.append(inverse * before % _P)
        inverse = inverse * value % _P
    return found[::-1]


def _add(one: Point, other: Point) -> Point:
    slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, _P) % _P
    return _third(one, other[0], slope)


def _double(point: Point) -> Point:
    u, v = point
    slope = (3 * u * u + 2 * _A * u + 1) * pow(2 * v, -1, _P) % _P
    return _third(point, u, slope)


def _third(one: Point, other: int, slope: int) -> Point:
    u = (slope * slope - _A - one[0] - other) % _P
    return u, (slope * (one[0] - u) - one[1]) % _P


def _times(scalar: int, point: Point) -> Point:
    """Double and add, from the second highest bit down."""
    result = point
    for bit in bin(scalar)[3:]:
        result = _double(result)
        if bit == "1":
            result = _add(result, point)
    return result
