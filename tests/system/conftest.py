"""System tests run inside `testnet/isolated`, where namespaces and links are theirs alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from testnet.netns import Lab, isolated


@pytest.fixture(autouse=True, scope="session")
def isolation() -> None:
    if not isolated():
        pytest.fail("system tests need isolation: run them with `make system`", pytrace=False)


@pytest.fixture
def tun() -> None:
    """The device that emulated links need: root has it, other users where the machine lets them."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("this user may not open /dev/net/tun")


@pytest.fixture
def lab(isolation: None, tmp_path: Path) -> Iterator[Lab]:
    with Lab(log_directory=tmp_path) as lab:
        yield lab
