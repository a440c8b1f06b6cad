"""System tests run inside `testnet/isolated`, where namespaces and links are theirs alone."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from testnet.netns import Lab, isolated


@pytest.fixture(autouse=True, scope="session")
def isolation() -> None:
    if not isolated():
        pytest.fail("system tests need isolation: run them with `make system`", pytrace=False)


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """What is started in the background ignores SIGINT, and so would all that it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tun() -> None:
    """The device that emulated links and interfaces need: root has it, others where they may."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("this user may not open /dev/net/tun")


@pytest.fixture(scope="session")
def all_users() -> None:
    """Users besides our own, which sshd asks for: a user namespace has but one."""
    if Path("/proc/self/uid_map").read_text().split()[2] == "1":
        pytest.skip("this user namespace has no other users")


@pytest.fixture
def lab(isolation: None, tmp_path: Path) -> Iterator[Lab]:
    with Lab(log_directory=tmp_path) as lab:
        yield lab


@pytest.fixture(scope="module")
def shared_lab(isolation: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab for all tests of a module."""
    with Lab(log_directory=tmp_path_factory.mktemp("lab")) as lab:
        yield lab
