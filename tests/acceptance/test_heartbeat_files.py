"""Heartbeat files on a real fleet: two workers, two beats, and a watcher that is killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.control.files.parts import this_host
from orchestrator.control.files.registry import Registered
from orchestrator.domain.states import GoalState
from orchestrator.wiring import Chordal
from support.servers import Fleet, until

GOAL = {"goal_id": "g", "nodes": [{"id": "asks", "kind": "approval"}]}


def waiting_goal(chordal: Chordal, folder: Path) -> Path:
    """A goal that runs until somebody answers, and its file."""
    chordal.submit(GOAL)
    path = folder / "g.md"
    path.write_text("# directives\n")
    chordal.files.registry.register(Registered(str(folder), path.name, this_host(), goal="g"))
    return path


def say(path: Path, line: str) -> None:
    with path.open("a") as stream:
        stream.write(f"{line}\n")


def applied(chordal: Chordal) -> list[str]:
    return [event.data["outcome"] for event in chordal.events("g") if event.type == "command.applied"]


def answers(path: Path) -> list[str]:
    log = path.with_name(f"{path.name}.log")
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split(" -> ")[1].partition(" ")[0] for line in lines]


def becomes(chordal: Chordal, state: GoalState, seconds: float = 20) -> float:
    """How long it took."""
    begun = time.monotonic()
    until(lambda: chordal.summary("g").state is state, seconds, f"the goal is {state}")
    return time.monotonic() - begun


def test_each_line_acts_once_with_two_watchers_and_two_beats_though_the_watcher_is_killed(
    fleet: Callable[..., Fleet],
) -> None:
    one = fleet(CHORDAL_HEARTBEAT_SECONDS="0.5")
    workers = {name: one.worker(name) for name in ("w1", "w2")}
    one.beat()
    one.start("beat", "-l", "INFO", wait_for="Starting")
    chordal = one.chordal()
    path = waiting_goal(chordal, one.folder)
    watcher = str(until(lambda: chordal.files.watcher(this_host()), 20, "somebody watches"))
    for line, state in (("PAUSE", GoalState.PAUSED), ("RESUME", GoalState.RUNNING)):
        say(path, line)
        becomes(chordal, state)
    workers[watcher.partition("@")[0]].kill(signal.SIGKILL)
    say(path, "PAUSE: the watcher is dead")
    becomes(chordal, GoalState.PAUSED)
    until(lambda: chordal.files.watcher(this_host()) not in (None, watcher), 20, "the other worker watches")
    for proc in one.procs:
        proc.end()
    say(path, "RESUME")
    one.worker("w3")
    one.beat()
    becomes(chordal, GoalState.RUNNING)
    path.rename(path.with_name("g.md.1"))
    path.write_text("CANCEL: enough\n")
    becomes(chordal, GoalState.CANCELLED)
    until(lambda: len(answers(path)) == 5, 20, "answers")
    wanted = ["paused", "resumed", "paused", "resumed", "cancelled"]
    assert answers(path) == wanted
    assert applied(chordal) == wanted
    assert len(chordal.store.control.audit()) == len(wanted)


@pytest.mark.parametrize("pool", ["threads", "gevent", "solo"])
def test_a_worker_of_every_pool_watches(fleet: Callable[..., Fleet], pool: str) -> None:
    one = fleet(CHORDAL_HEARTBEAT_SECONDS="0.5")
    worker = one.worker("w1", pool=pool)
    chordal = one.chordal()
    path = waiting_goal(chordal, one.folder)
    until(lambda: chordal.files.watcher(this_host()), 20, "it watches")
    for line, state in (("PAUSE", GoalState.PAUSED), ("RESUME", GoalState.RUNNING)):
        say(path, line)
        becomes(chordal, state)
    worker.end()
    assert chordal.files.watcher(this_host()) is None, "it has left"
    assert "Traceback" not in worker.text()
