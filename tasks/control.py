"""Commands, by `celery call`."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from celery import Task

from orchestrator.app import app
from orchestrator.domain.command import Command, Door, read_command

from .parts import chordal


@app.task(name="tasks.control.command", bind=True, Request="orchestrator.tasks.private:PrivateRequest")
def command(
    self: Task[..., Any], command: str, goal: str | None = None, full: bool = False, **given: Any
) -> str | dict[str, Any]:
    """Carry out a command; returns what became of it in a word, or with `full` the whole answer, refusals too.

    `given` says for whom it is (`node`, `agent`, `queue`, `owner`, `all`), its `id`, `reason`, `expires_seconds`, `sender`, and
    the command's own arguments. Without an id it has that of the message: one that is delivered twice acts once.
    Raises InvalidCommand, and without `full` what refused it: GoalNotFound, NodeNotFound, IllegalTransition, Denied, Expired.
    """
    read = _read(self, {**given, "command": command, "goal": goal})
    door = chordal()
    with door.reachable():
        return door.commands.carry_out(read).as_json() if full else door.commands.act(read).outcome


def _read(task: Task[..., Any], payload: dict[str, Any]) -> Command:
    """The command of a message. Who sent it says the message; a broker that only friends may write to is what makes it so."""
    message = task.request
    if not payload.get("id") and message.id:
        plain = re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", message.id)
        payload["id"] = f"celery:{message.id if plain else hashlib.sha256(message.id.encode()).hexdigest()}"
    if not payload.get("sender"):
        payload["sender"] = (message.origin or "")[:200]
    return read_command(payload, Door.CELERY)
