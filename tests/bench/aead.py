"""Sealing and opening one session's packets of 1350 bytes, and what the ciphers alone take."""

import os
import shutil
import subprocess
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from rovy.dataplane.pure import PureDataPlane
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rig import NOW, add_peering, direct, sealed
from tests.bench.timing import MICRO, cpu, scaled, take_turns

SIZE = 1350
EACH = 45
_CODEC = 3
_NONCE = bytes(12)
_AAD = bytes(12)


def raw_seal(size: int, count: int) -> float:
    """Seconds a packet for `cryptography` alone, buffers and views made beforehand."""
    encrypt_into = ChaCha20Poly1305(os.urandom(32)).encrypt_into
    plain, room = memoryview(os.urandom(size)), memoryview(bytearray(size + 16))

    def work() -> None:
        for _ in range(count):
            encrypt_into(_NONCE, plain, _AAD, room)

    return cpu(work) / count


def raw_open(size: int, count: int) -> float:
    """Likewise for opening."""
    cipher = ChaCha20Poly1305(os.urandom(32))
    decrypt_into = cipher.decrypt_into
    packet = memoryview(cipher.encrypt(_NONCE, os.urandom(size), _AAD))
    room = memoryview(bytearray(size))

    def work() -> None:
        for _ in range(count):
            decrypt_into(_NONCE, packet, _AAD, room)

    return cpu(work) / count


def _seal(count: int) -> float:
    plane = PureDataPlane()
    add_peering(plane, 1, direct(1), os.urandom(32))
    payloads = [os.urandom(SIZE - 1)] * EACH

    def work() -> None:
        for _ in range(count // EACH):
            plane.seal(1, _CODEC, payloads, NOW)

    return cpu(work) / (count // EACH * EACH)


def _open(count: int) -> float:
    key, path = os.urandom(32), direct(1)
    plane = PureDataPlane()
    add_peering(plane, 1, path, key)
    made = sealed(key, os.urandom(SIZE - 1), count // EACH, EACH, codec=_CODEC)
    buffers = [bytearray(data) for data in made]
    size = len(buffers[0]) // EACH

    def work() -> None:
        for buffer in buffers:
            plane.receive(buffer, len(buffer), size, path, NOW)

    seconds = cpu(work)
    assert not plane.drops()
    return seconds / (count // EACH * EACH)


@benchmark("aead.seal.1350B", "aead.open.1350B")
def data_plane(scale: Scale) -> Iterator[Result]:
    """The data plane's own seal and receive, per packet."""
    count = scale.of(9000, 4500)
    seal, opened, bare_seal, bare_open = take_turns(
        scale.runs,
        lambda: _seal(count),
        lambda: _open(count),
        lambda: raw_seal(SIZE, count),
        lambda: raw_open(SIZE, count),
    )
    for name, mine, bare in (("seal", seal, bare_seal), ("open", opened, bare_open)):
        values = scaled(mine, MICRO)
        against = scaled(bare, MICRO)
        yield Result.of(f"aead.{name}.1350B", "µs", values, "cryptography", against)


@benchmark("aead.raw.seal.1350B", "aead.raw.open.1350B")
def openssl(scale: Scale) -> Iterator[Result]:
    """`cryptography` against the `openssl` program, where there is one."""
    program = shutil.which("openssl")
    if program is None:
        return
    runs, count = (3, 9000) if not scale.quick else (2, 4500)
    works = (raw_seal, raw_open)
    for name, work in zip(("seal", "open"), works, strict=True):
        bare, speed = [], []
        for _ in range(runs):
            bare.append(work(SIZE, count) * MICRO)
            speed.append(_openssl_speed(program, decrypt=name == "open") * MICRO)
        yield Result.of(f"aead.raw.{name}.1350B", "µs", bare, "openssl speed", speed)


def _openssl_speed(program: str, *, decrypt: bool) -> float:
    """Seconds a packet, by a run of one second, the shortest there is."""
    options = ["-seconds", "1", "-bytes", str(SIZE), "-mr", "-aead", "-evp", "chacha20-poly1305"]
    command = [program, "speed", *options, *(["-decrypt"] if decrypt else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("+F:"))
    return SIZE / float(line.rsplit(":", 1)[1])
