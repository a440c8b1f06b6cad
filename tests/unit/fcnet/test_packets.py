"""The packets of our tests are, byte for byte, those of an implementation that is not ours."""

import pytest

from tests.unit.fcnet import packets
from tests.unit.fcnet.packets import VECTORS, fragments, ip6

HEX = {"payload", "options", "rest", "data"}


def made(layer, **fields):
    fields = {
        name: bytes.fromhex(value) if name in HEX else value for name, value in fields.items()
    }
    return fields["data"] if layer == "raw" else getattr(packets, layer)(**fields)


@pytest.mark.parametrize("case", VECTORS["packets"], ids=lambda case: case["name"])
def test_packets(case):
    ends = bytes.fromhex(case["source"]), bytes.fromhex(case["destination"])
    assert ip6(*ends, *(made(**each) for each in case["layers"])).hex() == case["hex"]


@pytest.mark.parametrize("case", VECTORS["fragments"])
def test_fragments(case):
    parts = fragments(bytes.fromhex(case["packet"]), case["at"], case["number"])
    assert [part.hex() for part in parts] == case["fragments"]
