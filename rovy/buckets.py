"""Token buckets: how much of something may happen."""


class TokenBucket:
    """`rate` tokens a second, at most `burst` saved."""

    __slots__ = ("_at", "burst", "rate", "tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self._at = burst, now

    def limit(self, rate: float, burst: float) -> None:
        """Other numbers from now on."""
        self.rate, self.burst = rate, burst

    def take(self, now: float) -> bool:
        """Take one token; False where none is left."""
        earned = max(0.0, now - self._at) * self.rate
        self.tokens = min(self.burst, self.tokens + earned)
        self._at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True
