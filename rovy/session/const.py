"""Numbers of the session layer. The protocol's own are in docs/protocol/sessions.md §9.

Times are seconds.
"""

# Protocol
REKEY_AFTER = 120.0
REKEY_AFTER_MESSAGES = 1 << 48
REFUSE_AFTER = 180.0
RETRIES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between copies of a hello; the last one repeats."""
RETRY_JITTER = 0.1
FRESH_HELLO = 5.0
"""Age at which a hello is made anew instead of repeated."""
YIELD = 1.0
"""How long our hello waits for what comes of the peer's, once we answered that."""
GIVE_UP = 90.0
UNCONFIRMED_LIFE = 20.0
OVERLAP = 5.0
"""How long replaced keys still open packets that were under way."""
SILENCE = 0.2
"""A path is silent after max(SILENCE, 3 RTT) without an answer."""
PACKET_GAP = 0.015
"""What may lie between two packets of lively traffic, and between a timer and its time."""
RESTART = 3.0
"""Unanswered on every path for that long: a new hello goes out."""

# Choices
RESPONDER_REKEY = 135.0
"""The responder of the last handshake leaves the rekey to its initiator for that long."""
ACTIVE_PROBE = 3.0
WARM_PROBE = 5.0
OTHER_PROBE = 20.0
MISSES = 4
"""Unanswered probes after which a path is forgotten."""
ANNOUNCE = (1.0, 4.0)
"""Waits between copies of a grown table of codecs, which nobody acknowledges."""
IDLE = 180.0
"""A session that nobody asked for ends after that long without a packet of its own."""
IN_USE = 15.0
"""A session whose last payload is younger probes its paths as if it were kept."""
CANDIDATES = 3
PATHS = 8
HINTS = 8
UNCONFIRMED = 1024
SESSIONS = 65536
STRANGERS = 8192
"""Sessions that others opened, of all."""
STAMPS = 65536
STAMP_AHEAD = 3600.0
"""How far ahead of the clock the bound on timestamps is written down."""
HYSTERESIS = 0.9
HYSTERESIS_FLOOR = 0.001
HOP_COST = 0.001
DEFAULT_RTT = 0.1
FLOOR_MTU = {4: 1252, 6: 1232}
"""Largest UDP payload every path carries, by IP version: 1280 bytes less the headers."""
