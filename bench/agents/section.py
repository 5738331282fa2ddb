"""How large a run of the benchmark of agents is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes."""

    waiting: int = 10_000
    """Agents that wait for a model."""
    agents: int = 500
    """At once."""
    turns: int = 4
    """Of each; all but the last call a tool."""
    milliseconds: tuple[int, ...] = (5000, 1000)
    """How long each answer of the model takes: one measurement each."""
    idle_seconds: float = 5.0
    """How long to look at what happens while all wait."""
    whole: bool = True
    """Everything; else only: does it run through?"""
    tell: Callable[[str], None] = print
    """Says what has just been measured."""
