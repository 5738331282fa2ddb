"""Where a task stands, in nFactorial's words: one function from what is stored to one of its ten states. No I/O here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestrator.domain.dag import NodeKind
from orchestrator.domain.states import NODE_TERMINAL, GoalState, NodeState


class TaskStatus(StrEnum):
    """nFactorial's states of a task."""

    QUEUED = "queued"  # no turn has begun: the node is BLOCKED or READY
    PROCESSING = "processing"  # a turn is under way: claimed, in the line before the model, asking it, or running tools
    ACTIVE = "active"  # between two turns: READY again, or a patch made it wait for another node
    COMPLETED = "completed"  # the goal is DONE
    FAILED = "failed"  # the goal FAILED
    PAUSED = "paused"  # the goal is PAUSED, or its plan waits for approval: nothing new begins
    CANCELLED = "cancelled"  # the goal is CANCELLED, or is being cancelled
    PENDING_TOOL_RESULTS = "pending_tool_results"  # a deferred tool, an approval or a person must answer
    PENDING_CHILD_TASKS = "pending_child_tasks"  # a sub-agent or a sub-goal has not ended
    BACKOFF = "backoff"  # a turn failed and the next attempt waits for its time


ENDED: Final = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})
"""The states that a task does not leave by itself."""
_ENDS: Final = {
    GoalState.DONE: TaskStatus.COMPLETED,
    GoalState.FAILED: TaskStatus.FAILED,
    GoalState.CANCELLED: TaskStatus.CANCELLED,
}
_STOPPED: Final = frozenset({GoalState.PAUSED, GoalState.AWAITING_APPROVAL})
_FOR_CHILDREN: Final = frozenset({"items", "tools", "children"})
_CHILDREN: Final = frozenset({NodeKind.AGENT, NodeKind.GOAL})


@dataclass(frozen=True, slots=True)
class Step:
    """A node that stands for a tool call of the task's latest turn."""

    kind: NodeKind | None
    state: NodeState
    parked: str = ""
    """What it waits for, as the store notes it."""

    @property
    def open(self) -> bool:
        """Whether the task still waits for it."""
        return self.state not in NODE_TERMINAL

    @property
    def outside(self) -> bool:
        """Whether someone outside the fleet must answer it."""
        return self.state is NodeState.WAITING and (
            self.parked in ("approval", "deferred") or self.parked.startswith("signal:")
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What the status of a task follows from."""

    goal: GoalState
    node: NodeState
    parked: str = ""
    """What its node waits for: `backoff`, `llm:<account>`, `tools`, ..."""
    turns: int = 0
    """Answers in the transcript."""
    cancelling: bool = False
    steps: tuple[Step, ...] = ()
    """Its tool calls, sub-agents and sub-goals of this turn."""


def status_of(standing: Standing) -> TaskStatus:
    """The one state of nFactorial that this is."""
    if standing.goal in _ENDS:
        return _ENDS[standing.goal]
    if standing.cancelling:
        return TaskStatus.CANCELLED
    if standing.goal in _STOPPED:
        return TaskStatus.PAUSED
    if standing.node is NodeState.WAITING:
        return _waiting(standing)
    if standing.node in (NodeState.BLOCKED, NodeState.READY):
        return TaskStatus.ACTIVE if standing.turns else TaskStatus.QUEUED
    return TaskStatus.PROCESSING


def _waiting(standing: Standing) -> TaskStatus:
    if standing.parked == "backoff":
        return TaskStatus.BACKOFF
    if standing.parked in _FOR_CHILDREN:
        return _for_steps([step for step in standing.steps if step.open])
    return TaskStatus.PROCESSING


def _for_steps(steps: Iterable[Step]) -> TaskStatus:
    """An answer from outside comes first, as there; ordinary tools are part of the turn."""
    found = list(steps)
    if any(step.outside for step in found):
        return TaskStatus.PENDING_TOOL_RESULTS
    if any(step.kind in _CHILDREN for step in found):
        return TaskStatus.PENDING_CHILD_TASKS
    return TaskStatus.PROCESSING
