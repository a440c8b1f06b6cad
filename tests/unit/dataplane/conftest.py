"""Every test here runs on every implementation."""

import pytest

from tests.dataplanes import IMPLEMENTATIONS


@pytest.fixture(params=sorted(IMPLEMENTATIONS), scope="session")
def dataplane(request):
    """Makes data planes with empty tables."""
    return IMPLEMENTATIONS[request.param]
