"""Batch open, switch and seal over tables handed to it (docs/architecture.md).

`load` gives the implementation that `ROVY_NATIVE` asks for; today there is one, `pure`.
"""

from rovy.dataplane.pure import PureDataPlane
from rovy.dataplane.types import DataPlane

__all__ = ["DataPlane", "load"]


def load() -> DataPlane:
    """A new data plane with empty tables."""
    return PureDataPlane()
