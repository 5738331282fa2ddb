"""Agents without Redis, for unit tests."""
