"""Clients of the peers. Each runs in an environment of its own, without Chordal: see bench.systems and bench.install."""
