"""`tasks.control.command`: what a message asks for is done once, whoever delivers it how often, and answered as before."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.command import InvalidCommand
from orchestrator.domain.errors import GoalNotFound, IllegalTransition
from orchestrator.store.store import Store
from support.crew import Crew

control = import_module("orchestrator.tasks.control")
Call = Callable[..., Any]


@pytest.fixture
def call(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the task in this process, as a worker does with a message of this id."""
    monkeypatch.setattr(control, "chordal", lambda: crew.wired)
    crew.submit(["a", {"id": "gate", "kind": "approval"}, {"id": "paid", "kind": "wait", "inputs": {"signal": "paid"}}])
    crew.work()

    def run(*args: Any, task_id: str = "t1", origin: str = "gen1@desk", **given: Any) -> Any:
        control.command.push_request(id=task_id, origin=origin)
        try:
            return control.command.run(*args, **given)
        finally:
            control.command.pop_request()

    return run


def audit(store: Store) -> list[tuple[str, ...]]:
    return [
        tuple(one.fields[name] for name in ("command_id", "command", "door", "sender", "outcome"))
        for one in store.control.audit()
    ]


def test_a_word_says_what_became_of_it(call: Call, crew: Crew) -> None:
    assert call("pause", "g", reason="why", task_id="1") == "paused"
    assert call("resume", "g", task_id="2") == "resumed"
    assert call("approve", "g", node="gate", comment="fine", task_id="3") == "approved"
    assert call("signal", "g", name="paid", payload={"sum": 3}, task_id="4") == "woken"
    assert crew.state() == "DONE"
    with pytest.raises(IllegalTransition, match="cannot be paused"):
        call("PAUSE", "g", task_id="5")
    with pytest.raises(GoalNotFound):
        call("cancel", "nobody", task_id="6")


def test_every_command_and_target_goes_through(call: Call, crew: Crew) -> None:
    assert call("set_priority", "g", priority=7) == "set"
    assert call("PAUSE", owner="default", task_id="2") == "done"
    assert crew.state() == "PAUSED"
    assert call("STOP", all=True, task_id="3") == "stopped"
    assert call("RELEASE", all=True, task_id="4") == "released"


def test_a_message_that_is_delivered_twice_acts_once(call: Call, crew: Crew) -> None:
    assert call("pause", "g") == "paused"
    assert call("resume", "g", task_id="t2") == "resumed"
    assert call("pause", "g") == "paused", "it is answered as the first time"
    assert crew.state() == "RUNNING"
    assert call("pause", "g", id="mine", task_id="t3", full=True)["id"] == "mine"
    again = call("pause", "g", id="mine", task_id="t4", full=True)
    assert (again["repeated"], again["outcome"]) == (True, "paused")


def test_the_trail_names_the_sender_or_else_where_the_message_came_from(call: Call, crew: Crew) -> None:
    call("pause", "g")
    call("resume", "g", task_id="odd id", sender="ann")
    (first, second) = audit(crew.store)
    assert first == ("celery:t1", "PAUSE", "celery", "gen1@desk", "paused")
    assert second[1:] == ("RESUME", "celery", "ann", "resumed")
    assert second[0].startswith("celery:")
    assert " " not in second[0]


def test_with_full_a_refusal_is_an_answer_too(call: Call) -> None:
    answer = call("resume", "nobody", full=True)
    assert (answer["code"], answer["extra"]["error"]) == (404, "GoalNotFound")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"why": "x"}, "it takes: mode"),
        ({"mode": "now"}, "mode"),
        ({"node": "a", "owner": "acme"}, "second time"),
        ({"sender": "\x1b"}, "sender"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_done(call: Call, crew: Crew, given: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidCommand, match=why):
        call("pause", "g", **given)
    assert (crew.state(), audit(crew.store)) == ("RUNNING", [])


def test_a_policy_holds_for_this_door(call: Call, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Crew(crew.store, tmp_path, policy="monitoring")
    monkeypatch.setattr(control, "chordal", lambda: other.wired)
    answer = call("cancel", "g", full=True)
    assert (answer["code"], crew.state()) == (403, "RUNNING")
    assert "celery:gen1@desk may not CANCEL" in answer["message"]
    assert call("pause", "g", task_id="t2") == "paused"
