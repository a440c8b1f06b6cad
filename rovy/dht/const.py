"""Numbers of the DHT, each with its section of docs/protocol/dht.md."""

from typing import Final

# §1
K: Final = 8
"""Contacts in an answer and in a bucket, copies of a value."""
ALPHA: Final = 3
"""Requests of one lookup in flight."""
ID_BITS: Final = 160
SPACE: Final = 1 << ID_BITS

# §3
LOCATOR, NAME, SERVICE = 1, 2, 3
EXPERIMENTAL: Final = 128
"""The first type for experiments."""
AHEAD: Final = 300.0
"""Seconds by which a clock may be ahead of ours."""
LOCATOR_TTL: Final = 2 * 3600
RECORD_TTL: Final = 24 * 3600
MAX_NAME: Final = 63
MAX_BODY: Final = 1024

# §4
MAX_VALUES: Final = 4096
MAX_OTHERS: Final = MAX_VALUES // 2
"""Values that are not locators."""
MAX_OF_TYPE: Final = MAX_OTHERS // 2
"""Values of one type that is not locator."""
MAX_OF_SIGNER: Final = 16
"""Values of one signer, locators not counted."""

# §5
CACHED: Final = 2 * K
"""Replacements kept for a bucket."""
LEAVES: Final = 2 * K
"""The nearest contacts, which stay whatever their cost."""
CHEAPER: Final = 0.8
"""A newcomer to a full bucket has to cost less than this part of whom it replaces."""
MISSES: Final = 3
MISS_APART: Final = 5.0
"""Seconds between misses that count: those of one moment have one cause."""

# §6
SLOW: Final = 1.0
"""Seconds after which a request frees its place, or 3 RTT."""
PATIENCE: Final = 4.0
"""Seconds after which it failed, or 8 RTT."""
SHORTLIST: Final = 8 * K
MAX_ASKED: Final = 8 * K
"""Requests of one lookup at most."""
OF_GROUP: Final = 2
"""Of one group that count towards the k of a lookup or a store."""
OF_REPLIER: Final = K // 2
"""Named by one replier alone that count towards the k of a lookup."""
REPEAT: Final = 1.0
"""Seconds without a value after which a second lookup starts elsewhere."""
OPEN: Final = 256
"""Lookups open at a time."""
ROOM: Final = 1100
"""Bytes of contacts in an answer: one datagram."""
ROOM_VALUES: Final = 4 * 2048
"""Bytes of answer asked for where values are wanted."""
ROOM_EARLY: Final = 700
"""Bytes of answer to a request in a hello."""

# §7
JOIN_EVERY: Final = 1800.0
JOIN_SOON: Final = 30.0
"""Seconds within which a changed set of anchors leads to a join."""
RETRY: Final = (1.0, 60.0)
"""Seconds before a failed join is repeated: first, and at most."""
PUBLISH_EVERY: Final = 1200.0
PUBLISH_AFTER: Final = 2.0
PUBLISH_APART: Final = 10.0
PING_AFTER: Final = 1800.0
TICK: Final = 5.0
PINGS: Final = 4
"""Contacts pinged in one tick."""
JITTER: Final = 0.2
