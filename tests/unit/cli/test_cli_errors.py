"""Every expected error is a message and an exit code, and JSON where JSON was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.exits import ExitCode, of_outcome
from orchestrator.domain.errors import (
    ChordalError,
    GoalExists,
    GoalNotFound,
    IllegalTransition,
    NodeNotFound,
    RedisNotReachable,
)
from orchestrator.domain.states import GoalState
from support.door import Door, Run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GoalNotFound("no goal"), 2),
        (GoalExists("exists"), 2),
        (NodeNotFound("no node"), 2),
        (IllegalTransition("cannot"), 2),
        (ChordalError("other"), 2),
        (RedisNotReachable("no Redis at unix:///x"), 4),
        (PermissionError(13, "Permission denied", "/data"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_expected_error_is_a_message_and_an_exit_code(door: Door, chordal: Run, error: Exception, code: int) -> None:
    door.raises = error
    result = chordal("status", "g1")
    assert result.exit_code == code
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    if str(error):
        assert ("Permission denied" if isinstance(error, OSError) else str(error)) in result.stderr


def test_errors_are_json_where_json_was_asked_for(door: Door, chordal: Run) -> None:
    door.raises = RedisNotReachable("no Redis")
    result = chordal("status", "g1", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout) == {"error": {"type": "RedisNotReachable", "message": "no Redis", "faults": []}}


def test_every_fault_of_a_goal_is_in_the_json(chordal: Run, tmp_path: Path) -> None:
    file = tmp_path / "goal.json"
    file.write_text('{"nodes": [{"id": "a b"}, {"id": "c", "retries": -1}], "edges": [{"source": "c", "target": "x"}]}')
    result = chordal("run", str(file), "--json")
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert error["type"] == "InvalidGoal"
    assert [fault["place"] for fault in error["faults"]] == ["nodes[0].id", "nodes[1].retries", "edges[0].target"]


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "not an id"),
        ("status", "g1", "--bogus"),
        ("frobnicate",),
        ("list", "--state", "LOST"),
        ("list", "--limit", "0"),
        ("run", "/nowhere/goal.json"),
        ("run", "x", "--set", "novalue"),
        ("plan", "/nowhere/goal.json"),
        ("approve", "g1"),
        ("signal", "g1", "paid", "{not json"),
        ("--redis-url",),
    ],
)
def test_wrong_usage_exits_with_2(door: Door, chordal: Run, words: tuple[str, ...]) -> None:
    result = chordal(*words)
    assert result.exit_code == 2
    assert "Error" in result.stderr
    assert not door.calls


def test_wrong_usage_is_json_too(chordal: Run) -> None:
    result = chordal("status", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "UsageError"


@pytest.mark.usefixtures("door")
def test_a_setting_that_is_not_valid_names_its_variable(chordal: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORDAL_LEASE_SECONDS", "soon")
    result = chordal("status", "g1")
    assert result.exit_code == 2
    assert "CHORDAL_LEASE_SECONDS" in result.stderr


def test_a_message_cannot_steer_the_terminal(door: Door, chordal: Run) -> None:
    door.raises = GoalNotFound("\x1b[2Jgone\x07")
    assert "\\x1b[2Jgone\\x07" in chordal("status", "g1").stderr


def test_outcomes_and_exit_codes() -> None:
    codes = {state: of_outcome(state) for state in GoalState}
    assert codes == dict.fromkeys(GoalState, ExitCode.DETACHED) | {
        GoalState.DONE: 0,
        GoalState.FAILED: 1,
        GoalState.CANCELLED: 3,
    }
