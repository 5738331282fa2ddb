"""Measure the line before a model: `make bench-llm`."""
