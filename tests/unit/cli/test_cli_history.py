"""`doctor --history`: one line an invariant, all of it in JSON, and text from outside that cannot steer the terminal."""

from __future__ import annotations

import json

from orchestrator.events.violation import INVARIANTS, Note, Report, Violation
from support.door import Door, Run

MANY = tuple(Violation("I5", f"n{number}", "1-0", "token 1 follows 2") for number in range(25))
REPORT = Report(
    "g1",
    70,
    (Violation("I1", "n", "1700-0", "by \x1b[31m nobody"), *MANY),
    {"I7": (Note("no LLM permit in this history", True),), "I3": (Note("no digests", False),)},
)


def test_each_invariant_has_its_line(door: Door, chordal: Run) -> None:
    door.reports["g1"] = REPORT
    result = chordal("doctor", "--history", "g1")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines if not line.startswith("   ")] == list(INVARIANTS)
    assert lines[0].startswith("FAILED  I1 ")
    assert lines[1].strip() == r"I1 n 1700-0: by \x1b[31m nobody"
    assert lines[3].startswith("ok      I3 ")
    assert lines[4].strip() == "not checked: no digests"
    assert next(line for line in lines if " I7 " in line).endswith("(not applicable: no LLM permit in this history)")
    assert "... and 5 more" in result.stdout
    assert result.stderr == "goal g1: 70 events read, 26 violations\n"
    assert door.calls == [("check_history", "g1")]


def test_json_has_every_violation(door: Door, chordal: Run) -> None:
    door.reports["g1"] = REPORT
    result = chordal("doctor", "--history", "g1", "--json")
    assert result.exit_code == 1
    said = {one["id"]: one for one in json.loads(result.stdout)["invariants"]}
    assert len(said["I5"]["violations"]) == 25
    assert said["I1"]["violations"] == [{"node": "n", "event": "1700-0", "text": "by \x1b[31m nobody"}]
    assert (said["I7"]["verdict"], said["I7"]["not_checked"]) == ("not applicable", ["no LLM permit in this history"])
    assert (said["I3"]["verdict"], said["I2"]["verdict"]) == ("ok", "ok")


def test_a_clean_goal_is_success(door: Door, chordal: Run) -> None:
    door.reports["g1"] = Report("g1", 1_000)
    result = chordal("doctor", "--history", "g1")
    assert result.exit_code == 0
    assert result.stderr == "goal g1: 1,000 events read, no violation\n"


def test_a_goal_that_is_not_there_is_an_error_like_any_other(door: Door, chordal: Run) -> None:
    result = chordal("doctor", "--history", "ghost", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "GoalNotFound"
    assert chordal("doctor", "--history", "no spaces").exit_code == 2
    assert door.calls == [("check_history", "ghost")]
