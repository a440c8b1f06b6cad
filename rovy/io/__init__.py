"""Sockets and their simulated twins: the only packages that touch the world below a node."""
