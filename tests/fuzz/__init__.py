"""Hostile input, seeded, without outside tools: `python -m tests.fuzz --help`.

A run is made of rounds. A round builds what it attacks, feeds it, and checks at its end that
nothing leaked and that everything still works; its chance comes from the seed, the target and its
number alone, so one command repeats it.
"""
