"""What this face raises besides the errors of goals."""

from __future__ import annotations

from orchestrator.domain.errors import ChordalError


class UnsupportedOption(ChordalError):
    """An option was set to something that Chordal does not do. The message names the field and what to do instead."""

    def __init__(self, field: str, why: str, remedy: str) -> None:
        super().__init__(f"{field} is not supported here: {why}. {remedy}")
        self.field = field


class InactiveTask(ChordalError):
    """The task has ended; it can neither be steered nor cancelled, and waits for no tool."""


class InvalidTask(ChordalError):
    """The task cannot be enqueued; the message says what is wrong with it. Nothing was stored."""


class NoResult(ChordalError):
    """The task has no final output; `get_task_status` says where it stands, `get_task_data` with what error it failed."""


class NoSuchCall(ChordalError):
    """The task has no deferred tool call of that id. `get_task_data` lists the calls of each turn."""
