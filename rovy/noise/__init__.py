"""Handshake cryptography (docs/protocol/handshake.md): Noise, MACs and cookies, signatures."""
