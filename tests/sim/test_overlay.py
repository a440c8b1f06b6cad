"""The network never carries itself: addresses in fc00::/8 are no place for its own datagrams."""

import pytest

from rovy.address.multiaddr import Endpoint
from rovy.address.path import Direct
from rovy.errors import UsageError
from tests.sim.support import Lab, virtual


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("fc00::1", True),
        ("fcff::1", True),
        ("fd00::1", False),
        ("fc::1", False),
        ("10.0.0.1", False),
    ],
)
def test_what_lies_inside(host, inside):
    assert Endpoint(host, 1312).in_overlay == inside


@virtual
async def test_a_peer_inside_the_network_is_refused():
    async with Lab() as lab:
        a, b = await lab.start(0), await lab.start(1)
        with pytest.raises(UsageError, match="fc00::/8"):
            await a.connect(f"/ip6/fc00::1/udp/1312/rovy/{b.peer_id}")


@virtual
async def test_datagrams_that_came_over_the_network_are_dropped():
    async with Lab() as lab:
        b = await lab.start(1)
        hello = bytearray(148)
        source = Direct(0, Endpoint("fc00::2", 1312))
        b._services.engine.receive(hello, len(hello), len(hello), source)
        assert b.stats().node["came over the overlay"] == 1
        assert not b.stats().dropped
