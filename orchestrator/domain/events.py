"""What is written down about a goal, in the order in which it became true.

Every script appends its events in the step that changes the state, so the stream is the history.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class EventType(StrEnum):
    """The kinds of event; `meaning` is the reference text."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    GOAL_SUBMITTED = "goal.submitted", "The goal is stored and visible. data: nodes"
    GOAL_STARTED = "goal.started", "Its nodes may be claimed."
    GOAL_PAUSED = "goal.paused", "No further claim; nodes that run finish, or are stopped. data: reason, by"
    GOAL_RESUMED = "goal.resumed", "Claims are accepted again. data: reason, by"
    GOAL_HELD = "goal.held", "No further claim of a node, or of an agent's nodes. data: node or agent, by, reason"
    GOAL_RELEASED = "goal.released", "The end of such a hold. data: node or agent, by, reason"
    GOAL_PRIORITY = "goal.priority", "Its invitations go earlier or later. data: priority, before"
    GOAL_BUDGET = "goal.budget", "What it may spend on model calls was set. data: tokens, micro_usd, as far as given"
    GOAL_CANCELLING = "goal.cancelling", "A cancel was accepted: from here on no claim and no commit. data: reason, by"
    GOAL_SIGNALLED = "goal.signalled", "A named signal arrived for the first time. data: signal"
    GOAL_PATCHED = "goal.patched", "The plan was changed. data: reason, version"
    GOAL_REPARSED = (
        "goal.reparsed",
        "Agents of the goal were declared anew. data: changed (digest by name), removed, source",
    )
    GOAL_RETRIED = "goal.retried", "A failed goal was set running again. What FAILED or was SKIPPED may run again."
    GOAL_DONE = "goal.done", "Every node ended and no failure was left unhandled."
    GOAL_FAILED = "goal.failed", "Every node ended and at least one failure was left unhandled. data: reason"
    GOAL_CANCELLED = "goal.cancelled", "The cancellation is complete. data: reason"
    NODE_CLAIMED = "node.claimed", "A worker holds the node's lease. data: place, in its lane"
    NODE_DONE = "node.done", "The output is committed, once a node. data: llm, figures of a call; digests, if recorded"
    NODE_FAILED = "node.failed", "The attempts are used up. data: reason, error"
    NODE_RETRY = "node.retry", "An attempt failed; another follows. data: reason, error"
    NODE_WAITING = "node.waiting", "The node is parked and holds no worker. data: reason; why, after a failed call"
    NODE_WOKEN = "node.woken", "A parked node goes on. data: by"
    NODE_RELEASED = "node.released", "A worker handed the node back unstarted; the attempt does not count."
    NODE_LOST = "node.lost", "The lease ran out: the worker died or stands still."
    NODE_STOPPED = "node.stopped", "A pause took the node's lease away: it runs again, from its start, after a resume."
    NODE_FENCED = "node.fenced", "A commit without the valid lease was refused; nothing changed."
    NODE_TURN = (
        "node.turn",
        "An agent's turn is committed. data: turn, calls (tools by node), tokens, money, model; trimmed, refused, final",
    )
    NODE_STEERED = "node.steered", "A message for an agent's node was taken in; its next turn reads it. data: id"
    NODE_EXPANDED = "node.expanded", "A map added its items, or an agent its tool calls, to the plan. data: items"
    NODE_REASSIGNED = (
        "node.reassigned",
        "A node that nobody had begun went to another agent, for want of a worker. data: agent, queue, before, reason",
    )
    NODE_STUCK = (
        "node.stuck",
        "No worker serves its agent's queue and nobody else may do it. data: agent, queue, reason",
    )
    NODE_REOPENED = (
        "node.reopened",
        "A node that had ended runs again, or waits again for what does; a DONE one's output is forgotten.",
    )
    NODE_EDITED = "node.edited", "The node has other inputs. data: inputs (the names that changed), version of the plan"
    NODE_PRIORITY = "node.priority", "The node goes earlier or later among those that are ready. data: priority, before"
    NODE_SKIPPED = "node.skipped", "The node's join can no longer fire."
    NODE_DROPPED = "node.dropped", "The node was taken out of the plan. data: as (`failed`, where it counts as that)"
    NODE_CHUNK = "node.chunk", "A piece of a model's answer, in a stream of its own. data: text, model, call"
    NODE_CANCELLED = "node.cancelled", "The goal was cancelled before the node ended."
    COMMAND_APPLIED = (
        "command.applied",
        "A command acted on the goal, or on the node, once. data: command (its id), by, reason, outcome, expires",
    )
    COMMAND_REFUSED = (
        "command.refused",
        "A command was refused, and will not act here any more. data: command, by, reason, verb, why, expires",
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a goal's stream. Fields that do not apply are empty or None."""

    id: str
    """The stream id; pass it as `after` to read on."""
    at: float
    """Redis time, seconds since the epoch."""
    type: str
    goal: str
    node: str = ""
    attempt: int | None = None
    token: int | None = None
    worker: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_stream(cls, goal: str, name: str, fields: Mapping[str, str]) -> Self:
        """The event that an entry of a goal's stream stands for; `name` is the entry's id, which begins with its time."""
        attempt, token = fields.get("attempt"), fields.get("token")
        raw = fields.get("data")
        data = json.loads(raw) if raw else {}
        return cls(
            id=name,
            at=int(name.partition("-")[0]) / 1000,
            type=fields["type"],
            goal=goal,
            node=fields.get("node", ""),
            attempt=int(attempt) if attempt else None,
            token=int(token) if token else None,
            worker=fields.get("worker", ""),
            data=data if isinstance(data, dict) else {"value": data},
        )

    def as_json(self) -> dict[str, Any]:
        """The event as the CLI and the API print it."""
        return {name: getattr(self, name) for name in self.__slots__}
