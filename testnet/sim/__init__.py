"""Networks of production nodes in virtual time: topologies, faults, attackers, and their table.

docs/simulation.md
"""
