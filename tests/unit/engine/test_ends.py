"""Ends of a node, and how long its work is known to take."""

from __future__ import annotations

import json

from orchestrator.engine.ends import ERROR_CHARACTERS, TRACE_CHARACTERS, Durations, Failed, Parked, failed_by


def test_a_failure_is_json_of_bounded_size() -> None:
    kept = json.loads(Failed("error", "e" * 10_000, "t" * 10_000 + "end").as_json())
    assert kept["reason"] == "error"
    assert len(kept["error"]) == ERROR_CHARACTERS
    assert len(kept["trace"]) == TRACE_CHARACTERS
    assert kept["trace"].endswith("end"), "the last lines of a trace say most"


def test_a_failure_without_a_trace_has_none() -> None:
    assert json.loads(Failed("timeout", "late").as_json()) == {"reason": "timeout", "error": "late"}


def test_a_failure_can_hold_any_text() -> None:
    assert json.loads(Failed("error", "a\ud800b \x1b[31m\x00").as_json())["error"] == "a?b \x1b[31m\x00"


def test_an_exception_becomes_a_failure() -> None:
    try:
        raise ValueError("wrong")
    except ValueError as error:
        failed = failed_by(error, "bad input", final=True)
    assert (failed.reason, failed.error, failed.final) == ("bad input", "ValueError: wrong", True)
    assert "raise ValueError" in failed.trace
    assert failed_by(KeyError()).error == "KeyError"


def test_a_park_is_the_note_that_the_scripts_read() -> None:
    assert json.loads(Parked("approval", "failed", 5.0, failure=Failed("timeout", "late")).as_json()) == {
        "reason": "approval", "then": "failed", "failure": '{"reason":"timeout","error":"late"}',
    }  # fmt: skip
    assert json.loads(Parked("timer", "done", 1.0, {"x": 1}).as_json()) == {
        "reason": "timer", "then": "done", "output": '{"x":1}',
    }  # fmt: skip
    assert json.loads(Parked("task", "ready", 1.0, resume="task:1").as_json())["resume"] == "task:1"


def test_durations_follow_what_is_measured() -> None:
    durations = Durations()
    assert not durations.short("f", 0.002), "what was never measured is not taken for short"
    durations.note("f", 0.001)
    assert durations.short("f", 0.002)
    durations.note("f", 1.0)
    assert not durations.short("f", 0.002), "one long run is enough for doubt"
    for _ in range(40):
        durations.note("f", 0.0001)
    assert durations.short("f", 0.002)
    assert durations.mean["f"] < 0.001
