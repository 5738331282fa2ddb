"""Who may do what: presets, doors, senders, and policies that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.control.policy import PRESETS, InvalidPolicy, Policy, read_policy
from orchestrator.domain.command import Denied, Door, read_command
from orchestrator.domain.verbs import Verb

FILE = """\
default: production
doors:
  cli: development
  heartbeat: [pause, RESUME]
senders:
  "cli:guest@*": monitoring
  "celery:deploy": [CANCEL, set_priority]
"""


def policy(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    return read_policy("development", file)


@pytest.mark.parametrize(
    ("door", "sender", "allowed"),
    [
        (Door.CLI, "ann@host", PRESETS["development"]),
        (Door.CLI, "guest@host", PRESETS["monitoring"]),
        (Door.HEARTBEAT, "/srv/a.md", frozenset({Verb.PAUSE, Verb.RESUME})),
        (Door.CELERY, "deploy", frozenset({Verb.CANCEL, Verb.SET_PRIORITY})),
        (Door.CELERY, "deployer", frozenset()),
        (Door.HTTP, "", frozenset()),
    ],
)
def test_the_sender_wins_over_the_door_and_that_over_the_default(
    tmp_path: Path, door: Door, sender: str, allowed: frozenset[Verb]
) -> None:
    assert policy(tmp_path, FILE).allowed(door, sender) == allowed


def test_a_refusal_names_the_sender_the_command_and_what_is_allowed() -> None:
    found = read_policy("monitoring", None)
    found.check(read_command({"command": "PAUSE", "goal": "g"}, Door.CLI, "ann"))
    with pytest.raises(
        Denied, match=r"cli:ann may not CANCEL; by the policy \(monitoring\).*HOLD, PAUSE, RELEASE, RESUME"
    ):
        found.check(read_command({"command": "CANCEL", "goal": "g"}, Door.CLI, "ann"))


def test_production_lets_nothing_through_and_a_list_what_it_names() -> None:
    assert read_policy("production", None).default == frozenset()
    assert read_policy("PAUSE, elevate", None).default == {Verb.PAUSE, Verb.SET_PRIORITY}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("default: everything\n", "default"),
        ("doors: {window: production}\n", "doors.window"),
        ("doors: {cli: [DANCE]}\n", "doors.cli"),
        ("senders: [a]\n", "senders"),
        ("colour: red\n", "colour"),
        ("default: [\n", "policy.yaml"),
        ("[]\n", "policy.yaml"),
        ("default: &a production\ndoors: {cli: *a}\n", "policy.yaml"),
    ],
)
def test_a_policy_with_a_fault_lets_nobody_in(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        policy(tmp_path, text)
    assert any(place in fault.place for fault in caught.value.faults)


def test_a_policy_that_cannot_be_read_is_a_fault_too(tmp_path: Path) -> None:
    with pytest.raises(InvalidPolicy, match="No such file"):
        read_policy("development", tmp_path / "absent.yaml")
    with pytest.raises(InvalidPolicy, match="PAUS"):
        read_policy("PAUS", None)
