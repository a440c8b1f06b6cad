"""XEdDSA in plain integers, written from its specification, to compare with; slow and leaky."""

from hashlib import sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)  # of -1
IDENTITY = (0, 1)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def multiply(scalar, point):
    total = IDENTITY
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode(data):
    """The point, or None where there is none or this is not its one spelling."""
    number = int.from_bytes(data, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT % P
    if y >= P or x * x % P != square or (x == 0 and sign):
        return None
    return (x if x & 1 == sign else P - x), y


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def clamp(secret):
    return int.from_bytes(secret, "little") & (2**254 - 8) | 2**254


def edwards(key):
    """The key's point with sign bit 0, or None."""
    u = int.from_bytes(key, "little")
    return decode(((u - 1) * pow(u + 1, -1, P) % P).to_bytes(32, "little"))


def hashed(*parts):
    return int.from_bytes(sha512(b"".join(parts)).digest(), "little") % L


def signing_scalar(secret):
    scalar = clamp(secret) % L
    return L - scalar if multiply(scalar, BASE)[0] & 1 else scalar


def sign(secret, message, nonce):
    scalar = signing_scalar(secret)
    # The specification hashes the scalar reduced; the library does so only where it negates.
    # No verifier can tell: r is as secret and as unique either way.
    keyed = scalar if scalar != clamp(secret) % L else clamp(secret)
    r = hashed(b"\xfe" + b"\xff" * 31, keyed.to_bytes(32, "little"), message, nonce)
    point = encode(multiply(r, BASE))
    public = encode(multiply(scalar, BASE))
    return point + ((r + hashed(point, public, message) * scalar) % L).to_bytes(32, "little")


def verifies(key, message, signature):
    public, point = edwards(key), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if public is None or point is None or s >= L:
        return False
    h = hashed(signature[:32], encode(public), message)
    return multiply(s, BASE) == add(point, multiply(h, public))
