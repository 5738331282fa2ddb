"""Nodes that call a model: they wait in Redis, and reach a worker when their call may go out."""
