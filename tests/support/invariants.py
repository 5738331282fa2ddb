"""What must hold of a stored goal between any two scripts: the shipped checker, told in lines."""

from __future__ import annotations

from orchestrator.events.check import check_goal, unknown_keys
from orchestrator.store.keys import catalogue_pattern
from orchestrator.store.store import Store

__all__ = ["broken", "catalogue_pattern", "unknown_keys"]


def broken(store: Store, goal: str) -> list[str]:
    """Every invariant that does not hold, a line each."""
    return [str(violation) for violation in check_goal(store, goal)]
