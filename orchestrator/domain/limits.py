"""How large a goal may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds that validation enforces; the defaults are what the benchmarks cover."""

    nodes: int = 100_000
    """Nodes of one goal, as submitted; the items of a map come on top."""
    edges: int = 1_000_000
    """Edges of one goal."""
    depth: int = 100_000
    """Nodes on the longest path."""
    node_bytes: int = 262_144
    """One node's JSON, inputs included. Hand larger values over by reference."""
    document_bytes: int = 268_435_456
    """The document as it is read by the command line."""


DEFAULT_LIMITS = Limits()
