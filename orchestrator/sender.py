"""What is sent through Celery: invitations, users' tasks, words for model calls, news of goals."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from celery import Celery, states
from kombu.exceptions import OperationalError

from orchestrator.domain.errors import ChordalError
from orchestrator.engine.dispatch import UserTask
from orchestrator.engine.duties import LLM_QUEUE
from orchestrator.gate.place import Place
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.llm_records import Word
from orchestrator.store.records import Invitation

log = logging.getLogger(__name__)

RUN_TASK: Final = "tasks.node.run"
CALL_TASK: Final = "tasks.llm.run"
TELL_TASK: Final = "tasks.notify.deliver"
MARK: Final[Mapping[str, Any]] = {
    "task": "chordal.node",
    "args": [],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
    "immutable": True,
}
"""The tiny chord that a user's task message carries: Celery then calls our backend where it would count the chord."""


def band(priority: int) -> int:
    """The broker's list for a goal's priority: one each for 0, 1-9, 10-99 and 100 or more; Redis serves the lowest first."""
    return 9 - 3 * min(3, len(str(priority)) if priority > 0 else 0)


class CallFailed(ChordalError):
    """A model call by `tasks.llm.call` got no answer; the message says why."""


class CelerySender:
    """Publishes messages through Celery, by task name.

    A message that cannot be sent is only logged: what Redis holds is the truth, and beat sends it again.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def invite(self, invitations: Iterable[Invitation]) -> None:
        """Send one invitation each."""
        for one in invitations:
            self._send(
                RUN_TASK,
                args=(one.goal, one.queue, one.node, one.sent_ms),
                task_id=one.task_id,
                queue=one.queue,
                priority=band(one.priority),
                ignore_result=True,
                argsrepr=f"({one.goal}, {one.node})",
                kwargsrepr="{}",
            )

    def start(self, task: UserTask) -> None:
        """Send the user's own task; its arguments stay out of what Flower shows."""
        options: dict[str, Any] = {"queue": task.queue} if task.queue else {}
        if task.time_limit:
            options["time_limit"] = task.time_limit
        self._send(
            task.name,
            args=task.args,
            kwargs=dict(task.kwargs),
            task_id=f"{task.goal}:{task.node}:{task.attempt}",
            group_id=task.goal,
            chord=dict(MARK),
            argsrepr=f"({task.goal}, {task.node})",
            kwargsrepr="{}",
            **options,
        )

    def call(self, account: str, word: Word) -> None:
        """Send a word of an account's line to the workers that make calls; it names no prompt."""
        self._send(
            CALL_TASK,
            args=(account, word.id, word.outcome.value, word.detail),
            task_id=Place.of(word.id).task_id,
            queue=LLM_QUEUE,
            ignore_result=True,
        )

    def tell(self, goal: str, queue: str) -> None:
        """Have a worker tell webhooks and callbacks of what happened to a goal."""
        self._send(TELL_TASK, args=(goal,), task_id=f"tell:{goal}", queue=queue, ignore_result=True)

    def conclude(self, task_id: str, output: Any, error: str | None) -> None:
        """Store the result of a Celery task that a goal stands for."""
        result, state = (output, states.SUCCESS) if error is None else (CallFailed(error), states.FAILURE)
        self._app.backend.store_result(task_id, result, state)

    def _send(self, name: str, **message: Any) -> None:
        try:
            self._app.send_task(name, **message)
        except (OperationalError, *ConnectionFailed) as error:
            log.warning("the message %s was not sent (%s); beat will send it again", message["task_id"], error)
