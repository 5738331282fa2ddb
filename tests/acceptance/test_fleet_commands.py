"""Commands that reach further than one goal: an owner's goals, queues, agents, the whole fleet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from orchestrator.domain.command import Door
from support.doors import FILES, Stack
from support.plots import AT_WORK
from support.servers import Fleet, until

PROFILES = """
accounts: {acme: {kind: scripted, script: script.yaml}}
models: {small: {account: acme}}
"""
NUMBERS = count()


@pytest.fixture
def stack(fleet: Callable[..., Fleet]) -> Stack:
    """A worker on the queues `default` and `gpu`, and a beat."""
    made = Stack(fleet(FILES, CHORDAL_IMPORTS="work"), Door.CLI)
    made.fleet.worker("w1", "-Q", "default,gpu", pool="threads")
    made.fleet.beat()
    made.chordal = made.fleet.chordal()
    return made


def submit(stack: Stack, owner: str = "acme", **node: Any) -> str:
    """A goal of one node beside one on the queue `default`."""
    goal = f"g{next(NUMBERS)}"
    nodes = [{"id": "plain", "call": "work:echo"}, {"id": "other", "call": "work:echo", **node}]
    stack.chordal.submit({"goal_id": goal, "owner": owner, "nodes": nodes})
    return goal


def states(stack: Stack, goal: str) -> tuple[str, str]:
    nodes = stack.chordal.status(goal).nodes
    return nodes["plain"].state.value, nodes["other"].state.value


def left_alone(stack: Stack, **node: Any) -> str:
    """A goal whose node nobody claims, while the one beside it is DONE: what is held is known in the fleet by then."""

    def tried() -> str:
        goal = submit(stack, **node)
        until(lambda: states(stack, goal)[0] == "DONE", 20, f"{goal}: what is not held runs")
        return goal if states(stack, goal)[1] == "READY" and not claimed(stack, goal) else ""

    return str(until(tried, 20, "a node that nobody claims"))


def claimed(stack: Stack, goal: str) -> bool:
    return any((one.type, one.node) == ("node.claimed", "other") for one in stack.chordal.events(goal))


@pytest.mark.parametrize(
    ("words", "node"),
    [
        (("--queue", "gpu"), {"queue": "gpu"}),
        (("--agent", "writer"), {"agent": "writer"}),
        (("--agent", "writer", "--owner", "acme"), {"agent": "writer"}),
    ],
)
def test_a_held_queue_or_agent_starts_nothing_anywhere_until_it_is_released(
    stack: Stack, words: tuple[str, ...], node: dict[str, str]
) -> None:
    assert stack.line("hold", *words, "--reason", "repairs")["outcome"] == "held"
    goal = left_alone(stack, **node)
    assert stack.line("hold", *words)["outcome"] == "unchanged"
    assert stack.line("release", *words)["outcome"] == "released"
    until(lambda: states(stack, goal) == ("DONE", "DONE"), 20, f"{goal} ends")
    until(lambda: states(stack, submit(stack, **node)), 20)


def test_a_hold_for_one_owner_lets_others_go_on(stack: Stack) -> None:
    stack.line("hold", "--agent", "writer", "--owner", "acme")
    left_alone(stack, agent="writer")
    other = submit(stack, "other", agent="writer")
    until(lambda: states(stack, other) == ("DONE", "DONE"), 20, "the other owner's goal ends")
    assert stack.line("release", "--all")["outcome"] == "released"


def test_a_stopped_fleet_starts_nothing_and_goes_on_when_it_is_released(stack: Stack) -> None:
    assert stack.line("stop", "--reason", "maintenance")["outcome"] == "stopped"

    def untouched() -> str:
        goal = submit(stack)
        try:
            until(lambda: "DONE" in states(stack, goal), 1.5)
        except AssertionError:
            return goal
        return ""

    goal = str(until(untouched, 20, "a goal that nobody begins"))
    assert states(stack, goal) == ("READY", "READY")
    assert stack.line("release", "--all")["outcome"] == "released"
    until(lambda: states(stack, goal) == ("DONE", "DONE"), 20, "the goal ends")


def test_a_stop_with_exit_ends_the_workers_once_their_nodes_have_finished(stack: Stack) -> None:
    busy = {"id": "busy", "call": "work:until_told", "inputs": {"name": "slow"}}
    stack.chordal.submit({"goal_id": "slow", "nodes": [busy]})
    until(lambda: stack.chordal.status("slow").nodes["busy"].state == "RUNNING", 20, "it runs")
    stack.line("stop", "--exit")
    worker = stack.fleet.procs[0]
    until(lambda: "shutdown" in worker.text().lower(), 20, "the worker was asked to end")
    assert worker.process.poll() is None, "it waits for its node"
    (stack.fleet.folder / "slow.go").touch()
    until(lambda: worker.process.poll() is not None, 20, "the worker ends")
    assert stack.chordal.summary("slow").state == "DONE"


def test_a_command_for_an_owner_reaches_every_goal_of_it_and_no_other(stack: Stack) -> None:
    for goal, owner in (("a1", "acme"), ("a2", "acme"), ("b1", "other")):
        stack.chordal.submit({**AT_WORK.document(goal), "owner": owner})

    def are() -> list[str]:
        return [stack.chordal.summary(goal).state.value for goal in ("a1", "a2", "b1")]

    said = stack.line("pause", "--owner", "acme")
    assert (said["outcome"], said["receivers"], are()) == ("done", 2, ["PAUSED", "PAUSED", "RUNNING"])
    said = stack.line("resume", "--owner", "acme")
    assert sorted(effect["goal"] for effect in said["effects"]) == ["a1", "a2"]
    assert are() == ["RUNNING"] * 3
    stack.line("pause", "--all", "--id", "p1")
    assert are() == ["PAUSED"] * 3
    stack.chordal.command("RESUME", goal="b1")
    assert stack.line("pause", "--all", "--id", "p1")["repeated"] is True
    assert are() == ["PAUSED", "PAUSED", "RUNNING"], "it does not act a second time"
    task = stack.chordal.app.send_task("tasks.control.command", ["CANCEL"], {"owner": "acme"})
    assert task.get(timeout=20) == "done"
    assert are() == ["CANCELLED", "CANCELLED", "RUNNING"]


def test_an_owners_budget_is_set_on_every_account(fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch) -> None:
    one = fleet({"llm.yaml": PROFILES, "script.yaml": "[]\n"})
    monkeypatch.setenv("CHORDAL_LLM_FILE", str(one.folder / "llm.yaml"))
    stack = Stack(one, Door.CLI)
    assert stack.line("budget", "--owner", "acme", "--tokens", "500", "--usd", "2.5")["outcome"] == "set"
    limiter = one.chordal().limiter
    assert {name: amount for name, amount in limiter.status("acme").budgets.items() if "owner:acme" in name} == {
        "owner:acme:tokens": 500, "owner:acme:usd": 2_500_000,
    }  # fmt: skip
