"""Wire formats (docs/protocol/): parsing and writing, one file a format, nothing else."""
