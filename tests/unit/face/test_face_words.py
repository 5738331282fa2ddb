"""Our events in nFactorial's words."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.events import Event, EventType
from orchestrator.face.updates import Wanted
from orchestrator.face.words import BATCHED, GOAL, OWN, TOOL, type_of, update_of


def event(kind: str, node: str = "", goal: str = "t", **data: Any) -> Event:
    return Event("1700000000123-4", 1_700_000_000.123, kind, goal, node, data=data)


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (event("goal.started"), "run_started"),
        (event("goal.done"), "run_completed"),
        (event("goal.failed", reason="task"), "run_failed"),
        (event("goal.cancelled"), "run_cancelled"),
        (event("node.turn", "task", turn=2), "progress_update_run_turn_completed"),
        (event("node.steered", "task"), "run_steering_applied"),
        (event("node.retry", "task"), "task_retried"),
        (event("node.failed", "task"), "task_failed"),
        (event("node.done", "task"), "agent_output"),
        (event("node.waiting", "task", reason="tools"), "task_pending_tool_call_results"),
        (event("node.waiting", "task", reason="children"), "task_pending_child_task_results"),
        (event("node.waiting", "task", reason="backoff"), "node.waiting"),
        (event("node.claimed", "task.t1.0"), "progress_update_tool_action_started"),
        (event("node.done", "task.t12.3"), "progress_update_tool_action_completed"),
        (event("node.failed", "task.t1.0"), "progress_update_tool_action_failed"),
        (event("node.done", "task.x"), "node.done"),
        (event("node.done", "t1", "batch-1"), "batch_progress"),
        (event("goal.done", "", "batch-1"), "batch_completed"),
        (event("goal.cancelled", "", "batch-1"), "batch_cancelled"),
        (event("goal.done", "", "batch-1.t1"), "run_completed"),
        (event("node.claimed", "task"), "node.claimed"),
    ],
)
def test_a_word(one: Event, kind: str) -> None:
    assert type_of(one) == kind


def test_every_event_in_the_tables_exists() -> None:
    known = {kind.value for kind in EventType}
    assert {*GOAL, *OWN, *TOOL, *BATCHED} <= known


def test_an_update_has_a_time_of_its_own_and_says_where_to_go_on() -> None:
    update = update_of(event("node.turn", "task", turn=2), "ann", "desk")
    assert update["timestamp"] == "2023-11-14T22:13:20.123+00:00"
    assert update["id"] == "1700000000123-4/t"
    assert (update["task_id"], update["owner_id"], update["agent_name"], update["turn"]) == ("t", "ann", "desk", 2)
    assert update_of(event("goal.failed", reason="task: bad"), "ann", "")["error"] == "task: bad"
    assert update_of(event("goal.done", "", "batch-1"), "ann", "")["task_id"] is None
    assert update_of(event("goal.done", "", "batch-1.t1"), "ann", "")["batch_id"] == "batch-1"


def test_an_update_does_not_hold_the_secret_of_a_deferred_tool() -> None:
    waiting = event("node.waiting", "task.t1.0", reason="deferred")
    assert update_of(waiting, "ann", "")["data"] == {"reason": "deferred"}


def test_all_conditions_hold_together() -> None:
    wanted = Wanted.of(["run_completed", "task_failed"], "run_.*")
    assert [kind for kind in ("run_completed", "task_failed", "run_failed") if wanted.fits(kind)] == ["run_completed"]
    assert Wanted.of(None, None).fits("anything")
    assert not Wanted.of([], None).fits("anything")
