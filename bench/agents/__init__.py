"""The benchmark of agents: many that wait for a model, and many that are driven at once."""
