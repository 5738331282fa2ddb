"""The duty `metrics`: every goal and node is counted once, and a timeline is a ring."""

from __future__ import annotations

import pytest

from orchestrator.engine.upkeep.meter import RINGS
from orchestrator.store.store import Store
from support.crew import Crew
from support.sim import Sim


def look(crew: Crew, *goals: str) -> None:
    crew.store.goals.hasten(goals)
    crew.duties.reap()


def test_goals_and_nodes_are_counted_once_however_often_beat_looks(crew: Crew) -> None:
    fail = [True]
    crew.function(lambda: 1 / 0 if fail else 1, "breaks")
    crew.submit(["a", "b", {"id": "c", "call": "breaks"}])
    crew.submit([{"id": "a", "queue": "gpu"}, {"id": "w", "kind": "approval"}], goal_id="open")
    look(crew, "g", "open")
    levels = crew.upkeep.meter._measure()
    assert (levels["goals_open"], levels["nodes_ready"], levels["ready:gpu"]) == (2, 5, 1)
    crew.work()
    for _ in range(3):
        look(crew, "g", "open")
    crew.upkeep.meter.tick()
    totals = crew.store.upkeep.totals()
    assert {name: totals.get(name, 0) for name in ("goals_begun", "goals_failed", "goals_done")} == {
        "goals_begun": 2, "goals_failed": 1, "goals_done": 0,
    }  # fmt: skip
    assert (totals["nodes_done"], totals["nodes_failed"]) == (3, 1)
    levels = crew.store.upkeep.levels()
    assert (levels["goals_open"], levels["nodes_ready"], levels["nodes_waiting"]) == (1, 0, 1)
    assert levels["last_activity_ms"] > 0
    fail.clear()
    crew.reopener.retry("g", None)
    crew.work()
    look(crew, "g")
    crew.upkeep.meter.tick()
    totals = crew.store.upkeep.totals()
    assert (totals["goals_begun"], totals["goals_failed"], totals["goals_done"]) == (2, 1, 1)
    assert (totals["nodes_done"], totals["nodes_failed"]) == (4, 1), "what was done before is not counted again"


def test_the_timeline_adds_up_within_a_bucket_and_is_a_ring(store: Store) -> None:
    _, width, places = RINGS[0]
    first = 100 * width
    for at in range(3):
        store.upkeep.add("minutes", 100 % places, first, {"nodes_done": 2}, {"goals_open": at})
    assert store.upkeep.timeline("minutes") == [{"at": first, "nodes_done": 6, "goals_open": 2}]
    for minute in range(101, 101 + 3 * places):
        store.upkeep.add("minutes", minute % places, minute * width, {"nodes_done": 1}, {})
    buckets = store.upkeep.timeline("minutes")
    assert len(buckets) == places
    assert [bucket["at"] for bucket in buckets] == [(101 + 2 * places + at) * width for at in range(places)]
    assert {bucket["nodes_done"] for bucket in buckets} == {1}


def test_counts_that_could_not_be_written_are_written_by_the_next_tick(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew.upkeep.meter.add("leases_lost", 3)
    real = crew.store.upkeep.add

    def away(*_: object) -> None:
        raise OSError("away")

    monkeypatch.setattr(crew.store.upkeep, "add", away)
    with pytest.raises(OSError, match="away"):
        crew.upkeep.meter.tick()
    monkeypatch.setattr(crew.store.upkeep, "add", real)
    crew.upkeep.meter.tick()
    assert crew.store.upkeep.totals() == {"leases_lost": 3}


def test_a_goal_that_is_being_stored_or_removed_is_not_counted(sim: Sim) -> None:
    sim.submit(["a"])
    sim.done("a")
    tally = sim.reap().tally
    assert tally is not None
    assert (tally.first, tally.over, tally.done, tally.ended) == (True, True, 1, "DONE")
    assert sim.store.goals.hide("g", "") == "more"
    assert sim.reap().tally is None
