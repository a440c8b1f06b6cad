"""How much the firewall answers; the same in nftables and in the filter."""

ECHO_RATE, ECHO_BURST = 1000, 1000
"""Echo requests let in a second, and saved up; further ones are dropped."""
REFUSAL_RATE, REFUSAL_BURST = 20, 40
"""Refusals sent a second, and saved up; what comes beyond is dropped in silence."""
