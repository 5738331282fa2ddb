"""What a reader sees of a goal: frozen copies of its state at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.states import GOAL_TERMINAL, GoalState, NodeState
from orchestrator.domain.trace import trace_id


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node. Times are Redis time in seconds; None where it has not happened."""

    id: str
    title: str
    state: NodeState
    attempt: int
    output: Any = None
    error: str | None = None
    reason: str | None = None
    """Why it waits or why it failed."""
    started: float | None = None
    ended: float | None = None
    worker: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The node's part of `chordal status --json`."""
        names = ("state", "attempt", "output", "error", "title", "reason", "started", "ended", "worker")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalSummary:
    """One goal without its nodes. Times are Redis time in seconds."""

    goal_id: str
    title: str
    state: GoalState
    owner: str
    created: float
    started: float | None
    ended: float | None
    read_at: float
    counts: Mapping[NodeState, int]
    total: int
    reason: str = ""
    cancelling: bool = False

    @property
    def seconds(self) -> float:
        """From the start to the end, or to now while it goes on."""
        return (self.ended or self.read_at) - (self.started or self.created)

    @property
    def trace(self) -> str:
        """The trace id that its log lines and notifications carry."""
        return trace_id(self.goal_id, round(self.created * 1000))

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self.state in GOAL_TERMINAL

    def as_json(self) -> dict[str, Any]:
        """The summary as `chordal list --json` prints it."""
        return {
            "goal_id": self.goal_id,
            "title": self.title,
            "state": self.state,
            "owner": self.owner,
            "seconds": round(self.seconds, 6),
            "created": self.created,
            "started": self.started,
            "ended": self.ended,
            "total": self.total,
            "counts": {state.value: count for state, count in self.counts.items() if count},
            "reason": self.reason,
            "cancelling": self.cancelling,
            "trace": self.trace,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalStatus(GoalSummary):
    """One goal with its nodes and edges."""

    nodes: Mapping[str, NodeStatus] = field(default_factory=dict)
    edges: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The goal as `chordal status --json` prints it."""
        nodes = {node.id: node.as_json() for node in self.nodes.values()}
        return {**GoalSummary.as_json(self), "nodes": nodes, "edges": self.edges}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `chordal doctor`. `ok` is None where the check does not apply or could not be made."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""
