"""Settings, where they come from, and the files of a node. Nothing else here reads files."""
