"""Goals of many nodes: no tick of beat takes long, whatever it finds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.engine import duties
from orchestrator.store.goals import PIECE
from orchestrator.store.store import Store
from support.crew import Crew
from support.invariants import broken


def longest_tick(crew: Crew, until_gone: str) -> float:
    """Let beat work until the goal is gone; the longest tick, seconds."""
    longest = 0.0
    end = time.monotonic() + 60
    while crew.state(until_gone) != "GONE":
        assert time.monotonic() < end, crew.state(until_gone)
        for act in (crew.duties.reap, crew.upkeep.removal.tick):
            begun = time.monotonic()
            act()
            longest = max(longest, time.monotonic() - begun)
        crew.store.goals.hasten(crew.store.goals.newest(0, 10))
    return longest


def large_goal(store: Store, tmp_path: Path, nodes: int) -> Crew:
    """A goal whose cancellation was begun, and left."""
    crew = Crew(store, tmp_path, cancelled_ttl_seconds=0.001)
    crew.submit([{"id": f"n{at}", "kind": "approval"} for at in range(nodes)])
    assert store.goals.cancel("g", "enough") == "more"
    store.client.hset(store.keys.goal("g"), "created", 0)
    return crew


def test_a_cancellation_that_was_left_is_carried_on_in_slices(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = large_goal(store, tmp_path, 5 * PIECE)
    monkeypatch.setattr(duties, "CANCEL_SECONDS", 0.0)
    looks = 0
    while crew.state() != "CANCELLED":
        looks += 1
        assert looks < 20
        store.goals.hasten(["g"])
        crew.duties.reap()
        assert broken(store, "g") == []
    assert looks >= 4


def test_a_reap_that_runs_out_of_time_says_that_goals_are_left(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = Crew(store, tmp_path)
    for at in range(5):
        crew.submit([{"id": "a", "kind": "approval"}], goal_id=f"g{at}")
    crew.work()
    store.goals.hasten([f"g{at}" for at in range(5)])
    duty = next(one for one in crew.duties.all() if one.name == "reap")
    monkeypatch.setattr(duties, "BUDGET_SECONDS", 0.0)
    seen = []
    for _ in range(5):
        seen.append((duty.act().split(",")[0], duty.left()))
    assert seen == [("1 goals", True)] * 5
    monkeypatch.undo()
    assert (duty.act().split(",")[0], duty.left()) == ("0 goals", False)


@pytest.mark.slow
def test_a_goal_of_a_hundred_thousand_nodes_is_cancelled_and_removed_without_a_long_tick(
    store: Store, tmp_path: Path
) -> None:
    crew = large_goal(store, tmp_path, 100_000)
    assert longest_tick(crew, "g") < 1.0, "the budget is 0.2 s; the rest is for a busy machine"
    assert not list(store.client.scan_iter("*{g}*"))
