"""Rovy: an encrypted, routed, peer-to-peer network.

The library's face. Heavy parts load when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rovy.errors import Malformed, RovyError, Unreachable, UsageError

if TYPE_CHECKING:
    from rovy.address import Endpoint, Label, Multiaddr, PeerID, PrivateKey
    from rovy.node import Node, NodeConfig, NodeEvent, Pong, RouteInfo

__version__ = "0.1.0"
__all__ = [
    "Endpoint",
    "Label",
    "Malformed",
    "Multiaddr",
    "Node",
    "NodeConfig",
    "NodeEvent",
    "PeerID",
    "Pong",
    "PrivateKey",
    "RouteInfo",
    "RovyError",
    "Unreachable",
    "UsageError",
    "__version__",
]
_NODE = {"Node", "NodeConfig", "NodeEvent", "Pong", "RouteInfo"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rovy' has no attribute {name!r}")
    return getattr(import_module("rovy.node" if name in _NODE else "rovy.address"), name)
