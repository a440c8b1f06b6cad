"""All benchmarks, in the order of the table."""

from tests.bench import aead, flood, forwarder, handshake, ping, sessions, switch, udp

SUITE = (
    aead.data_plane,
    aead.openssl,
    switch.switch,
    switch.slots,
    switch.destinations,
    switch.in_memory,
    forwarder.forwarding,
    udp.sockets,
    handshake.handshake,
    handshake.forged,
    flood.flood,
    sessions.memory,
    ping.ping,
)
