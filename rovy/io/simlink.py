"""What a simulated link does to datagrams: delay, loss, order, copies, rate and queue.

A latency is a number of seconds or a distribution to draw from. One `Way` is one direction of a
link and owns what waits there for the link's rate; it knows no clock and no addresses.
"""

from dataclasses import dataclass, replace
from math import exp
from random import Random
from typing import Literal

HEADERS = 28
"""Bytes of IPv4 and UDP headers, which take their share of a link's rate."""

Fate = Literal["link down", "too big", "queue full", "lost"]
"""Why a datagram does not arrive."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Latencies evenly spread between two bounds, seconds."""

    low: float
    high: float

    def draw(self, random: Random) -> float:
        """One latency."""
        return self.low + (self.high - self.low) * random.random()


@dataclass(frozen=True, slots=True)
class Normal:
    """Latencies around a mean, never below `least`; seconds."""

    mean: float
    deviation: float
    least: float = 0.0

    def draw(self, random: Random) -> float:
        """One latency."""
        return max(self.least, random.gauss(self.mean, self.deviation))


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Latencies with a long tail, as those of busy routes: `median` seconds, and its spread."""

    median: float
    sigma: float

    def draw(self, random: Random) -> float:
        """One latency."""
        return self.median * exp(random.gauss(0.0, self.sigma))


Latency = float | Uniform | Normal | Lognormal


@dataclass(frozen=True, slots=True)
class Quality:
    """What a link does to datagrams, each way."""

    latency: Latency = 0.01
    """Seconds, one way; what is drawn from a distribution lets packets overtake each other."""
    jitter: float = 0.0
    """Up to so many seconds more, evenly spread; with it packets overtake each other."""
    loss: float = 0.0
    """Share of datagrams lost, after they had their share of the rate."""
    duplicate: float = 0.0
    """Share of datagrams delivered twice."""
    reorder: float = 0.0
    """Share of datagrams that take twice the latency, so that others overtake them."""
    rate: float | None = None
    """Bits a second, headers of IPv4 and UDP included; None: no bound."""
    queue_bytes: int = 128 * 1024
    """Bytes that may wait for the rate; what comes then is dropped."""
    mtu: int = 1452
    """Largest UDP payload, bytes; what is larger vanishes without a word."""
    up: bool = True


class Way:
    """One direction of a link."""

    __slots__ = ("_free", "constant", "mtu", "quality")

    def __init__(self, quality: Quality) -> None:
        self._free = 0.0  # when what was sent has left, by the rate
        self.become(quality)

    def become(self, quality: Quality) -> None:
        """Have another quality from now on; what is under way arrives as it would have."""
        self.quality = quality
        self.mtu = quality.mtu
        chance = quality.loss or quality.duplicate or quality.reorder or quality.jitter
        plain = quality.up and not chance and quality.rate is None
        self.constant = quality.latency if plain and isinstance(quality.latency, float) else None
        """Seconds that every datagram up to the MTU takes; None where more decides."""

    def change(self, **changes: object) -> None:
        """Alter some of the quality; `TypeError` for what it has not."""
        self.become(replace(self.quality, **changes))  # type: ignore[arg-type]

    def arrivals(self, size: int, now: float, random: Random) -> list[float] | Fate:
        """When a datagram sent now arrives, once or twice, or why it does not."""
        quality = self.quality
        if not quality.up:
            return "link down"
        if size > quality.mtu:
            return "too big"
        left = now if quality.rate is None else self._leave(size + HEADERS, now, quality.rate)
        if left is None:
            return "queue full"
        if quality.loss and random.random() < quality.loss:
            return "lost"
        copies = 2 if quality.duplicate and random.random() < quality.duplicate else 1
        return [left + self._delay(random) for _ in range(copies)]

    def _leave(self, size: int, now: float, rate: float) -> float | None:
        """When the datagram has left the sender; None where the queue has no room for it."""
        start = max(self._free, now)
        if (start - now) * rate / 8 > self.quality.queue_bytes:
            return None
        self._free = start + size * 8 / rate
        return self._free

    def _delay(self, random: Random) -> float:
        quality = self.quality
        latency = quality.latency
        seconds = latency if isinstance(latency, float | int) else latency.draw(random)
        if quality.jitter:
            seconds += random.random() * quality.jitter
        if quality.reorder and random.random() < quality.reorder:
            seconds *= 2
        return seconds
