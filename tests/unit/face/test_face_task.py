"""What a task becomes, and what cannot become one."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from orchestrator.domain.agent import AgentCard, AgentLimits
from orchestrator.domain.validate import read_goal
from orchestrator.face.config import AgentWorkerConfig
from orchestrator.face.errors import InvalidTask
from orchestrator.face.task import AgentContext, Task, asked_of, batch_of, batch_of_task, goal_of

CARD = AgentCard(name="desk", instructions="Help.", limits=AgentLimits(max_turns=4))


def made(payload: Any = "What is new?", **more: Any) -> dict[str, Any]:
    return goal_of(Task.create("ann", "desk", payload, **more), [CARD], AgentWorkerConfig(), 3.0)


def test_a_task_becomes_a_valid_goal_of_one_node() -> None:
    document = made({"query": "What is\nnew?", "tier": 2}, id="t1")
    goal = read_goal(document)
    assert (goal.goal_id, goal.owner, goal.title) == ("t1", "ann", "What is new?")
    (node,) = goal.nodes
    assert (node.id, node.kind, node.agent, node.lease_seconds) == ("task", "agent", "desk", 3.0)
    assert node.inputs == {"task": "What is\nnew?", "tier": 2}
    assert goal.agents == (CARD,)


def test_what_the_configuration_sets_wins_over_the_agents_limits() -> None:
    config = AgentWorkerConfig(max_retries=1, turn_timeout=7, heartbeat_interval=1, missed_heartbeats_threshold=1,
                               missed_heartbeats_grace_period=1)  # fmt: skip
    document = goal_of(Task.create("ann", "desk", "x", max_turns=2), [CARD], config, 3.0)
    limits = read_goal(document).agents[0].limits
    assert (limits.max_retries, limits.turn_timeout_seconds, limits.max_turns) == (1, 7.0, 2)
    assert document["nodes"][0]["lease_seconds"] == 2.0


def test_the_payload_can_be_read_back() -> None:
    payload = {"query": "q", "messages": [{"role": "user", "content": "before"}], "tier": {"a": [1]}}
    inputs = made(payload)["nodes"][0]["inputs"]
    assert asked_of(inputs) == AgentContext.from_dict(payload).to_dict()


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"messages": []}, "query"),
        ({"query": "q", "turn": 3}, "begins at turn 0"),
        ({"query": "q", "output": "x"}, "begins at turn 0"),
        ({"query": "q", "messages": [{"role": "tool", "content": "x"}]}, "role"),
        ({"query": "q", "messages": [{"role": "user"}]}, "content"),
        ({"query": "q", "task": "other"}, "'task'"),
        ({"query": "q", "judge": "plan"}, "'judge'"),
        ({"query": "q", "mail": {"from": "ann"}}, "output of a node"),
        (3, "payload is .* not int"),
        (["q"], "payload is .* not list"),
        ("", r"payload\.query is empty"),
        ({"query": " \n"}, r"payload\.query is empty"),
        ({"query": "\ud800"}, r"payload\.query is no JSON"),
        ({"query": "q", "far": float("nan")}, r"payload\.far is no JSON"),
        ({"query": "q", "thing": object()}, r"payload\.thing is no JSON"),
        ({"query": "q", "note": "a\udcff"}, r"payload\.note is no JSON"),
        (
            AgentContext.model_construct(query="q", messages=[{"role": "user", "content": "\udcff"}]),
            r"payload\.messages",
        ),
    ],
)
def test_a_payload_that_cannot_be_kept_as_it_is_is_refused(payload: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidTask, match=said):
        made(payload)


@pytest.mark.parametrize("turns", [0, -1, 1001, "3", True, 2.5])
def test_turns_out_of_bounds_are_refused(turns: Any) -> None:
    with pytest.raises(InvalidTask, match="max_turns"):
        made(max_turns=turns)


def test_a_task_that_was_made_by_hand_is_checked_too() -> None:
    task = Task("desk", None, AgentContext(query="x"))  # type: ignore[arg-type]
    with pytest.raises(InvalidTask, match="owner_id None"):
        goal_of(task, [CARD], AgentWorkerConfig(), 3.0)


def test_fields_are_kept_as_json_has_them() -> None:
    inputs = made({"query": "q", "when": date(2026, 1, 2), "to_dict": {1: (2, 3)}})["nodes"][0]["inputs"]
    assert inputs == {"task": "q", "when": "2026-01-02", "to_dict": {"1": [2, 3]}}


@pytest.mark.parametrize(
    ("owner", "name"),
    [("ann@example.org", "t"), ("ann", "a b"), ("", "t"), ("ann\n", "t"), (None, "t"), (3, "t"), ("ann", "")],
)
def test_ids_that_redis_keys_cannot_hold_are_refused(owner: Any, name: str) -> None:
    with pytest.raises(InvalidTask, match="64 letters"):
        Task.create(owner, "desk", "x", id=name)


def test_a_task_goes_to_its_own_agent() -> None:
    with pytest.raises(InvalidTask, match="'other'"):
        goal_of(Task.create("ann", "other", "x"), [CARD], AgentWorkerConfig(), 3.0)


def test_a_batch_is_a_goal_of_tasks_beside_each_other() -> None:
    goal = read_goal(batch_of("batch-1", "ann", [made("one"), made("two")]))
    assert [node.id for node in goal.nodes] == ["t1", "t2"]
    assert not goal.edges
    assert read_goal(goal.nodes[1].goal or {}).nodes[0].inputs == {"task": "two"}
    assert batch_of_task("batch-1.t2") == "batch-1"
    assert batch_of_task("batch-1") is None
    assert batch_of_task("other.t2") is None
