"""A node: everything below joined (docs/architecture.md)."""

from rovy.node.config import NodeConfig
from rovy.node.events import NodeEvent, RouteInfo
from rovy.node.node import Node
from rovy.node.ping import Pong

__all__ = ["Node", "NodeConfig", "NodeEvent", "Pong", "RouteInfo"]
