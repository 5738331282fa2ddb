"""The pure core: goals, DAGs, nodes, their states and the rules between them. No clock, no randomness, no I/O."""
