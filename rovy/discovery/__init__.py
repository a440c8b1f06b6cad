"""How a node finds its first peers and chooses the ones it keeps (docs/architecture.md)."""
