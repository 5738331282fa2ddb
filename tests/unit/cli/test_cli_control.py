"""Commands by the command line: every verb has one, for all that it can be for; what is sent, what is said, exit codes."""

from __future__ import annotations

import json

import click
import pytest

from orchestrator.cli.giving import sender
from orchestrator.cli.main import chordal as group
from orchestrator.domain.command import Answer, Command, Denied, Effect, Expired
from orchestrator.domain.errors import GoalNotFound, IllegalTransition, NodeNotFound
from orchestrator.domain.verbs import VERBS, Scope, Verb
from support.door import Door, Run, answered

NAMES = {Verb.DROP_TASK: "drop", Verb.SET_PRIORITY: "priority", Verb.SET_BUDGET: "budget"}
"""What commands are called here, where that is not the verb in small letters."""


def command_of(verb: Verb) -> click.Command:
    found = group.get_command(click.Context(group), NAMES.get(verb, verb.lower()))
    assert found is not None, verb
    return found


@pytest.mark.parametrize("verb", Verb)
def test_every_verb_has_a_command_for_all_that_it_can_be_for(verb: Verb) -> None:
    scopes = VERBS[verb].scopes
    names = {param.name for param in command_of(verb).params}
    if verb is Verb.STEER:
        names.add("node")  # among its words
    assert {"id", "reason", "expires_seconds", "as_json"} <= names
    expected = {str(scope) for scope in scopes} - ({"all"} if scopes == {Scope.ALL} else set())
    expected |= {"goal"} if scopes & {Scope.NODE, Scope.GOAL, Scope.AGENT} else set()
    expected |= {"owner"} if Scope.AGENT in scopes and verb is not Verb.STEER else set()
    assert names & {str(scope) for scope in Scope} == expected


SENT: list[tuple[str, dict[str, object]]] = [
    ("pause g1 --reason why", {"command": "PAUSE", "goal": "g1", "reason": "why"}),
    ("pause g1 --stop", {"command": "PAUSE", "goal": "g1", "arguments": {"mode": "stop"}}),
    ("pause --owner acme --id p.1 --expires 60", {"command": "PAUSE", "owner": "acme", "id": "p.1", "expires_seconds": 60.0}),
    ("pause g1 --node a", {"command": "PAUSE", "goal": "g1", "node": "a"}),
    ("pause --all", {"command": "PAUSE", "all": True}),
    ("resume g1", {"command": "RESUME", "goal": "g1"}),
    ("resume g1 --agent writer", {"command": "RESUME", "goal": "g1", "agent": "writer"}),
    ("cancel g1", {"command": "CANCEL", "goal": "g1"}),
    ("retry g1 --node a --descendants", {"command": "RETRY", "goal": "g1", "node": "a", "arguments": {"descendants": True}}),
    ("approve g1 a --comment ok", {"command": "APPROVE", "goal": "g1", "node": "a", "arguments": {"comment": "ok"}}),
    ("reject g1 a", {"command": "REJECT", "goal": "g1", "node": "a"}),
    ("signal g1 paid {\"amount\":12}", {"command": "SIGNAL", "goal": "g1", "arguments": {"name": "paid", "payload": {"amount": 12}}}),
    ("signal g1 paid", {"command": "SIGNAL", "goal": "g1", "arguments": {"name": "paid"}}),
    ("drop g1 a --dependants rewire", {"command": "DROP-TASK", "goal": "g1", "node": "a", "arguments": {"dependants": "rewire"}}),
    ("drop g1 a", {"command": "DROP-TASK", "goal": "g1", "node": "a"}),
    ("edit g1 a --set url=x --set n=2 --retry", {
        "command": "EDIT", "goal": "g1", "node": "a", "arguments": {"set": {"url": "x", "n": 2}, "retry": True},
    }),
    ("edit g1 a --inputs {\"n\":[1]}", {"command": "EDIT", "goal": "g1", "node": "a", "arguments": {"inputs": {"n": [1]}}}),
    ("priority g1 50", {"command": "SET-PRIORITY", "goal": "g1", "arguments": {"priority": 50}}),
    ("priority g1 7 --node a", {"command": "SET-PRIORITY", "goal": "g1", "node": "a", "arguments": {"priority": 7}}),
    ("budget g1 --tokens 10 --usd 2.5", {"command": "SET-BUDGET", "goal": "g1", "arguments": {"tokens": 10, "micro_usd": 2_500_000}}),
    ("budget --owner o --usd 0 --account a", {
        "command": "SET-BUDGET", "owner": "o", "arguments": {"micro_usd": 0, "account": "a"},
    }),
    ("hold --queue gpu", {"command": "HOLD", "queue": "gpu"}),
    ("hold --agent writer --owner acme", {"command": "HOLD", "agent": "writer", "owner": "acme"}),
    ("release g1 --node a", {"command": "RELEASE", "goal": "g1", "node": "a"}),
    ("release --all", {"command": "RELEASE", "all": True}),
    ("stop --exit", {"command": "STOP", "all": True, "arguments": {"exit": True}}),
    ("flush-memory g1 --agent writer", {"command": "FLUSH-MEMORY", "goal": "g1", "agent": "writer"}),
    ("command {\"command\":\"elevate\",\"goal\":\"g1\",\"priority\":3}", {
        "command": "SET-PRIORITY", "goal": "g1", "arguments": {"priority": 3},
    }),
]  # fmt: skip


@pytest.mark.parametrize(("line", "payload"), SENT)
def test_what_was_said_is_what_is_sent(door: Door, chordal: Run, line: str, payload: dict[str, object]) -> None:
    result = chordal(*line.split(" "))
    assert result.exit_code == 0, result.output
    assert door.commands.payloads == [payload]
    assert (door.commands.given[0].door, door.commands.given[0].sender) == ("cli", sender())
    found = json.loads(chordal(*line.split(" "), "--json").stdout)
    assert found["command"] == payload["command"]
    assert found.get("goal_id") == payload.get("goal")


WRONG = [
    ("pause", "for whom"),
    ("pause g1 --all", "second time"),
    ("pause --node a", "with its goal"),
    ("resume g1 --owner acme", "second time"),
    ("release", "for whom"),
    ("edit g1 a", "--inputs"),
    ("edit g1 a --set x=1 --inputs {}", "--inputs"),
    ("edit g1 a --set x", "KEY=VALUE"),
    ("edit g1 a --inputs [1]", "inputs"),
    ("budget g1", "tokens, micro_usd or both"),
    ("stop g1", "unexpected extra argument"),
    ("priority g1 -1", "priority"),
    ("flush-memory g1", "FLUSH-MEMORY"),
    ("pause g1 --expires 0", "expires"),
    ("pause g1 --id a/b", "id"),
    ("command {", "JSON"),
    ("command []", "object"),
    ("command {\"command\":\"EXPLODE\",\"goal\":\"g1\"}", "one of PAUSE"),
    ("command {\"command\":\"PAUSE\",\"goal\":\"g1\",\"force\":true}", "no such argument"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "why"), WRONG)
def test_what_is_wrong_is_said_and_nothing_is_sent(door: Door, chordal: Run, line: str, why: str) -> None:
    result = chordal(*line.split(" "))
    assert (result.exit_code, door.commands.given) == (2, [])
    assert why in result.stderr
    assert json.loads(chordal(*line.split(" "), "--json").stdout)["error"]["message"]


REFUSED = [
    (IllegalTransition("goal 'g1' is DONE; it cannot be paused"), 409, "IllegalTransition"),
    (GoalNotFound("there is no goal 'g1'"), 404, "GoalNotFound"),
    (NodeNotFound("goal 'g1' has no node 'a'"), 404, "NodeNotFound"),
    (Denied("cli:ann may not PAUSE"), 403, "Denied"),
    (Expired("too late"), 410, "Expired"),
]


@pytest.mark.parametrize(("raises", "code", "kind"), REFUSED)
def test_a_refusal_is_told_with_its_reason_and_exits_with_2(
    door: Door, chordal: Run, raises: Exception, code: int, kind: str
) -> None:
    door.raises = raises
    result = chordal("pause", "g1")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {raises}\n")
    result = chordal("pause", "g1", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["code"], found["goal_id"]) == (2, code, "g1")
    assert found["error"] == {"type": kind, "message": str(raises), "faults": []}


def test_what_failed_inside_exits_with_1(door: Door, chordal: Run) -> None:
    door.commands.says["PAUSE"] = lambda one: Answer("c", "PAUSE", one.target, 500, "failed", "KeyError; see the log")
    result = chordal("pause", "g1")
    assert (result.exit_code, result.stderr) == (1, "Error: KeyError; see the log\n")


def test_of_a_broadcast_every_refusal_is_shown(door: Door, chordal: Run) -> None:
    effects = (Effect("g1", "", "paused"), Effect("g2", "", "refused", 409, "goal 'g2' is \x1bDONE"))
    door.commands.says["PAUSE"] = lambda command: answered(command, "done", *effects)
    result = chordal("pause", "--owner", "acme")
    assert (result.exit_code, result.stdout) == (
        0, "2 goals: 1 paused, 1 refused\n  goal g2: refused: goal 'g2' is \\x1bDONE\n",
    )  # fmt: skip
    assert len(json.loads(chordal("pause", "--owner", "acme", "--json").stdout)["effects"]) == 2


def test_a_broadcast_that_nobody_hears_says_so(door: Door, chordal: Run) -> None:
    door.commands.says["CANCEL"] = lambda one: Answer("c", "CANCEL", one.target, 200, "done")
    assert chordal("cancel", "--owner", "acme").stdout == "there is no goal that it is for\n"


def test_the_fleet_is_no_goal(door: Door, chordal: Run) -> None:
    door.commands.says["STOP"] = lambda command: answered(command, "stopped")
    door.commands.says["HOLD"] = lambda command: answered(command, "held")
    assert chordal("stop").stdout == "the fleet takes no new node; what runs finishes\n"
    assert (
        chordal("hold", "--agent", "writer", "--owner", "o").stdout == "agent writer of owner o is held: no new claim\n"
    )


def test_what_was_set_is_said(door: Door, chordal: Run) -> None:
    door.commands.says |= {verb: lambda command: answered(command, "set") for verb in ("SET-PRIORITY", "SET-BUDGET")}
    assert chordal("priority", "g1", "5").stdout == "goal g1 has another priority\n"
    assert chordal("budget", "g1", "--tokens", "5").stdout == "goal g1 has another budget for model calls\n"


def test_a_pause_that_stops_says_what_it_stopped(door: Door, chordal: Run) -> None:
    door.commands.says["PAUSE"] = lambda command: answered(command, "paused", stopped=["a", "b\x07"])
    said = chordal("pause", "g1", "--stop").stdout
    assert said.startswith("goal g1 is paused: nothing new starts, and what ran was stopped")
    assert said.endswith(": a, b\\x07\n")


def test_a_command_that_was_given_before_says_so(door: Door, chordal: Run) -> None:
    def again(command: Command) -> Answer:
        effect = Effect(command.goal or "", "", "paused")
        return Answer("c", "PAUSE", command.target, 200, "paused", effects=(effect,), receivers=1, repeated=True)

    door.commands.says["PAUSE"] = again
    assert "given before" in chordal("pause", "g1", "--id", "c").stdout
    assert json.loads(chordal("pause", "g1", "--id", "c", "--json").stdout)["repeated"] is True


def test_a_sender_in_the_payload_is_not_believed(door: Door, chordal: Run) -> None:
    chordal("command", '{"command": "PAUSE", "goal": "g1", "sender": "root", "door": "python"}')
    assert (door.commands.given[0].door, door.commands.given[0].sender) == ("cli", sender())
