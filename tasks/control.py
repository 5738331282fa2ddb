"""Commands on goals, by `celery call`."""

from __future__ import annotations

import inspect
from typing import Any

from orchestrator.app import app
from orchestrator.domain.errors import ChordalError

from .parts import chordal

COMMANDS = ("pause", "resume", "cancel", "retry", "approve", "reject", "signal")


class BadCommand(ChordalError):
    """The command or its arguments are not known; the message lists what is."""


@app.task(name="tasks.control.command")
def command(command: str, goal: str, **arguments: Any) -> str:
    """Carry out a command on a goal; returns what happened. Raises BadCommand, and what the command raises."""
    if command not in COMMANDS:
        raise BadCommand(f"there is no command {command!r}; known: {', '.join(COMMANDS)}")
    act = getattr(chordal(), command)
    try:
        inspect.signature(act).bind(goal, **arguments)
    except TypeError as error:
        takes = ", ".join(inspect.signature(act).parameters)
        raise BadCommand(f"{command}: {error}; it takes: {takes}") from None
    outcome: str = act(goal, **arguments)
    return outcome
