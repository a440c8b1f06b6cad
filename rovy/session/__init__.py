"""Sessions: handshakes, keys, timers and paths of one node (docs/protocol/sessions.md)."""
