"""The operator's commands beside a real fleet: what workers hold, settings that break promises, events, a message sent again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from acceptance.test_poison import encoded, message
from orchestrator.domain.states import GoalState, NodeState
from support.servers import Fleet, until

WORK = """
import time
from orchestrator import node

@node
def nap(seconds): time.sleep(seconds)
"""
FILES = {"work.py": WORK}
_MAIN = "from orchestrator.cli.main import main; main()"


def chordal(fleet: Fleet, *words: str) -> Any:
    ran = subprocess.run(
        [sys.executable, "-c", _MAIN, *words, "--json"], cwd=fleet.folder, env=fleet.environment(), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.stdout, ran.stderr
    return json.loads(ran.stdout)


@contextmanager
def following(fleet: Fleet, *words: str) -> Iterator[list[Any]]:
    """The events of every goal as they come, for as long as the block lasts."""
    path = fleet.folder / "events.ndjson"
    with path.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "events", "--follow", *words, "--json"], cwd=fleet.folder,
            env=fleet.environment(), stdout=out, stderr=subprocess.PIPE,
        )  # fmt: skip
        found: list[Any] = []
        try:
            yield found
        finally:
            process.terminate()
            process.communicate(timeout=10)
            found += [json.loads(line) for line in path.read_text().splitlines()]


def test_workers_hold_what_they_run_and_tell_settings_that_break_promises(fleet: Callable[..., Fleet]) -> None:
    one = fleet(FILES, CHORDAL_IMPORTS="work")
    one.worker("w1", "--prefetch-multiplier", "4")
    one.worker("gpu1", "-Q", "gpu", slots=1)
    one.beat()
    door = one.chordal()
    goal = door.submit(
        {
            "goal_id": "g",
            "nodes": [{"id": f"n{at}", "call": "work:nap", "inputs": {"seconds": 30}} for at in range(3)]
            + [{"id": "gpu", "call": "work:nap", "inputs": {"seconds": 30}, "queue": "gpu"}],
        }
    )
    until(lambda: door.summary(goal).counts[NodeState.RUNNING] == 3, what="three run")
    found = {worker["name"]: worker for worker in chordal(one, "workers")}
    assert {name: len(worker["holds"]) for name, worker in found.items()} == {"w1@test": 2, "gpu1@test": 1}
    assert found["gpu1@test"]["holds"] == [{"goal": "g", "node": "gpu"}]
    assert found["gpu1@test"]["faults"] == []
    assert found["w1@test"]["faults"][0].startswith("--prefetch-multiplier is 4")
    checks = {check["name"]: check for check in chordal(one, "doctor")}
    assert checks["worker w1@test"]["ok"] is False
    assert "--prefetch-multiplier is 4" in checks["worker w1@test"]["detail"]
    assert checks["worker gpu1@test"]["ok"]
    (waiting,) = [node.id for node in door.status(goal).nodes.values() if node.state is NodeState.READY]
    (reason,) = chordal(one, "why", goal, waiting)["reasons"]
    assert reason["cause"] == "slots"
    assert chordal(one, "top")["goals"][0]["running"] == 3


def test_events_of_every_goal_and_a_message_that_is_sent_again(fleet: Callable[..., Fleet]) -> None:
    one = fleet()
    one.worker("w1")
    one.beat()
    door = one.chordal()
    old = door.submit({"goal_id": "old", "nodes": [{"id": "ask", "kind": "approval"}]})
    until(lambda: door.summary(old).counts[NodeState.WAITING], what="it waits")
    with following(one, "--type", "goal.*") as events:
        door.store.client.lpush("default", message(encoded({"no": "arguments"}), task="tasks.goal.submit"))
        until(door.store.fleet.poison, what="it is set aside")
        (letter,) = [letter for letter in chordal(one, "dead", "list") if letter["kind"] == "message"]
        assert chordal(one, "dead", "requeue", letter["id"])["outcome"] == "requeued"
        again = until(door.store.fleet.poison, what="it came, could not be read and was set aside again")
        assert len(again) == 1
        assert json.loads(again[0]["body"]) == {"no": "arguments"}
        door.submit({"goal_id": "new", "nodes": [{"id": "a"}]})
        door.approve(old, "ask")
        until(lambda: all(door.summary(goal).state is GoalState.DONE for goal in ("old", "new")), what="both are done")
        until(lambda: (one.folder / "events.ndjson").read_text().count("goal.done") == 2, what="both ends are told")
    told = [(event["goal"], event["type"]) for event in events]
    assert sorted(told) == [
        ("new", "goal.done"),
        ("new", "goal.started"),
        ("new", "goal.submitted"),
        ("old", "goal.done"),
    ]
