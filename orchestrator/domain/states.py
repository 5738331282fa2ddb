"""The states of goals and nodes, and the one table of moves between them.

The Lua scripts implement this table; `tests/integration/test_transitions.py` proves that the two agree.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from orchestrator.domain.errors import IllegalTransition


class NodeState(StrEnum):
    """Where a node is between waiting for its parents and its end."""

    BLOCKED = "BLOCKED"  # some edge into it has not fired yet
    READY = "READY"  # may be claimed by any worker of its queue
    RUNNING = "RUNNING"  # a worker holds its lease
    WAITING = "WAITING"  # parked: timer, signal, approval, child goal, map items, back-off; no slot, no lease
    DONE = "DONE"  # its output is committed
    FAILED = "FAILED"  # its attempts are used up; the error is committed
    SKIPPED = "SKIPPED"  # its join can no longer fire
    DROPPED = "DROPPED"  # a patch took it out of the plan
    CANCELLED = "CANCELLED"  # its goal was cancelled before it ended


class GoalState(StrEnum):
    """Where a goal is between its plan and its end."""

    PLANNING = "PLANNING"  # its DAG is being made or stored; nothing runs
    AWAITING_APPROVAL = "AWAITING_APPROVAL"  # the plan waits for a person
    RUNNING = "RUNNING"  # its nodes may be claimed
    PAUSED = "PAUSED"  # running nodes finish, nothing new is claimed
    DONE = "DONE"  # every node ended, no failure was left unhandled
    FAILED = "FAILED"  # every node ended, at least one failed with no `on: failed` edge
    CANCELLED = "CANCELLED"  # a person or a program stopped it before its end


N, G = NodeState, GoalState

NODE_MOVES: Final[dict[NodeState, frozenset[NodeState]]] = {
    N.BLOCKED: frozenset({N.READY, N.SKIPPED, N.DROPPED, N.CANCELLED}),
    N.READY: frozenset({N.RUNNING, N.BLOCKED, N.DROPPED, N.CANCELLED}),
    N.RUNNING: frozenset({N.DONE, N.FAILED, N.WAITING, N.READY, N.CANCELLED}),
    N.WAITING: frozenset({N.READY, N.RUNNING, N.DONE, N.FAILED, N.DROPPED, N.CANCELLED}),
    N.DONE: frozenset({N.READY, N.BLOCKED}),
    N.FAILED: frozenset({N.READY, N.BLOCKED}),
    N.SKIPPED: frozenset({N.BLOCKED, N.READY}),
    N.DROPPED: frozenset(),
    N.CANCELLED: frozenset(),
}
"""From each node state, where a node may go. FAILED and SKIPPED are left only by an explicit retry; DONE only by that of a
failed node before it, with its descendants."""

GOAL_MOVES: Final[dict[GoalState, frozenset[GoalState]]] = {
    G.PLANNING: frozenset({G.AWAITING_APPROVAL, G.RUNNING, G.FAILED, G.CANCELLED}),
    G.AWAITING_APPROVAL: frozenset({G.PLANNING, G.RUNNING, G.FAILED, G.CANCELLED}),
    G.RUNNING: frozenset({G.PAUSED, G.DONE, G.FAILED, G.CANCELLED}),
    G.PAUSED: frozenset({G.RUNNING, G.DONE, G.FAILED, G.CANCELLED}),
    G.DONE: frozenset(),
    G.FAILED: frozenset({G.RUNNING}),
    G.CANCELLED: frozenset(),
}
"""From each goal state, where a goal may go. FAILED is left only by a retry."""

NODE_TERMINAL: Final = frozenset({N.DONE, N.FAILED, N.SKIPPED, N.DROPPED, N.CANCELLED})
GOAL_TERMINAL: Final = frozenset({G.DONE, G.FAILED, G.CANCELLED})


def move_node(node: str, before: NodeState, after: NodeState) -> NodeState:
    """Return `after`, or raise IllegalTransition that says where the node may go instead."""
    if after not in NODE_MOVES[before]:
        raise IllegalTransition(_story("node", node, before, after, NODE_MOVES[before]))
    return after


def move_goal(goal: str, before: GoalState, after: GoalState) -> GoalState:
    """Return `after`, or raise IllegalTransition that says where the goal may go instead."""
    if after not in GOAL_MOVES[before]:
        raise IllegalTransition(_story("goal", goal, before, after, GOAL_MOVES[before]))
    return after


def _story(what: str, name: str, before: StrEnum, after: StrEnum, allowed: frozenset[StrEnum]) -> str:
    where = ", ".join(sorted(allowed)) or "nowhere, it has ended"
    return f"{what} {name!r} is {before}; it cannot become {after}. From {before} it can go to: {where}"
