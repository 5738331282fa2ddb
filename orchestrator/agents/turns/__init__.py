"""Turns of agents on nodes, step by step, from what is stored to a commit."""
