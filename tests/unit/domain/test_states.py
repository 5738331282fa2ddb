"""The one table of moves."""

from __future__ import annotations

import pytest

from orchestrator.domain.errors import IllegalTransition
from orchestrator.domain.states import (
    GOAL_MOVES,
    GOAL_TERMINAL,
    NODE_MOVES,
    NODE_TERMINAL,
    GoalState,
    NodeState,
    move_goal,
    move_node,
)


def test_every_state_has_its_row() -> None:
    assert set(NODE_MOVES) == set(NodeState)
    assert set(GOAL_MOVES) == set(GoalState)


def test_no_state_leads_to_itself() -> None:
    assert not [state for state, after in NODE_MOVES.items() if state in after]
    assert not [state for state, after in GOAL_MOVES.items() if state in after]


def test_terminal_states_are_left_by_a_retry_only() -> None:
    left = {state for state in NODE_TERMINAL if NODE_MOVES[state]}
    assert left == {NodeState.DONE, NodeState.FAILED, NodeState.SKIPPED}
    assert all(NODE_MOVES[state] <= {NodeState.READY, NodeState.BLOCKED} for state in left)
    assert {state for state in GOAL_TERMINAL if GOAL_MOVES[state]} == {GoalState.FAILED}


def test_every_state_can_be_reached_and_every_open_one_can_end() -> None:
    reached = {after for moves in NODE_MOVES.values() for after in moves} | {NodeState.BLOCKED}
    assert reached == set(NodeState)
    for state in set(NodeState) - NODE_TERMINAL:
        assert NodeState.CANCELLED in NODE_MOVES[state], "a cancellation reaches every open node"


def test_an_allowed_move_answers_with_the_new_state() -> None:
    assert move_node("a", NodeState.READY, NodeState.RUNNING) is NodeState.RUNNING
    assert move_goal("g", GoalState.RUNNING, GoalState.PAUSED) is GoalState.PAUSED


def test_a_forbidden_move_tells_the_story() -> None:
    with pytest.raises(IllegalTransition, match=r"node 'a' is DROPPED; it cannot become READY.*nowhere, it has ended"):
        move_node("a", NodeState.DROPPED, NodeState.READY)
    with pytest.raises(IllegalTransition, match=r"goal 'g' is FAILED.*can go to: RUNNING"):
        move_goal("g", GoalState.FAILED, GoalState.DONE)
