"""System tests run inside `testnet/isolated`, where namespaces and links are theirs alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testnet.netns import Lab, isolated


@pytest.fixture(autouse=True, scope="session")
def isolation() -> None:
    if not isolated():
        pytest.fail("system tests need isolation: run them with `make system`", pytrace=False)


@pytest.fixture
def lab(isolation: None, tmp_path: Path) -> Iterator[Lab]:
    with Lab(log_directory=tmp_path) as lab:
        yield lab
