"""The function that function nodes call: it does nothing, so that what is measured is everything else."""

from __future__ import annotations

from orchestrator import node


@node
def noop() -> None:
    """Do nothing."""
