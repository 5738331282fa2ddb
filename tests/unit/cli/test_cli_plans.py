"""`replan`, `approve --plan` and `plan --llm`: what they ask for, and what they refuse. `plans` is tried on a real stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.agents.plan.applying import bad_plan
from orchestrator.cli import ground
from orchestrator.domain.command import Command
from orchestrator.domain.errors import RedisNotReachable
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.domain.views import NodeStatus
from orchestrator.settings import Settings
from support.door import Door, Run, answered, make_event, make_status


@pytest.fixture
def asked(door: Door) -> list[Command]:
    door.commands.says["REPLAN"] = lambda command: answered(command, "replanned", node="replan-1")
    return door.commands.given


def test_replan_hands_the_reason_on(asked: list[Command], chordal: Run) -> None:
    result = chordal("replan", "g1", "--reason", "in French")
    assert (result.exit_code, result.stdout) == (0, "goal g1 is planned anew by its node replan-1\n")
    found = json.loads(chordal("replan", "g1", "--reason", "in French", "--approve", "--json").stdout)
    assert (found["goal_id"], found["node"], found["outcome"]) == ("g1", "replan-1", "replanned")
    assert [(one.goal, one.reason, one.arguments.approve) for one in asked] == [
        ("g1", "in French", False), ("g1", "in French", True),
    ]  # fmt: skip


def test_replan_needs_a_reason(asked: list[Command], chordal: Run) -> None:
    result = chordal("replan", "g1")
    assert result.exit_code == 2
    assert "--reason" in result.stderr
    assert asked == []


def test_approve_without_a_plan_says_nothing_of_one(door: Door, chordal: Run) -> None:
    assert chordal("approve", "g1", "ask", "--comment", "yes").exit_code == 0
    assert door.commands.payloads == [
        {"command": "APPROVE", "goal": "g1", "node": "ask", "arguments": {"comment": "yes"}}
    ]


def test_an_edited_plan_that_is_no_yaml_is_a_wrong_option(door: Door, chordal: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("nodes: [")
    result = chordal("approve", "g1", "approve-plan", "--plan", str(file))
    assert result.exit_code == 2
    assert "--plan" in result.stderr
    assert (door.calls, door.commands.given) == ([], []), "nothing was answered"


def test_a_model_plans_only_where_no_dag_is_given(door: Door, chordal: Run, tmp_path: Path) -> None:
    file = tmp_path / "goal.json"
    file.write_text(json.dumps({"nodes": [{"id": "a"}]}))
    result = chordal("plan", "--llm", str(file))
    assert result.exit_code == 2
    assert "here the DAG is given" in result.stderr
    assert door.calls == []


@pytest.mark.parametrize("text", ["", "null\n", "# only words\n", "---\n"])
def test_a_file_without_a_plan_approves_nothing(door: Door, chordal: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    result = chordal("approve", "g1", "approve-plan", "--plan", str(file))
    assert result.exit_code == 2
    assert "there is no plan in it" in result.stderr
    assert (door.calls, door.commands.given) == ([], []), "nothing was answered"


def test_the_faults_of_an_edited_plan_are_listed_for_programs(door: Door, chordal: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("nodes: []")
    door.raises = bad_plan(
        "edited", ["nodes: the plan is empty; it needs at least one node", "nodes[0] 'a: b': a fault"]
    )
    result = chordal("approve", "g1", "approve-plan", "--plan", str(file), "--json")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert error["type"] == "BadPlan"
    assert error["faults"] == [
        {"place": "nodes", "message": "the plan is empty; it needs at least one node", "remedy": ""},
        {"place": "nodes[0] 'a: b'", "message": "a fault", "remedy": ""},
    ]


@pytest.fixture
def preview(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A declaration of which a model is to make the plan, on a stack of the command's own; the preview is goal p1."""

    @contextmanager
    def stand_in(settings: Settings, *_: object, **__: object) -> Iterator[ground.Ground]:
        yield ground.Ground(settings, ours=True)

    monkeypatch.setattr(ground, "ground", stand_in)
    monkeypatch.setattr(door, "submit", lambda _: "p1")
    file = tmp_path / "INSTRUCTIONS.md"
    file.write_text("# Hello\n\nSay hello.\n\n## Agents\n### a\n")
    node = NodeStatus("plan", "Plan", NodeState.FAILED, 1, error="the answer was cut off")
    door.statuses["p1"] = make_status("p1", GoalState.FAILED, {"plan": node})
    door.pages = [make_event(1, "goal.started"), make_event(2, "goal.failed")]
    return str(file)


def test_a_preview_that_fails_says_why_and_offers_no_retry(chordal: Run, preview: str) -> None:
    result = chordal("plan", "--llm", preview)
    assert result.exit_code == 1
    assert "the answer was cut off" in result.stdout
    assert "retry" not in result.output
    assert "chordal up" not in result.output
    result = chordal("plan", "--llm", "--json", preview)
    assert result.exit_code == 1
    found = json.loads(result.stdout)["error"]
    assert (found["type"], found["message"]) == ("NoPlan", "no plan was made: goal p1 is FAILED")
    assert found["faults"] == [{"place": "plan", "message": "the answer was cut off", "remedy": ""}]


@pytest.mark.parametrize(("gone", "said"), [(False, "was cancelled"), (True, "its stack does not answer")])
def test_ctrl_c_cancels_a_preview_and_says_so(
    door: Door, chordal: Run, preview: str, monkeypatch: pytest.MonkeyPatch, gone: bool, said: str
) -> None:
    def ctrl_c(*_: object, **__: object) -> None:
        door.raises = RedisNotReachable("gone") if gone else None
        raise KeyboardInterrupt

    monkeypatch.setattr(door, "events", ctrl_c)
    result = chordal("plan", "--llm", preview)
    assert result.exit_code == 130
    assert [line for line in result.stderr.splitlines() if said in line] == [result.stderr.splitlines()[-1]]
    assert door.calls[-1][:2] == ("cancel", "p1")
