"""What is a command, and what is said of one that is none."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.command import Answer, Door, Effect, InvalidCommand, read_command
from orchestrator.domain.verbs import VERBS, Scope, Verb

TARGETS: dict[Scope, dict[str, Any]] = {
    Scope.NODE: {"goal": "g", "node": "n"},
    Scope.GOAL: {"goal": "g"},
    Scope.AGENT: {"agent": "a"},
    Scope.QUEUE: {"queue": "q"},
    Scope.OWNER: {"owner": "o"},
    Scope.ALL: {"all": True},
}
ARGUMENTS: dict[Verb, dict[str, Any]] = {
    Verb.EDIT: {"set": {"x": 1}},
    Verb.SET_PRIORITY: {"priority": 3},
    Verb.STEER: {"message": "go on"},
    Verb.SIGNAL: {"name": "paid"},
    Verb.SET_BUDGET: {"tokens": 5},
}


def faults(raw: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidCommand) as caught:
        read_command(raw, Door.PYTHON)
    return {fault.place: fault.message for fault in caught.value.faults}


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("scope", Scope)
def test_a_verb_is_for_what_its_table_says_and_for_nothing_else(verb: Verb, scope: Scope) -> None:
    raw = {"command": verb.value.lower(), **TARGETS[scope], **ARGUMENTS.get(verb, {})}
    if scope in VERBS[verb].scopes:
        command = read_command(raw, Door.CELERY, "ann")
        assert (command.verb, command.scope, command.by) == (verb, scope, "celery:ann")
        assert read_command(command.as_json(), Door.CELERY, "ann") == command
    else:
        assert any("is not for" in message for message in faults(raw).values())


@pytest.mark.parametrize(
    ("name", "verb"), [("elevate", "SET-PRIORITY"), ("drop_task", "DROP-TASK"), ("Drop", "DROP-TASK")]
)
def test_the_names_of_others_are_understood(name: str, verb: str) -> None:
    raw = {"command": name, "goal": "g", "node": "n"} | ({"priority": 1} if verb == "SET-PRIORITY" else {})
    assert read_command(raw, Door.PYTHON).verb.value == verb


def test_every_fault_is_named_at_once() -> None:
    found = faults({"command": "PAUSE", "goal": "no spaces", "mode": "halt", "speed": 3, "expires_seconds": -1})
    assert set(found) == {"goal", "expires_seconds", "mode", "speed"}
    found = faults({"command": "PAUSE", "goal": "g", "owner": "o", "mode": "halt", "speed": 3})
    assert set(found) == {"owner", "mode", "speed"}
    assert "no such argument" in found["speed"]


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ({}, "command"),
        ({"command": "DANCE", "goal": "g"}, "command"),
        ({"command": 7, "goal": "g"}, "command"),
        ({"command": "PAUSE"}, "goal"),
        ({"command": "PAUSE", "node": "n"}, "goal"),
        ({"command": "PAUSE", "goal": "g", "arguments": []}, "arguments"),
        ({"command": "PAUSE", "goal": "g", "mode": "stop", "arguments": {"mode": "stop"}}, "arguments.mode"),
        ({"command": "EDIT", "goal": "g", "node": "n"}, "arguments"),
        ({"command": "SET-BUDGET", "goal": "g"}, "arguments"),
        ({"command": "PAUSE", "goal": "g", "sender": "a\nb"}, "sender"),
        ({"command": "PAUSE", "goal": "g", "id": "not this one"}, "id"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(raw: dict[str, Any], place: str) -> None:
    assert place in faults(raw)


def test_the_door_says_who_it_is_and_a_payload_cannot() -> None:
    command = read_command({"command": "PAUSE", "goal": "g", "sender": "root", "door": "cli"}, Door.CELERY, "worker1")
    assert command.by == "celery:worker1"


def test_an_answer_is_the_same_after_a_journey() -> None:
    answer = Answer("c", "PAUSE", "goal g", 200, "paused", effects=(Effect("g", "", "paused"),), receivers=1)
    assert Answer.from_json(answer.as_json()) == answer
