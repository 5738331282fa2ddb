"""How large a run of the benchmark of control is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes."""

    tries: int = 100
    """PAUSE is written so often where the watcher is told of it."""
    others: int = 30
    """And so often where it is found by looking."""
    nodes: int = 20_000
    """Of the goal that is paused."""
    files: int = 100
    """Heartbeat files that an idle watcher has, in the second measurement."""
    idle_seconds: float = 60.0
    """How long to look at a fleet that does nothing."""
    settle_seconds: float = 8.0
    """By then the watcher knows of the files, and every duty has run."""
    tell: Callable[[str], None] = print
    """Says what has just been measured."""
