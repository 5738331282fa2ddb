"""`replan`, `approve --plan` and `plan --llm`: what they ask for, and what they refuse. `plans` is tried on a real stack."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.door import Door, Run


@pytest.fixture
def asked(door: Door) -> list[tuple[str, str, bool]]:
    calls: list[tuple[str, str, bool]] = []

    def replan(goal: str, reason: str, *, approve: bool) -> str:
        calls.append((goal, reason, approve))
        return "replan-1"

    door.agents = SimpleNamespace(replan=replan)  # type: ignore[attr-defined]
    return calls


def test_replan_hands_the_reason_on(asked: list[tuple[str, str, bool]], chordal: Run) -> None:
    result = chordal("replan", "g1", "--reason", "in French")
    assert (result.exit_code, result.stdout) == (0, "goal g1 is planned anew by its node replan-1\n")
    assert chordal("replan", "g1", "--reason", "in French", "--approve", "--json").exit_code == 0
    assert asked == [("g1", "in French", False), ("g1", "in French", True)]


def test_replan_needs_a_reason(asked: list[tuple[str, str, bool]], chordal: Run) -> None:
    result = chordal("replan", "g1")
    assert result.exit_code == 2
    assert "--reason" in result.stderr
    assert asked == []


def test_approve_without_a_plan_is_as_before(door: Door, chordal: Run) -> None:
    assert chordal("approve", "g1", "ask", "--comment", "yes").exit_code == 0
    assert door.calls == [("approve", "g1", "ask", {"comment": "yes"})]


def test_an_edited_plan_that_is_no_yaml_is_a_wrong_option(door: Door, chordal: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("nodes: [")
    result = chordal("approve", "g1", "approve-plan", "--plan", str(file))
    assert result.exit_code == 2
    assert "--plan" in result.stderr
    assert door.calls == [], "nothing was answered"


def test_a_model_plans_only_where_no_dag_is_given(door: Door, chordal: Run, tmp_path: Path) -> None:
    file = tmp_path / "goal.json"
    file.write_text(json.dumps({"nodes": [{"id": "a"}]}))
    result = chordal("plan", "--llm", str(file))
    assert result.exit_code == 2
    assert "here the DAG is given" in result.stderr
    assert door.calls == []
