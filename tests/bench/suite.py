"""All benchmarks, in the order of the table."""

from tests.bench import (
    aead,
    edge,
    flood,
    forwarder,
    handshake,
    ping,
    rest,
    sessions,
    switch,
    tun,
    udp,
)

SUITE = (
    aead.data_plane,
    aead.openssl,
    switch.switch,
    switch.slots,
    switch.destinations,
    switch.in_memory,
    edge.edge,
    forwarder.forwarding,
    udp.sockets,
    handshake.handshake,
    handshake.forged,
    flood.flood,
    sessions.memory,
    ping.ping,
    tun.tun,
    rest.rest,
)
