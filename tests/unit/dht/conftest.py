"""Hundreds of nodes check the same signatures: here the second time costs nothing."""

from functools import cache

import pytest

from rovy.noise import xeddsa


@pytest.fixture(autouse=True)
def signatures_are_checked_once(monkeypatch):
    monkeypatch.setattr(xeddsa, "verify", cache(xeddsa.verify))
