"""remove: an ended goal goes after its time, whole, with its files; an open one never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.goals import PIECE
from orchestrator.store.store import Store
from support.crew import Crew
from support.invariants import unknown_keys
from support.sim import TTL_MS, Sim


def everything(sim: Sim) -> None:
    """A goal that uses every key a goal can have."""
    sim.submit(
        [
            {"id": "lane1", "lane": "l"}, {"id": "lane2", "lane": "l", "queue": "gpu"}, {"id": "timer", "queue": "q"},
            {"id": "map", "kind": "map", "call": "f", "inputs": {"items": [1]}}, "fails", "skipped", "signal", "runs",
        ],
        [("fails", "skipped"), {"source": "fails", "target": "runs", "on": "finished"}],
    )  # fmt: skip
    sim.done("lane1", output="1")
    sim.park(sim.take("timer", queue="q"), "timer", "done", 10_000_000)
    sim.expand(sim.take("map"), ["map.0"])
    sim.wake("", "signal:s", "done", "1", keep=True)
    sim.park(sim.take("signal"), "approval")
    sim.fail("fails")
    sim.store.goals.adopt("g", "map", "child")


@pytest.mark.parametrize("end", ["DONE", "FAILED", "CANCELLED"])
def test_an_ended_goal_is_removed_after_its_time_and_leaves_no_key(sim: Sim, end: str) -> None:
    if end == "CANCELLED":
        everything(sim)
        assert unknown_keys(sim.store) == []
        sim.cancel()
    elif end == "FAILED":
        sim.submit(["a", "b"], [("a", "b")])
        sim.fail("a")
    else:
        sim.submit(["a", {"id": "b", "lane": "l", "queue": "q"}], [("a", "b")])
        sim.done("a", "b")
    assert sim.state == end
    ttl = TTL_MS[["DONE", "FAILED", "CANCELLED"].index(end)]
    ended = sim.now
    if end == "CANCELLED":
        assert sim.reap().advice == "orphans", "until its sub-goals are cancelled"
        sim.store.goals.forget_field("g", "orphans")
    assert (sim.reap().advice, sim.reap().due_ms) == ("wait", ended + ttl)
    sim.tick(ttl - 1)
    assert sim.reap().advice == "wait"
    sim.tick(1)
    assert sim.reap().advice == "remove"
    assert sim.store.goals.remove("g", now_ms=sim.now) == "removed"
    assert list(sim.store.client.scan_iter("*")) == []
    assert sim.reap().advice == "remove", "a look at what is gone does no harm"
    assert sim.store.goals.remove("g") == "gone"


def test_a_goal_that_has_not_ended_is_never_removed(sim: Sim) -> None:
    everything(sim)
    before = sim.dump()
    assert sim.store.goals.remove("g") == "open"
    sim.tick(1_000_000)
    assert sim.dump() == before


def test_a_large_goal_is_removed_in_slices_and_hidden_from_the_first(sim: Sim) -> None:
    sim.submit([{"id": f"n{index}", "queue": f"q{index % 3}"} for index in range(5 * PIECE)])
    while sim.cancel() == "more":
        pass
    assert sim.store.goals.remove("g", most_slices=1) == "more"
    assert sim.store.goals.records(["g"]) == [{}]
    sim.tick(TTL_MS[3])
    assert sim.reap().advice == "remove", "beat goes on where somebody stopped"
    while sim.store.goals.remove("g", most_slices=1) == "more":
        pass
    assert list(sim.store.client.scan_iter("*")) == []


def test_beat_removes_goals_their_files_and_nothing_else(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path, done_ttl_seconds=0.001)
    crew.function(lambda: "x" * 100_000, "big")
    crew.submit([{"id": "a", "call": "big"}], goal_id="old")
    crew.work()
    crew.submit([{"id": "a", "kind": "approval"}], goal_id="open")
    crew.work()
    assert (tmp_path / "artifacts" / "old").exists()
    store.goals.hasten(["old", "open"])
    assert "1 to be removed" in crew.duties.reap()
    assert "1 removed, 0 to go" in crew.upkeep.removal.tick()
    assert not (tmp_path / "artifacts" / "old").exists()
    assert store.goals.newest(0, 10) == ["open"]
    assert not list(store.client.scan_iter("*{old}*"))
    assert unknown_keys(store) == []


def test_a_goal_that_is_submitted_anew_while_the_old_one_goes_stays_in_the_index(
    sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim.submit(["a"])
    sim.done("a")
    goals, run = sim.store.goals, sim.store.goals._scripts.run

    def late(name: str, *args: Any) -> Any:
        outcome = run(name, *args)
        if name == "remove" and outcome == "removed":
            sim.submit(["b"])
        return outcome

    monkeypatch.setattr(goals._scripts, "run", late)
    assert goals.remove("g") == "removed"
    assert goals.newest(0, 10) == ["g"]
    assert goals.due(sim.now + TTL_MS[3], 10) == ["g"]


def test_a_sub_goal_of_a_goal_that_is_gone_leaves_no_note(sim: Sim) -> None:
    sim.store.goals.adopt("g", "node", "g.node")
    assert list(sim.store.client.scan_iter("*")) == []
    sim.submit(["node"])
    sim.store.goals.adopt("g", "node", "g.node")
    assert sim.store.goals.part("g", "children") == {"node": "g.node"}
