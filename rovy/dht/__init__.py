"""Kademlia over sessions: lookups and storage for records (docs/architecture.md)."""
