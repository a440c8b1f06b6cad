"""Benchmarks: `python -m tests.bench` prints a table and writes build/bench.json.

Machines differ and are noisy, so that most figures are ratios: a benchmark and its baseline take
turns within one run, and what counts is how their medians compare. Nothing here passes or fails.
"""
