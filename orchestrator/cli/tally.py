"""Where a goal stands, kept up to date from its events: what the progress views draw. Pure; one step an event."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orchestrator.domain.events import EventType as E
from orchestrator.domain.states import GOAL_TERMINAL, NODE_TERMINAL, GoalState, NodeState

if TYPE_CHECKING:
    from orchestrator.domain.events import Event
    from orchestrator.domain.views import GoalStatus

_NODE: Final[Mapping[str, NodeState]] = {
    E.NODE_CLAIMED: NodeState.RUNNING,
    E.NODE_DONE: NodeState.DONE,
    E.NODE_FAILED: NodeState.FAILED,
    E.NODE_RETRY: NodeState.WAITING,
    E.NODE_WAITING: NodeState.WAITING,
    E.NODE_EXPANDED: NodeState.WAITING,
    E.NODE_WOKEN: NodeState.READY,
    E.NODE_RELEASED: NodeState.READY,
    E.NODE_LOST: NodeState.READY,
    E.NODE_SKIPPED: NodeState.SKIPPED,
    E.NODE_DROPPED: NodeState.DROPPED,
    E.NODE_CANCELLED: NodeState.CANCELLED,
}
_GOAL: Final[Mapping[str, GoalState]] = {
    E.GOAL_SUBMITTED: GoalState.RUNNING,
    E.GOAL_STARTED: GoalState.RUNNING,
    E.GOAL_RESUMED: GoalState.RUNNING,
    E.GOAL_RETRIED: GoalState.RUNNING,
    E.GOAL_PAUSED: GoalState.PAUSED,
    E.GOAL_DONE: GoalState.DONE,
    E.GOAL_FAILED: GoalState.FAILED,
    E.GOAL_CANCELLED: GoalState.CANCELLED,
}
_CHANGES_THE_DAG: Final = frozenset({E.GOAL_PATCHED, E.GOAL_RETRIED, E.NODE_EXPANDED})
"""After these the nodes are not what they were, and events alone do not say how."""
_ITEM: Final = re.compile(r"(.+)\.\d+")


@dataclass(slots=True)
class Row:
    """One node, as far as the events have told."""

    state: NodeState
    role: str
    title: str = ""
    attempt: int = 0
    since: float | None = None
    """Redis time of the claim."""
    worker: str = ""
    remark: str = ""
    """Why it waits, or its error."""


@dataclass(slots=True)
class Tally:
    """All nodes of a goal with their states, and the counts of both the goal and each role."""

    goal: str
    title: str = ""
    state: GoalState = GoalState.RUNNING
    reason: str = ""
    rows: dict[str, Row] = field(default_factory=dict)
    roles: dict[str, Counter[NodeState]] = field(default_factory=dict)
    running: dict[str, Row] = field(default_factory=dict)
    """In the order they were claimed."""
    stale: bool = False
    """The DAG has changed: read the status again and `refresh`."""
    at: float = 0.0
    """Redis time of the newest event."""

    def add(self, nodes: Iterable[tuple[str, str, str]]) -> None:
        """Nodes that have not started, each (id, role, title)."""
        for name, role, title in nodes:
            self._put(name, Row(NodeState.BLOCKED, role, title))

    def refresh(self, status: GoalStatus) -> None:
        """Take over a status that was just read."""
        self.state, self.reason, self.title, self.stale = status.state, status.reason, status.title, False
        for name, node in status.nodes.items():
            known = self.rows.get(name)
            role = known.role if known else role_of(name, "")
            remark = node.error or node.reason or ""
            self._put(name, Row(node.state, role, node.title, node.attempt, node.started, node.worker or "", remark))

    def apply(self, event: Event) -> None:
        """Take over one event. Events that were seen already do no harm as long as the later ones follow."""
        self.at = max(self.at, event.at)
        self.stale = self.stale or event.type in _CHANGES_THE_DAG
        if event.type in _GOAL:
            self.state = _GOAL[event.type]
            self.reason = str(event.data.get("reason") or "")
        if event.type in _NODE and event.node:
            known = self.rows.get(event.node)
            row = Row(_NODE[event.type], known.role if known else role_of(event.node, ""), known.title if known else "")
            row.attempt, row.worker = event.attempt or 0, event.worker or ""
            row.since = event.at if row.state is NodeState.RUNNING else None
            row.remark = str(event.data.get("error") or event.data.get("reason") or "")
            self._put(event.node, row)

    def _put(self, name: str, row: Row) -> None:
        old = self.rows.get(name)
        if old:
            self.roles[old.role][old.state] -= 1
        self.rows[name] = row
        self.roles.setdefault(row.role, Counter())[row.state] += 1
        self.running.pop(name, None)
        if row.state is NodeState.RUNNING:
            self.running[name] = row

    @property
    def counts(self) -> Counter[NodeState]:
        """Nodes by state."""
        return sum(self.roles.values(), Counter())

    @property
    def ended(self) -> int:
        """Nodes that have ended, whichever way."""
        return sum(count for state, count in self.counts.items() if state in NODE_TERMINAL)

    @property
    def over(self) -> bool:
        """Whether the goal has ended."""
        return self.state in GOAL_TERMINAL

    def eta_seconds(self, elapsed_seconds: float) -> float | None:
        """Seconds to the end at the pace so far; None while that would be a guess."""
        ended, total = self.ended, len(self.rows)
        if ended < 5 or ended >= total or elapsed_seconds < 1.0 or self.state is not GoalState.RUNNING:
            return None
        return elapsed_seconds / ended * (total - ended)


def role_of(node: str, given: str) -> str:
    """The line of the display that a node belongs to: its agent, queue or function, or the map it is an item of."""
    return given or map_of(node) or "nodes"


def map_of(node: str) -> str:
    """The map that the node would be an item of, by its id; empty where the id is not of that form."""
    item = _ITEM.fullmatch(node)
    return item[1] if item else ""
