"""Numbers of the discovery on the local network. docs/operating.md, «Neighbours on the LAN»

Times are seconds.
"""

from typing import Final

VERSION: Final = "1"
"""Of what is announced, TXT `v`; others are left alone."""
MODES: Final = ("on", "listen", "off")
"""Announce and look; only look; neither."""
LAN_PEERS: Final = 8
MAX_LAN_PEERS: Final = 64

SIGHTINGS: Final = 256
"""Nodes heard that are remembered."""
ENDPOINTS: Final = 4
"""Endpoints remembered, and tried at once, of each."""
SPARE: Final = 4
"""Nodes met beyond those that are to be peers, to have a choice."""

RATE, BURST = 2.0, 16.0
"""Attempts to meet a node, a second and saved up."""
MEETING: Final = 3.0
"""How long an attempt lasts: three hellos."""
BACKOFF, MAX_BACKOFF = 5.0, 600.0
"""Between attempts to meet a node that fail, doubled each time."""
RETRY_NEW: Final = 5.0
"""After which a node that failed is tried again where it is heard at a new endpoint."""
OFFER_AGAIN: Final = 5.0
"""Between offers of a peering to a node that does not want one."""
REFUSED: Final = 12.0
"""Without a peering for so long, a node that is met counts as one that failed."""

SETTLE: Final = 0.3
"""What is heard within so long is judged together."""
LOOK: Final = 5.0
"""Between looks when nothing happens."""
REARM: Final = 0.1
"""For a burst of changes of the interfaces to end."""
ECHO: Final = 3.0
"""Within which an announcement is heard back where multicast works."""
RETRY_INTERFACE: Final = 30.0
"""Between attempts to use an interface that does not work."""
MAX_INTERFACES: Final = 32
"""Interfaces used at a time; those of higher index are left out."""
