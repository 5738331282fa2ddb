"""The words of heartbeat files: exact ones are directives, all others are answered."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.control.files.forms import FORMS
from orchestrator.control.files.grammar import Directive, Ignored, Kind, Place, decoded, forms_of, read_directive
from orchestrator.domain.command import Door, read_command
from orchestrator.domain.verbs import VERBS, Verb

GOAL, AGENT, OWNER, FLEET = Place("g"), Place("g", "writer"), Place(owner="acme"), Place()
OF_GOAL: dict[str, Any] = {"goal": "g"}
OF_AGENT: dict[str, Any] = {"goal": "g", "agent": "writer"}


def payload(line: str, place: Place = GOAL) -> dict[str, Any]:
    found = read_directive(line, place)
    assert isinstance(found, Directive), found
    return dict(found.payload)


def why(line: str, place: Place = GOAL) -> str:
    found = read_directive(line, place)
    assert isinstance(found, Ignored), found
    return found.why


@pytest.mark.parametrize(
    ("line", "place", "target", "arguments"),
    [
        ("PAUSE", GOAL, OF_GOAL, {}),
        ("pause", AGENT, OF_AGENT, {}),
        ("Pause Goal", AGENT, OF_GOAL, {}),
        ("PAUSE stop", GOAL, OF_GOAL, {"mode": "stop"}),
        ("PAUSE node fetch", AGENT, {"goal": "g", "node": "fetch"}, {}),
        ("PAUSE\tagent  other", GOAL, {"goal": "g", "agent": "other"}, {}),
        ("PAUSE", OWNER, {"owner": "acme"}, {}),
        ("PAUSE all stop", FLEET, {"all": True}, {"mode": "stop"}),
        ("DROP-TASK a", GOAL, {"goal": "g", "node": "a"}, {}),
        ("drop_task a REWIRE", GOAL, {"goal": "g", "node": "a"}, {"dependants": "rewire"}),
        ("ELEVATE a 7", GOAL, {"goal": "g", "node": "a"}, {"priority": 7}),
        ("SET-PRIORITY 7", AGENT, OF_GOAL, {"priority": 7}),
        ("RETRY a descendants", GOAL, {"goal": "g", "node": "a"}, {"descendants": True}),
        ('EDIT a: {"day": 1}', GOAL, {"goal": "g", "node": "a"}, {"set": {"day": 1}}),
        ("EDIT a inputs retry: {}", GOAL, {"goal": "g", "node": "a"}, {"inputs": {}, "retry": True}),
        ("FLUSH-MEMORY", AGENT, OF_AGENT, {}),
        ("FLUSH-MEMORY w", OWNER, {"owner": "acme", "agent": "w"}, {}),
        ("STEER: mind: the gap # 5", AGENT, OF_AGENT, {"message": "mind: the gap # 5"}),
        ("STEER w: go", GOAL, {"goal": "g", "node": "w"}, {"message": "go"}),
        ("REJECT a: no", GOAL, {"goal": "g", "node": "a"}, {"comment": "no"}),
        ("SIGNAL ready: [1]", GOAL, OF_GOAL, {"name": "ready", "payload": [1]}),
        ("SET-BUDGET tokens 5 micro-usd 6", GOAL, OF_GOAL, {"tokens": 5, "micro_usd": 6}),
        ("HOLD queue gpu", FLEET, {"queue": "gpu"}, {}),
        ("STOP exit", FLEET, {"all": True}, {"exit": True}),
    ],
)
def test_what_lines_ask_for(line: str, place: Place, target: dict[str, Any], arguments: dict[str, Any]) -> None:
    found = payload(line, place)
    del found["command"]
    assert found == {**target, "arguments": arguments}
    read_command(payload(line, place), Door.HEARTBEAT)


def test_the_text_behind_a_colon_is_the_reason() -> None:
    assert payload("PAUSE: the API is down")["reason"] == "the API is down"
    assert payload("REPLAN approve: too slow")["reason"] == "too slow"


def test_a_comment_may_stand_behind_a_directive() -> None:
    assert payload("PAUSE # see: the ticket") == {**OF_GOAL, "command": "PAUSE", "arguments": {}}


@pytest.mark.parametrize(
    "line",
    [
        "Pause the writer when it is done", "Pause.", "- PAUSE", "please PAUSE", "PAUSE goal now", "RESUME stop", "ſTOP", "PAUSE\xa0goal",
        "DROP-TASK", "DROP-TASK a b", "DROP-TASK ../a", "ELEVATE a seven", "ELEVATE a -1", "ELEVATE a ٣", "ELEVATE a 1 2", "CANCEL a",
        "STEER", "STEER w", "STEER w:", "RESUME:", "EDIT a", "EDIT a: {", 'EDIT a: {"x": 1, "x": 2}', "SIGNAL go: NaN", "REPLAN",
        "REPARSE: now", "HOLD queue gpu", "STOP", "PAUSE all", "APPROVE", "FLUSH-MEMORY", "#", "=", "", ":",
    ],
)  # fmt: skip
def test_everything_else_is_told_and_not_guessed(line: str) -> None:
    if line == "REPARSE: now":  # a reason is no argument
        assert payload(line)["reason"] == "now"
        return
    assert why(line)


def test_a_file_reaches_no_further_than_what_it_is_for() -> None:
    for verb in Verb:
        for place in (GOAL, AGENT):
            for form in FORMS[verb]:
                line = filled(form.shown(verb))
                found = read_directive(line, place)
                if isinstance(found, Directive):
                    assert found.payload.get("goal") == "g"
                    assert "owner" not in found.payload
                    assert "all" not in found.payload
    assert "another kind" in why("STOP", GOAL)
    assert why("CANCEL", AGENT) == "CANCEL is written: CANCEL goal[: REASON]"


def filled(form: str) -> str:
    words = form.replace("[: ", ": ").replace("]", "").replace("JSON", "{}")
    for name, value in (("<priority>", "1"), ("<tokens>", "1"), ("<micro_usd>", "1")):
        words = words.replace(name, value)
    return " ".join("x" if word.startswith("<") else word for word in words.replace(">:", "> :").split()).replace(
        " :", ":"
    )


@pytest.mark.parametrize("kind", list(Kind))
def test_every_form_is_a_command_that_there_is(kind: Kind) -> None:
    place = {Kind.GOAL: GOAL, Kind.AGENT: AGENT, Kind.OWNER: OWNER, Kind.FLEET: FLEET}[kind]
    seen = set()
    for form in forms_of(kind):
        command = read_command(payload(filled(form), place), Door.HEARTBEAT)
        assert command.scope in VERBS[command.verb].scopes
        seen.add(command.verb)
    assert seen == {verb for verb, forms in FORMS.items() for form in forms if kind in form.where.split()}


def test_every_command_has_a_directive() -> None:
    assert set(FORMS) == set(Verb)


def test_lines_that_are_no_text() -> None:
    assert decoded(b" \tPAUSE \r") == "PAUSE"
    assert decoded(b"\xef\xbb\xbfPAUSE") == "PAUSE"
    assert decoded(b"PAUSE\x00") == Ignored("the line has control characters")
    assert decoded(b"\xff") == Ignored("the line is not UTF-8 text")
    assert decoded(b"x" * 4097) == Ignored("the line is longer than 4,096 bytes")
