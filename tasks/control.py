"""Commands on goals, by `celery call`."""

from __future__ import annotations

from typing import Any

from orchestrator.app import app
from orchestrator.domain.errors import ChordalError

from .parts import chordal

COMMANDS = ("pause", "resume", "cancel", "retry", "approve", "reject", "signal")


@app.task(name="tasks.control.command")
def command(name: str, goal: str, **arguments: Any) -> str:
    """Carry out a command on a goal; returns what happened. Raises ChordalError for one that is not known."""
    if name not in COMMANDS:
        raise ChordalError(f"there is no command {name!r}; known: {', '.join(COMMANDS)}")
    outcome: str = getattr(chordal(), name)(goal, **arguments)
    return outcome
