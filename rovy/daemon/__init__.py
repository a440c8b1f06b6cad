"""The process around a node: rovyd."""
