"""Networks in a regular shape: the hosts that should be neighbours are, at the address told."""

import time

import pytest

from testnet import topology
from testnet.emulator import LinkQuality
from testnet.netns import LabError

pytestmark = pytest.mark.system


def reach_each_other(net):
    """Whether each host reaches each of its neighbours at the endpoint told for it."""
    for host, endpoints in zip(net.hosts, net.endpoints, strict=True):
        for endpoint in endpoints.values():
            _, protocol, address, *rest = endpoint.split("/")
            assert (protocol, rest) == ("ip4", ["udp", "1312"])
            host.run(["ping", "-n", "-c1", "-W1", address])


def degrees(net):
    return [len(endpoints) for endpoints in net.endpoints]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda lab: topology.line(lab, 5), [1, 2, 2, 2, 1]),
        (lambda lab: topology.ring(lab, 5), [2] * 5),
        (lambda lab: topology.tree(lab, 7), [2, 3, 3, 1, 1, 1, 1]),
        (lambda lab: topology.tree(lab, 7, fanout=3), [3, 4, 1, 1, 1, 1, 1]),
        (lambda lab: topology.grid(lab, 3, 2), [2, 3, 2, 2, 3, 2]),
    ],
)
def test_neighbours_reach_each_other(lab, make, expected):
    net = make(lab)
    assert degrees(net) == expected
    assert len(net.links) == sum(expected) / 2
    reach_each_other(net)


def test_each_link_has_both_families_and_only_its_two_hosts(lab):
    net = topology.line(lab, 3)
    for (a, b), link in net.links.items():
        assert [host for host, _ in link.ends] == [net.hosts[a], net.hosts[b]]
    net.hosts[0].run(["ping", "-n", "-c1", "-W1", "fd00:1312::2"])
    far = net.endpoints[1][2].split("/")[2]
    assert net.hosts[0].run(["ping", "-n", "-c1", "-W1", far], check=False).returncode != 0


def test_links_have_the_quality_asked_for(lab, tun):
    net = topology.line(lab, 3, LinkQuality(delay=0.02))
    reach_each_other(net)
    address = net.endpoints[2][1].split("/")[2]
    output = net.hosts[2].run(["ping", "-n", "-c2", "-i0.1", address]).stdout
    assert float(output.rpartition("time=")[2].split()[0]) >= 40
    net.links[1, 2].down()
    assert net.hosts[2].run(["ping", "-n", "-c1", "-W1", address], check=False).returncode == 1


def test_a_ring_of_two_is_refused(lab):
    with pytest.raises(LabError, match="three"):
        topology.ring(lab, 2)


def test_thirty_hosts_take_seconds(lab):
    begin = time.monotonic()
    net = topology.grid(lab, 6, 5)
    assert time.monotonic() - begin < 4
    assert len(net.hosts) == 30
    assert len(net.links) == 49
