"""The duty `ttl`: gates, the archive hook, slices; and what is broken off goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from orchestrator.domain.errors import GoalNotFound
from orchestrator.engine.duty import BUDGET_SECONDS, Duty
from orchestrator.engine.upkeep.archive import BadArchiveHook, load_hook
from orchestrator.engine.upkeep.removal import AT_ONCE
from orchestrator.store.store import Store
from support.crew import Crew
from support.invariants import unknown_keys
from support.servers import until

Hooked = Callable[[Callable[[dict[str, Any]], object]], Crew]


@pytest.fixture
def hooked(store: Store, tmp_path: Path) -> Iterator[Hooked]:
    """Makes a crew whose goals are archived by a function."""
    module = ModuleType("an_archive")
    sys.modules["an_archive"] = module

    def make(function: Callable[[dict[str, Any]], object]) -> Crew:
        module.__dict__["keep"] = function
        return Crew(store, tmp_path, archive_hook="an_archive:keep", done_ttl_seconds=0.001, failed_ttl_seconds=0.001)

    yield make
    del sys.modules["an_archive"]
    assert unknown_keys(store) == []


def goals_with_an_end(crew: Crew, *names: str) -> None:
    for name in names:
        crew.submit([{"id": "a"}], goal_id=name)
    crew.work()
    time.sleep(0.002)  # their time to live
    crew.store.goals.hasten(names)


def removed(crew: Crew) -> bool:
    return ", 0 to go" in crew.upkeep.removal.tick()


def duty_of(crew: Crew) -> Duty:
    return next(duty for duty in crew.duties.all() if duty.name == "ttl")


def test_the_hook_gets_the_whole_goal_before_it_is_removed(hooked: Hooked) -> None:
    kept: list[dict[str, Any]] = []
    crew = hooked(kept.append)
    crew.function(lambda: "x" * 100_000, "large")
    crew.function(lambda: 1 / 0, "breaks")
    crew.submit(
        [{"id": "a", "inputs": {"n": 1}}, {"id": "big", "call": "large"}, {"id": "bad", "call": "breaks"}], [("a", "big")]
    )  # fmt: skip
    crew.work()
    time.sleep(0.002)
    crew.store.goals.hasten(["g"])
    crew.duties.reap()
    until(lambda: removed(crew), what="the goal is gone")
    assert crew.state() == "GONE"
    (whole,) = kept
    assert (whole["goal_id"], whole["record"]["state"], whole["edges"]) == ("g", "FAILED", [["a", "big"]])
    assert whole["nodes"]["a"]["output"] == {"title": ""}
    assert whole["nodes"]["a"]["record"]["state"] == "DONE"
    assert whole["nodes"]["big"]["output"]["$ref"]["bytes"] == 100_002
    assert "ZeroDivisionError" in whole["nodes"]["bad"]["failure"]["error"]
    assert [event["type"] for event in whole["events"]][-1] == "goal.failed"


def test_a_goal_stays_for_as_long_as_its_archive_fails_and_people_are_told_why(hooked: Hooked) -> None:
    broken, kept = [True], []

    def keep(whole: dict[str, Any]) -> None:
        if broken:
            raise OSError("the disk is full")
        kept.append(whole["goal_id"])

    crew = hooked(keep)
    goals_with_an_end(crew, "g")
    crew.duties.reap()
    until(lambda: removed(crew), what="the hook was called")
    assert crew.state() == "DONE"
    (why,) = [why for _, why in crew.store.upkeep.put_offs().values()]
    assert why == "archive_hook an_archive:keep failed: OSError: the disk is full"
    assert "1 put off" in crew.upkeep.removal.tick()
    assert crew.duties.reap().startswith("0 goals"), "not at once again"
    broken.clear()
    crew.store.goals.hasten(["g"])
    crew.duties.reap()
    until(lambda: removed(crew), what="the goal is gone")
    assert (kept, crew.state(), crew.store.upkeep.put_offs()) == (["g"], "GONE", {})


def test_a_slow_hook_holds_neither_beat_nor_other_goals_up(hooked: Hooked) -> None:
    go_on = threading.Event()

    def keep(whole: dict[str, Any]) -> None:
        if whole["goal_id"] == "slow":
            assert go_on.wait(30)

    crew = hooked(keep)
    goals_with_an_end(crew, "slow", *(f"g{at}" for at in range(3 * AT_ONCE)))
    crew.duties.reap()
    longest = 0.0
    while crew.store.goals.newest(0, 100) != ["slow"]:
        begun = time.monotonic()
        crew.upkeep.removal.tick()
        longest = max(longest, time.monotonic() - begun)
    crew.upkeep.removal.tick()
    assert not duty_of(crew).left(), "it waits for the slow one, and comes again at its time"
    assert longest < BUDGET_SECONDS + 1.0, "a step more than the budget, on a busy machine"
    assert ", 1 to go" in crew.upkeep.removal.tick()
    go_on.set()
    until(lambda: removed(crew), what="the slow one is gone")
    assert crew.store.goals.newest(0, 100) == []


def test_a_goal_that_is_reopened_while_it_is_archived_stays_with_its_files(hooked: Hooked) -> None:
    fail = [True]

    def keep(_: dict[str, Any]) -> None:
        fail.clear()
        crew.reopener.retry("g", None)

    crew = hooked(keep)
    crew.function(lambda: "x" * 100_000, "large")
    crew.function(lambda: 1 / 0 if fail else 2, "once")
    crew.submit([{"id": "a", "call": "large"}, {"id": "b", "call": "once"}])
    crew.work()
    assert crew.state() == "FAILED"
    time.sleep(0.002)
    crew.store.goals.hasten(["g"])
    crew.duties.reap()
    until(lambda: removed(crew), what="the removal is given up")
    crew.work()
    assert crew.state() == "DONE"
    assert crew.output("a") == "x" * 100_000


def test_a_goal_that_is_reopened_before_its_turn_stays_with_its_files(crew: Crew) -> None:
    fail = [True]
    crew.function(lambda: "x" * 100_000, "large")
    crew.function(lambda: 1 / 0 if fail else 2, "once")
    crew.submit([{"id": "a", "call": "large"}, {"id": "b", "call": "once"}])
    crew.work()
    crew.upkeep.removal.offer("g")
    fail.clear()
    crew.reopener.retry("g", None)
    until(lambda: removed(crew), what="the offer is dropped")
    assert crew.state() == "RUNNING"
    assert crew.output("a") == "x" * 100_000
    crew.work()
    assert crew.state() == "DONE"


def test_a_goal_that_has_ended_again_before_its_turn_has_its_time_to_live_again(crew: Crew) -> None:
    fail = [True]
    crew.function(lambda: 1 / 0 if fail else 2, "once")
    crew.submit([{"id": "b", "call": "once"}])
    crew.work()
    crew.upkeep.removal.offer("g")
    fail.clear()
    time.sleep(0.002)  # so that it ends a millisecond later
    crew.reopener.retry("g", None)
    crew.work()
    until(lambda: removed(crew), what="the offer is dropped")
    assert crew.state() == "DONE"


def test_a_gate_puts_the_removal_off_and_is_not_asked_for_a_goal_that_is_half_gone(crew: Crew) -> None:
    asked: list[str] = []

    def gate(goal: str) -> str:
        asked.append(goal)
        return "its word is not told" if len(asked) == 1 else ""

    crew.upkeep.removal.gates.append(gate)
    crew.submit([{"id": f"n{at}"} for at in range(3)])
    crew.work()
    crew.store.client.hset(crew.store.keys.goal("g"), "ended", 0)
    for _ in range(2):
        crew.store.goals.hasten(["g"])
        crew.duties.reap()
        until(lambda: removed(crew), what="it was asked")
    assert (asked, crew.state()) == (["g", "g"], "GONE")
    crew.submit(["a"], goal_id="h")
    crew.work()
    crew.store.client.hset(crew.store.keys.goal("h"), "ended", 0)
    crew.store.goals.hide("h", "0")
    crew.store.client.hset(crew.store.keys.goal("h"), "created", 0)
    crew.store.goals.hasten(["h"])
    crew.duties.reap()
    until(lambda: removed(crew), what="it is gone")
    assert asked == ["g", "g"]
    assert crew.state("h") == "GONE"


def test_a_removal_that_is_broken_off_anywhere_is_found_and_finished(store: Store, tmp_path: Path) -> None:
    """Another beat takes over after each slice in turn."""
    for stop_after in range(6):
        crew = Crew(store, tmp_path)
        crew.submit([{"id": f"n{at}", "queue": f"q{at % 3}", "kind": "approval"} for at in range(2500)])
        while crew.control.cancel("g") == "more":
            pass
        store.client.hset(store.keys.goal("g"), mapping={"ended": 0, "created": 0})
        steps = crew.upkeep.removal._remove("g", store.goals.clock_ms())
        for _ in range(stop_after):
            next(steps, None)
        steps.close()
        other = Crew(store, tmp_path)
        store.goals.hasten(["g"])
        other.duties.reap()
        until(partial(removed, other), what="the goal is gone")
        assert not list(store.client.scan_iter("*{g}*")), stop_after
        assert store.goals.newest(0, 10) == []


def test_a_goal_that_has_ended_again_since_is_not_hidden(crew: Crew) -> None:
    crew.submit(["a"])
    crew.work()
    assert crew.store.goals.hide("g", "17") == "open"
    assert crew.store.goals.record("g")["state"] == "DONE"
    assert crew.store.goals.hide("g", crew.store.goals.field("g", "ended") or "") == "more"
    with pytest.raises(GoalNotFound):
        crew.store.goals.record("g")


@pytest.mark.parametrize("name", ["nowhere_to_be_found:keep", "json:nothing", "json:decoder", "json"])
def test_a_hook_that_cannot_be_called_is_said(name: str) -> None:
    with pytest.raises(BadArchiveHook, match="archive_hook"):
        load_hook(name)
