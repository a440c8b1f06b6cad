"""Hellos answered, and refused, by one core. What making the hellos costs is not counted."""

import cProfile
import io
import os
import pstats
import time
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from rovy.address.keys import PrivateKey
from rovy.address.path import Direct
from rovy.dataplane.pure import PureDataPlane
from rovy.noise.handshake import NO_PSK
from rovy.noise.mac import check, mac1_key
from rovy.session.events import Send
from rovy.session.guard import Limits
from rovy.session.layer import SessionLayer
from rovy.wire.datagram import MAC
from tests.bench.keys import private_keys
from tests.bench.record import Result
from tests.bench.registry import Scale, benchmark
from tests.bench.rig import NOW, UNLIMITED, forged_hellos, stranger
from tests.bench.timing import cpu, rates, take_turns

PROFILE = FilePath("build/bench-handshake-profile.txt")
FLOOD = 20_000
"""Hellos a second that a flood brings, by the layer's clock."""
EXCHANGES = 5
"""Scalar multiplications of a responder: es, ss, an ephemeral key, ee, se."""


def layer(private: PrivateKey, limits: Limits | None = None) -> SessionLayer:
    """A session layer on a data plane of its own."""
    return SessionLayer(
        private,
        PureDataPlane(),
        ("forward", "piece"),
        now=NOW,
        wall=time.time,
        random=os.urandom,
        limits=limits,
    )


def _hellos(responder: PrivateKey, initiators: Sequence[PrivateKey]) -> list[bytes]:
    made = []
    for private in initiators:
        asking = layer(private)
        asking.connect(responder.peer_id, [stranger(0)], NOW)
        made += [action.datagram for action in asking.pull() if isinstance(action, Send)]
    return made


def _answer(private: PrivateKey, hellos: list[bytes], paths: list[Direct]) -> float:
    """Seconds a hello, by a responder that has seen none of them."""
    answering = layer(private, UNLIMITED)
    answered: list[object] = []

    def work() -> None:
        for hello, path in zip(hellos, paths, strict=True):
            answering.on_handshake(hello, path, NOW)
            answered.extend(answering.pull())

    seconds = cpu(work)
    assert sum(isinstance(action, Send) for action in answered) == len(hellos)
    return seconds / len(hellos)


def _exchanges(count: int) -> float:
    """Seconds for what no responder can do without: its scalar multiplications."""
    private = X25519PrivateKey.generate()
    public = private.public_key()

    def work() -> None:
        for _ in range(count):
            for _ in range(EXCHANGES - 1):
                private.exchange(public)
            X25519PrivateKey.generate().public_key()

    return cpu(work) / count


@benchmark("handshake")
def handshake(scale: Scale) -> Iterator[Result]:
    """Responses a second; also writes where the time goes."""
    responder, *initiators = private_keys(1 + scale.of(300, 100))
    hellos = _hellos(responder, initiators)
    paths = [stranger(number) for number in range(len(hellos))]
    mine, bound = take_turns(
        scale.runs,
        lambda: _answer(responder, hellos, paths),
        lambda: _exchanges(len(hellos)),
    )
    _profile(responder, hellos, paths)
    yield Result.of("handshake", "answers/s", rates(mine), f"{EXCHANGES} X25519", rates(bound))


def _profile(responder: PrivateKey, hellos: list[bytes], paths: list[Direct]) -> None:
    profile, text = cProfile.Profile(), io.StringIO()
    profile.runcall(_answer, responder, hellos, paths)
    stats = pstats.Stats(profile, stream=text).strip_dirs()
    print(f"{len(hellos)} hellos answered, by own time and then by whole time", file=text)
    stats.sort_stats("tottime").print_stats(35)
    stats.sort_stats("cumulative").print_stats(35)
    PROFILE.parent.mkdir(parents=True, exist_ok=True)
    PROFILE.write_text(text.getvalue())


def mac1_seconds(responder: bytes, hellos: Sequence[bytes]) -> float:
    """Seconds a hello for checking mac1 and nothing else."""
    key = mac1_key(responder, NO_PSK)

    def verify() -> None:
        for hello in hellos:
            check(key, hello[: -2 * MAC], hello[-2 * MAC : -MAC])

    return cpu(verify) / len(hellos)


@benchmark("handshake.forged")
def forged(scale: Scale) -> Iterator[Result]:
    """Hellos with a valid mac1 from random sources, 20,000 a second, at the usual limits.

    What limits save up is used before: cookies and Diffie-Hellman are as rare as in a long flood.
    """
    (responder,) = private_keys(1)
    refusing, count = layer(responder), scale.of(10_000, 4000)
    hellos = forged_hellos(responder.peer_id.key, count)
    paths = [stranger(number * 7919) for number in range(count)]
    clock = [NOW]

    def refuse(step: float) -> None:
        for hello, path in zip(hellos, paths, strict=True):
            clock[0] += step
            refusing.on_handshake(hello, path, clock[0])
            refusing.pull()

    refuse(0.0)
    mine, macs = take_turns(
        scale.runs,
        lambda: cpu(lambda: refuse(1 / FLOOD)) / count,
        lambda: mac1_seconds(responder.peer_id.key, hellos),
    )
    assert not len(refusing)
    yield Result.of("handshake.forged", "hellos/s", rates(mine), "mac1 alone", rates(macs))
