"""Our events in nFactorial's words. No I/O here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.domain.events import Event
from orchestrator.face.task import BATCH, NODE

GOAL: Final[Mapping[str, str]] = {
    "goal.started": "run_started",
    "goal.done": "run_completed",
    "goal.failed": "run_failed",
    "goal.cancelled": "run_cancelled",
}
"""Of a task's goal."""
OWN: Final[Mapping[str, str]] = {
    "node.done": "agent_output",
    "node.failed": "task_failed",
    "node.retry": "task_retried",
    "node.lost": "task_retried",
    "node.turn": "progress_update_run_turn_completed",
    "node.steered": "run_steering_applied",
}
"""Of a task's own node."""
TOOL: Final[Mapping[str, str]] = {
    "node.claimed": "progress_update_tool_action_started",
    "node.done": "progress_update_tool_action_completed",
    "node.failed": "progress_update_tool_action_failed",
}
"""Of a node that carries out a tool call."""
BATCHED: Final[Mapping[str, str]] = {
    "node.done": "batch_progress",
    "node.failed": "batch_progress",
    "goal.done": "batch_completed",
    "goal.failed": "batch_completed",
    "goal.cancelled": "batch_cancelled",
}
"""Of a batch's goal."""
PENDING: Final[Mapping[str, str]] = {
    "tools": "task_pending_tool_call_results",
    "children": "task_pending_child_task_results",
}
"""What a task's own node waits for, as `node.waiting` gives its reason."""
_CHILD: Final = re.compile(r"\.t\d+\.\d+$")


def type_of(event: Event) -> str:
    """nFactorial's name of an event; our own where it has none."""
    if event.goal.startswith(BATCH) and "." not in event.goal:
        return BATCHED.get(event.type, event.type)
    if not event.node:
        return GOAL.get(event.type, event.type)
    if event.node == NODE:
        if event.type == "node.waiting":
            return PENDING.get(str(event.data.get("reason", "")), event.type)
        return OWN.get(event.type, event.type)
    return TOOL.get(event.type, event.type) if _CHILD.search(event.node) else event.type


def update_of(event: Event, owner: str, agent: str) -> dict[str, Any]:
    """An event as nFactorial gives its updates, with our own type as `event`; its `id` is the stream id and the goal."""
    batch = event.goal.rpartition(".")[0] or event.goal if event.goal.startswith(BATCH) else None
    return {
        "event_type": type_of(event),
        "task_id": None if batch == event.goal else event.goal,
        "owner_id": owner,
        "timestamp": datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds"),
        "agent_name": agent or None,
        "batch_id": batch,
        "turn": event.data.get("turn"),
        "data": dict(event.data) or None,
        "error": event.data.get("error") or (event.data.get("reason") if event.type == "goal.failed" else None),
        "metadata": None,
        "id": f"{event.id}/{event.goal}",
        "event": event.type,
        "node": event.node or None,
    }
