"""A process that dies while it carries out a command, at any of its scripts: beat's duty finishes the command, and it acts once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orchestrator.control import service
from orchestrator.domain.command import Code, Door, read_command
from orchestrator.store.scripts import Scripts
from support.crew import Crew

NODES: list[dict[str, Any]] = [
    {"id": "gate", "kind": "approval"},
    {"id": "next"},
    {"id": "last"},
    {"id": "paid", "kind": "wait", "inputs": {"signal": "paid"}},
    {"id": "bad", "call": "broken_call"},
    {"id": "write", "kind": "agent", "agent": "writer", "inputs": {"task": "Write."}},
]
EDGES = [("gate", "next"), ("next", "last"), ("gate", "write")]
COMMANDS: list[dict[str, Any]] = [
    {"command": "PAUSE", "goal": "g"},
    {"command": "PAUSE", "goal": "g", "mode": "stop"},
    {"command": "PAUSE", "owner": "acme"},
    {"command": "CANCEL", "goal": "g"},
    {"command": "CANCEL", "owner": "acme"},
    {"command": "DROP-TASK", "goal": "g", "node": "next"},
    {"command": "DROP-TASK", "goal": "g", "node": "next", "dependants": "rewire"},
    {"command": "DROP-TASK", "goal": "g", "node": "next", "dependants": "fail"},
    {"command": "RETRY", "goal": "g", "node": "bad"},
    {"command": "EDIT", "goal": "g", "node": "bad", "set": {"value": 2}},
    {"command": "EDIT", "goal": "g", "node": "bad", "set": {"value": 2}, "retry": True},
    {"command": "SET-PRIORITY", "goal": "g", "priority": 9},
    {"command": "SET-PRIORITY", "goal": "g", "node": "next", "priority": 9},
    {"command": "REPARSE", "goal": "g", "agents": [{"name": "writer", "instructions": "Be long."}]},
    {"command": "STEER", "goal": "g", "node": "write", "message": "Be kind."},
    {"command": "STEER", "goal": "g", "agent": "writer", "message": "Be kind."},
    {"command": "APPROVE", "goal": "g", "node": "gate"},
    {"command": "REJECT", "goal": "g", "node": "gate"},
    {"command": "SIGNAL", "goal": "g", "name": "paid", "payload": 3},
    {"command": "REPLAN", "goal": "g", "reason": "in French"},
    {"command": "SET-BUDGET", "goal": "g", "tokens": 500},
    {"command": "HOLD", "goal": "g", "node": "next"},
    {"command": "HOLD", "queue": "gpu"},
    {"command": "RELEASE", "all": True},
    {"command": "STOP", "all": True},
    {"command": "FLUSH-MEMORY", "agent": "writer", "owner": "acme"},
]


class Died(BaseException):
    """The process is gone: nothing catches it."""


@contextmanager
def dies(at: int, after: bool) -> Iterator[Callable[[], bool]]:
    """The block's process dies at its script of that number, before it or right after; the value: whether it did."""
    left, real = [at], Scripts.run

    def run(self: Scripts, *args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise Died
        found = real(self, *args, **more)
        if left[0] == 0:
            raise Died
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scripts, "run", run)
        yield lambda: left[0] <= 0


def begin(crew: Crew) -> None:
    """The goal "g" and another of its owner, at work; one node has failed."""
    crew.store.client.flushall()
    for goal in ("g", "h"):
        crew.submit(NODES, EDGES, goal, owner="acme", agents=[{"name": "writer", "queue": "agents"}])
    while crew.mail.invitations:
        one = crew.mail.invitations.popleft()
        crew.runner.answer(one.goal, one.queue, one.node, one.sent_ms)
    crew.store.agents.remember("acme", "writer", "{}", 9)
    assert crew.states()["bad"] == "FAILED"


def applied(crew: Crew, goal: str) -> list[tuple[str, str]]:
    return [(one.data["command"], one.node) for one in crew.wired.events(goal) if one.type == "command.applied"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("payload", COMMANDS, ids=lambda one: "-".join(str(value) for value in one.values())[:40])
def test_who_dies_halfway_leaves_a_command_that_beat_finishes_once(
    payload: dict[str, Any], after: bool, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    @crew.function
    def broken_call(value: int = 1) -> None:
        raise ValueError(f"broken: {value}")

    monkeypatch.setattr(service, "AGAIN_MS", -1000)  # at once: the other is dead, not slow
    command = read_command({**payload, "id": "c1"}, Door.CLI, "ann")
    begin(crew)
    whole = crew.wired.commands.carry_out(command)
    assert whole.code == Code.OK, whole
    receivers = {goal: applied(crew, goal) for goal in ("g", "h")}
    for at in range(1, 100):
        begin(crew)
        with dies(at, after) as hit:
            try:
                crew.wired.commands.carry_out(command)
            except Died:
                pass
            else:
                if not hit():
                    return  # it has fewer scripts than that
        crew.wired.commands.resume_open()
        answer = crew.wired.commands.carry_out(command)
        assert answer.code == Code.OK, (at, answer)
        # Of a broadcast the answer names the goals that were met now; those that ended before the death are among the events.
        assert answer.receivers <= whole.receivers, (at, answer)
        for goal, expected in receivers.items():
            assert sorted(applied(crew, goal)) == sorted(expected), (at, goal)
    raise AssertionError("it never came to its end")
