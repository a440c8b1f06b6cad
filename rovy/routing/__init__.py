"""Link records, the graph they make, and routes through it (docs/protocol/routing.md)."""
