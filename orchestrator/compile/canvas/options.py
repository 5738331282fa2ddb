"""What Celery's execution options and a node's fields say to each other, in both directions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.compile.canvas.errors import NotAGoal
from orchestrator.domain.dag import POSITIONAL, Node

ARGS: Final = POSITIONAL
"""The key in a `task` node's inputs that holds its positional arguments, a list; the other keys are keyword arguments."""
PLAIN_TASK: Final = "tasks.node.plain"
"""The Celery task that runs, in a plain canvas, a node that is not itself a Celery task."""
NO_OP: Final = "celery.accumulate"
"""A task of Celery's own that returns its arguments: without any it only joins what stands in front of it."""
LOWEST: Final = 9
"""Celery's priorities on Redis run from 0, the highest and the default, to 9."""

_LEFT_OUT: Final = ("retries", "backoff_seconds", "lease_seconds", "agent")
_BOUND_TO_ONE_RUN: Final = frozenset(
    {
        "task_id",
        "root_id",
        "parent_id",
        "reply_to",
        "group_id",
        "group_index",
        "chord",
        "replaced_task_nesting",
        "origin",
    }
)
_ABOUT_THE_MESSAGE: Final = frozenset(
    {"serializer", "compression", "retry", "retry_policy", "ignore_result", "argsrepr", "kwargsrepr", "add_to_parent"}
    | {"producer", "publisher", "connection", "router", "route_name", "delivery_mode", "mandatory", "result_cls"}
)
_READ_ELSEWHERE: Final = frozenset({"link", "link_error", "countdown", "stamped_headers"})
_FIELDS: Final = frozenset({"queue", "time_limit", "soft_time_limit", "priority", "shadow"})
_INSTEAD: Final = {
    "eta": "give a countdown in seconds, it becomes a wait node; a goal has no calendar",
    "expires": "give the goal a deadline_seconds",
    "routing_key": "name the queue",
    "exchange": "name the queue",
    "chain": "pass the canvas itself, not a message made from it",
}


def celery_options(node: Node, prioritised: bool) -> dict[str, Any]:
    """The options of a node's signature. `prioritised`: some node of the goal has a priority, so every one gets its own."""
    options: dict[str, Any] = {}
    if node.queue is not None:
        options["queue"] = node.queue
    if node.timeout_seconds is not None:
        options["time_limit"] = node.timeout_seconds
    if prioritised:
        options["priority"] = LOWEST - min(node.priority, LOWEST)
    return options


def left_out(node: Node) -> list[str]:
    """Fields that Celery sets on the task, not on a message: the canvas runs without them."""
    return [f"{node.id}.{name}" for name in _LEFT_OUT if getattr(node, name) is not None]


def node_fields(task: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `task` node. Raises NotAGoal for an option that no field says."""
    stamps = [str(name) for name in options.get("stamped_headers") or ()]
    given = {name: value for name, value in options.items() if value is not None and name not in stamps}
    known = _FIELDS | _READ_ELSEWHERE | _BOUND_TO_ONE_RUN | _ABOUT_THE_MESSAGE
    for name in given:
        if name not in known:
            remedy = _INSTEAD.get(name, "take it off")
            raise NotAGoal(f"{task} has the option {name!r}, which a goal has no field for ({remedy})")
    fields: dict[str, Any] = {}
    if "shadow" in given:
        fields["title"] = str(given["shadow"])
    if "queue" in given:
        fields["queue"] = str(getattr(given["queue"], "name", given["queue"]))
    if limit := given.get("time_limit") or given.get("soft_time_limit"):
        fields["timeout_seconds"] = limit
    if "priority" in given:
        fields["priority"] = LOWEST - min(max(given["priority"], 0), LOWEST)
    if stamps:
        fields["metadata"] = {name: _text(options.get(name)) for name in stamps}
    return fields


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
