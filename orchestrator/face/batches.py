"""Batches: tasks that are enqueued, looked at and cancelled together. A batch is a goal; each of its nodes is a task's goal."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.domain.errors import GoalNotFound
from orchestrator.domain.states import NODE_TERMINAL, GoalState
from orchestrator.engine.kinds import child_id
from orchestrator.face.cards import AnAgent
from orchestrator.face.errors import InactiveTask, InvalidTask
from orchestrator.face.task import BATCH, Task, batch_of
from orchestrator.face.tasks import Tasks

_STATUS: dict[GoalState, Literal["completed", "cancelled"]] = {
    GoalState.DONE: "completed",
    GoalState.FAILED: "completed",
    GoalState.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch, at one moment."""

    id: str
    owner_id: str
    task_ids: tuple[str, ...]
    """In the order of the payloads."""
    remaining_task_ids: tuple[str, ...]
    """Those that have not ended."""
    progress: float
    """How many of a hundred have ended."""
    status: Literal["active", "completed", "cancelled"]
    """`completed`: every task has ended, however it did."""
    created_at: float
    """Redis time, seconds since the epoch."""


class Batches(Tasks):
    """Batches of one Chordal."""

    def enqueue_batch_sync(self, agent: AnAgent, payloads: Sequence[Any], owner_id: str) -> Batch:
        """Store one task for each payload, all or none, and start them. A task that fails does not stop the others.

        Raises InvalidTask, InvalidGoal.
        """
        if not payloads:
            raise InvalidTask("a batch needs at least one payload")
        goals = [self.document(agent, Task.create(owner_id, agent.name, payload)) for payload in payloads]
        batch = f"{BATCH}{secrets.token_hex(6)}"
        self.chordal.submit(batch_of(batch, owner_id, goals))
        return self.get_batch_sync(batch)

    def get_batch_sync(self, batch_id: str) -> Batch:
        """Where a batch stands. Raises GoalNotFound."""
        if not batch_id.startswith(BATCH) or "." in batch_id:
            raise GoalNotFound(f"{batch_id!r} is the id of no batch")
        summary = self.chordal.summary(batch_id)
        store = self.chordal.store
        with self.chordal.reachable():
            nodes = sorted(store.goals.part(batch_id, "nodes"))
            states = store.nodes.states(batch_id, nodes)
        open_ones = [name for name, one in zip(nodes, states, strict=True) if one.get("state") not in NODE_TERMINAL]
        status: Literal["active", "completed", "cancelled"] = _STATUS.get(summary.state, "active")
        if status == "active" and summary.cancelling:
            status = "cancelled"
        return Batch(
            id=batch_id,
            owner_id=summary.owner,
            task_ids=tuple(child_id(batch_id, name) for name in nodes),
            remaining_task_ids=tuple(child_id(batch_id, name) for name in open_ones),
            progress=100.0 * (len(nodes) - len(open_ones)) / len(nodes),
            status=status,
            created_at=summary.created,
        )

    def cancel_batch_sync(self, batch_id: str) -> Batch:
        """Cancel every task of a batch that has not ended. Raises GoalNotFound, InactiveTask when the batch had ended."""
        before = self.get_batch_sync(batch_id)
        if before.status != "active" or self.chordal.cancel(batch_id, "cancelled by cancel_batch") == "ended":
            raise InactiveTask(f"batch {batch_id!r} has ended; there is nothing to cancel")
        return self.get_batch_sync(batch_id)
