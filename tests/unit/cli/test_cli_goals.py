"""`submit`, `status`, `list`, `show`, `events`, the control commands and `doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.states import GoalState, NodeState
from orchestrator.domain.views import Check, NodeStatus
from support.door import Door, Run, make_event, make_status

N = NodeState


@pytest.fixture
def goal_file(tmp_path: Path) -> str:
    """A small goal."""
    file = tmp_path / "goal.json"
    file.write_text('{"goal_id": "g1", "nodes": [{"id": "a"}]}')
    return str(file)


def test_submit_prints_the_id_and_nothing_else(door: Door, chordal: Run, goal_file: str) -> None:
    result = chordal("submit", goal_file)
    assert (result.exit_code, result.output) == (0, "g1\n")
    assert door.calls == [("submit", "g1")]
    assert json.loads(chordal("submit", goal_file, "--json").stdout) == {"goal_id": "g1"}


@pytest.mark.usefixtures("door")
def test_submit_reads_standard_input(chordal: Run) -> None:
    assert chordal("submit", "-", text='{"goal_id": "g2", "nodes": [{"id": "a"}]}').output == "g2\n"
    assert "standard input" in chordal("submit", "-", text="nope").stderr


def test_status_shows_each_node_with_what_is_worth_saying(door: Door, chordal: Run) -> None:
    failed = NodeStatus("b", "B", N.FAILED, 3, error="ValueError: \x1b[31mbad", started=1001.0, ended=1002.5)
    door.statuses["g1"] = make_status(a=N.DONE, b=failed, c=N.BLOCKED)
    out = chordal("status", "g1").stdout
    assert out.splitlines()[:2] == ["g1 A goal: RUNNING, 2.50 s", "3 nodes: 1 BLOCKED, 1 DONE, 1 FAILED"]
    assert "b     FAILED   3        1.50 s  ValueError: \\x1b[31mbad" in out


def test_status_of_a_large_goal_leaves_out_what_needs_no_attention(door: Door, chordal: Run) -> None:
    nodes = {f"n{index}": N.DONE for index in range(300)}
    door.statuses["g1"] = make_status(nodes={**nodes, "broken": N.FAILED})
    out = chordal("status", "g1").stdout
    assert "broken" in out
    assert "n7 " not in out
    assert "and 300 more nodes" in out
    assert "n7 " in chordal("status", "g1", "--all").stdout


def test_status_json_is_one_object(door: Door, chordal: Run) -> None:
    door.statuses["g1"] = make_status(a=N.DONE)
    found = json.loads(chordal("status", "g1", "--json").stdout)
    assert (found["goal_id"], found["state"], found["seconds"]) == ("g1", "RUNNING", 2.5)
    assert {"state", "attempt", "output", "error"} <= found["nodes"]["a"].keys()


def test_list_filters_and_prints_rows(door: Door, chordal: Run) -> None:
    door.statuses["g1"] = make_status(a=N.DONE, b=N.READY)
    out = chordal("list", "--state", "running", "--owner", "alice", "--limit", "7").stdout
    assert door.calls == [("list", 7, GoalState.RUNNING, "alice")]
    assert out.splitlines()[1].split() == ["g1", "RUNNING", "1/2", "2.50", "s", "default", "A", "goal"]
    assert [one["goal_id"] for one in json.loads(chordal("list", "--json").stdout)] == ["g1"]


def test_an_empty_list_says_so_on_stderr(door: Door, chordal: Run) -> None:
    result = chordal("list")
    assert (result.stdout, result.stderr) == ("", "no goals are stored\n")
    assert door.calls


def test_show_tells_a_node_with_its_attempts(door: Door, chordal: Run) -> None:
    door.statuses["g1"] = make_status(a=N.DONE, b=N.FAILED)
    door.pages = [
        make_event(1, "node.claimed", "a"),
        make_event(2, "node.claimed", "b"),
        make_event(3, "node.retry", "b", token=2, error="first\x07"),
        make_event(4, "node.claimed", "b"),
    ]
    out = chordal("show", "g1", "b").stdout
    assert "b: FAILED" in out
    assert '"path": "src"' in out
    assert "retry" in out
    assert "first\\u0007" in out
    found = json.loads(chordal("show", "g1", "b", "--json").stdout)
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["retry", "running"]
    assert found["parents"] == ["a"]


def test_show_without_a_node_tells_the_goal(door: Door, chordal: Run) -> None:
    door.statuses["g1"] = make_status(a=N.DONE, b=N.RUNNING)
    out = chordal("show", "g1").stdout
    assert "g1: RUNNING" in out
    assert "running    b" in out


def test_show_of_a_node_that_is_not_there_exits_with_2(door: Door, chordal: Run) -> None:
    door.statuses["g1"] = make_status(a=N.DONE)
    result = chordal("show", "g1", "z")
    assert result.exit_code == 2
    assert "no node 'z'" in result.stderr


def test_events_are_lines_or_ndjson(door: Door, chordal: Run) -> None:
    door.statuses["g1"] = make_status(a=N.DONE)
    door.pages = [make_event(1, "node.claimed", "a"), make_event(2, "node.failed", "a", error="\x1b]0;x")]
    lines = chordal("events", "g1").stdout.splitlines()
    assert lines[0].endswith("node.claimed a #1 on w1")
    assert "\x1b" not in lines[1]
    rows = [json.loads(line) for line in chordal("events", "g1", "--json").stdout.splitlines()]
    assert [row["type"] for row in rows] == ["node.claimed", "node.failed"]
    assert list(rows[0]) == ["id", "at", "type", "goal", "node", "attempt", "token", "worker", "data"]


def test_events_follow_to_the_end_of_the_goal(door: Door, chordal: Run) -> None:
    door.statuses["g1"] = make_status(a=N.DONE)
    door.pages = [make_event(number, "node.claimed", "a") for number in range(1, 2500)]
    door.pages.append(make_event(2500, "goal.done"))
    assert len(chordal("events", "g1", "--follow", "--json").stdout.splitlines()) == 2500


def test_doctor_says_what_is_wrong_and_what_to_do(door: Door, chordal: Run) -> None:
    door.checks = [
        Check("Redis", True, "7.4"),
        Check("beat", False, "no tick", "start one"),
        Check("Flower", None, "-"),
    ]
    result = chordal("doctor")
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ok", "FAILED", "start", "-"]
    assert json.loads(chordal("doctor", "--json").stdout)[1]["remedy"] == "start one"
    door.checks = [Check("Redis", True, "7.4")]
    assert chordal("doctor").exit_code == 0


def test_the_same_connection_options_work_before_and_after_the_command(door: Door, chordal: Run) -> None:
    door.statuses["g1"] = make_status(a=N.DONE)
    for words in (("--redis-url", "redis://h", "show", "g1", "z"), ("show", "g1", "z", "--redis-url", "redis://h")):
        assert "chordal --redis-url redis://h status g1" in chordal(*words).stderr


def test_a_password_is_not_repeated_in_hints(door: Door, chordal: Run) -> None:
    door.statuses["g1"] = make_status(a=N.DONE)
    assert "secret" not in chordal("show", "g1", "z", "--redis-url", "redis://:secret@h").stderr
